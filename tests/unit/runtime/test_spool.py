"""A spool gives back what it was given, byte for byte, and the disk what it took."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyke.runtime import spool
from pyke.runtime.spool import Spool

STEPS = st.lists(st.one_of(st.none(), st.binary(min_size=1, max_size=300_000)), max_size=20)


@pytest.fixture
def nearly_full(tmp_path: Path) -> Iterator[Path]:
    """A file system with less room than a spool leaves free."""
    if os.geteuid() != 0:
        pytest.fail("this test mounts a small file system and needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_what_goes_in_comes_out(tmp_path: Path, steps: list[bytes | None]) -> None:
    kept, given, taken = Spool(str(tmp_path)), b"", b""
    for data in steps:
        if data is None:
            taken += kept.take()
        else:
            kept.append(data)
            given += data
        assert kept.size == len(given) - len(taken)
    while kept.size:
        taken += kept.take()
    assert taken == given and kept.take() == b""
    kept.close()


def test_files_have_no_name_and_are_given_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    kept = Spool(str(tmp_path))
    for _ in range(5):
        kept.append(bytes(spool.SEGMENT // 2))
    assert os.listdir(tmp_path) == [] and len(os.listdir("/proc/self/fd")) == before + 3
    while kept.size > spool.SEGMENT // 2:
        kept.take()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    kept.close()
    kept.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_makes_it_full_and_loses_nothing(nearly_full: Path) -> None:
    kept = Spool(str(nearly_full))
    assert not kept.is_full
    kept.append(b"one")
    kept.append(b"two")
    assert kept.is_full
    assert (kept.take(), kept.take(), kept.take()) == (b"one", b"two", b"")
    assert not kept.is_full
