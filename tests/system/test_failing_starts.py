"""Starts that fail: Docker's exit status, one line that names the object, a hint, and nothing half-made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing.engine import Finished, TestEngine

CASES = {
    "missing command": (("busybox", "nosuchcommand"), 127, "nosuchcommand"),
    "missing path": (("busybox", "/no/such/file"), 127, "/no/such/file"),
    "not executable": (("busybox", "/etc/passwd"), 126, "/etc/passwd"),
    "a directory": (("busybox", "/etc"), 126, "/etc"),
    "missing image": (("--pull", "never", "nosuchimage", "true"), 125, "nosuchimage"),
    "duplicate name": (("--name", "taken", "busybox", "true"), 125, "taken"),
    "unknown network": (("--network", "nosuchnetwork", "busybox", "true"), 125, "nosuchnetwork"),
    "bad user": (("-u", "nosuchuser", "busybox", "true"), 125, "nosuchuser"),
    "bad group": (("-u", "0:nosuchgroup", "busybox", "true"), 125, "nosuchgroup"),
    "huge uid": (("-u", "99999999999", "busybox", "true"), 125, "99999999999"),
    "bad capability": (("--cap-add", "BOGUS", "busybox", "true"), 125, "BOGUS"),
    "workdir is a file": (("-w", "/etc/passwd", "busybox", "true"), 125, "/etc/passwd"),
    "missing device": (("--device", "/dev/nosuch", "busybox", "true"), 127, "/dev/nosuch"),  # Docker's client reads "no such file"
}


@pytest.mark.parametrize("case", CASES)
def test_it_fails_as_docker_does_and_leaves_nothing(busybox: TestEngine, case: str) -> None:
    engine = busybox
    arguments, status, named = CASES[case]
    if case == "duplicate name":
        engine.ok("create", "--name", "taken", "busybox")
    before = engine.ok("ps", "-aq")
    done = engine.pyke("run", "--rm", *arguments)
    _check(done, status, named)
    assert engine.ok("ps", "-aq") == before


def _check(done: Finished, status: int, named: str) -> None:
    assert done.status == status, done.stderr
    message, *rest = done.stderr.strip().splitlines()
    assert message.startswith("pyke: ")
    assert named in message
    assert len(rest) == 1 and rest[0].startswith("  hint: "), done.stderr
    assert "Traceback" not in done.stderr


def test_a_flag_that_makes_no_sense_is_refused_by_the_command(busybox: TestEngine) -> None:
    done = busybox.pyke("run", "--sysctl", "kernel.bogus=1", "busybox", "true")
    assert done.status == 125
    assert "kernel.bogus" in done.stderr.splitlines()[0]
    assert "pyke run --help" in done.stderr


def test_without_rm_the_container_stays_and_says_why(busybox: TestEngine) -> None:
    engine = busybox
    assert engine.pyke("run", "--name", "broken", "busybox", "nosuchcommand").status == 127
    assert engine.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "broken") == "created 127"
    assert "nosuchcommand" in engine.ok("inspect", "-f", "{{.State.Error}}", "broken")
    engine.ok("rm", "broken")


def test_an_unknown_driver_is_named(busybox: TestEngine) -> None:
    done = busybox.pyke("network", "create", "-d", "nosuchdriver", "n")
    assert done.status == 1
    assert "nosuchdriver" in done.stderr
    assert "hint" in done.stderr
    assert busybox.ok("network", "ls", "-q", "-f", "name=^n$") == ""


def test_an_exhausted_network_is_named(busybox: TestEngine) -> None:
    """A /30 has room for the gateway and one container."""
    engine = busybox
    engine.ok("network", "create", "--subnet", "10.211.7.0/30", "tiny")
    engine.ok("run", "-d", "--name", "one", "--network", "tiny", "busybox", "sleep", "60")
    done = engine.pyke("run", "--rm", "--network", "tiny", "busybox", "true")
    _check(done, 125, "tiny")
    assert engine.ok("ps", "-a", "--format", "{{.Names}}") == "one"
    engine.ok("rm", "-f", "one")
    assert engine.ok("run", "--rm", "--network", "tiny", "busybox", "echo", "room") == "room"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_full_disk_is_named_and_the_engine_lives_on(small_disk: Path) -> None:
    with TestEngine(small_disk / "root") as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "busybox", "true")
        filler = small_disk / "filler"
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
            except OSError:
                pass
        done = engine.pyke("run", "--rm", "busybox", "true")
        assert done.status == 125
        assert "space" in done.stderr.lower()
        assert len(done.stderr.strip().splitlines()) == 2, done.stderr
        assert engine.pyke("ps").status == 0
        os.unlink(filler)
        assert engine.ok("run", "--rm", "busybox", "echo", "again") == "again"
        assert engine.ok("ps", "-aq") == ""
