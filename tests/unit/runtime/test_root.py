"""A root that paths cannot leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyke.runtime.root import Root


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A root beside a canary."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def real(fd: int) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return path


@pytest.mark.parametrize("target", ["/outside", "../outside", "../../../../outside", "/../outside"])
def test_links_end_inside(inside: Path, target: str) -> None:
    (inside / "link").symlink_to(target)
    with Root.at(str(inside)) as root:
        with pytest.raises(FileNotFoundError):
            root.open("link")
        assert real(root.make_directory("/link/made")) == f"{inside}/outside/made"
    assert os.listdir(inside.parent / "outside") == []


def test_links_in_circles_are_refused(inside: Path) -> None:
    (inside / "a").symlink_to("b")
    (inside / "b").symlink_to("a")
    with Root.at(str(inside)) as root, pytest.raises(OSError, match="Too many levels"):
        root.make_file("a/file")


def test_links_of_proc_are_refused(inside: Path) -> None:
    with Root.at("/") as root, pytest.raises(OSError, match="Too many levels"):
        root.open("/proc/self/cwd")


def test_missing_targets_are_made_where_links_lead(inside: Path) -> None:
    (inside / "etc").symlink_to("usr/etc")
    with Root.at(str(inside)) as root:
        assert real(root.make_file("/etc/hosts")) == f"{inside}/usr/etc/hosts"
        assert real(root.make_file("/etc/hosts")) == f"{inside}/usr/etc/hosts"  # idempotent
        os.close(root.make_directory("a/../b"))
    assert (inside / "b").is_dir() and not (inside / "a").exists()


def test_only_regular_files_are_read_and_only_to_a_limit(inside: Path) -> None:
    os.mkfifo(inside / "fifo")
    (inside / "file").write_bytes(b"12345")
    with Root.at(str(inside)) as root:
        assert root.open_file("fifo", 10) is None and root.open_file("missing", 10) is None
        assert root.open_file("file", 5) == b"12345"
        with pytest.raises(OSError, match="larger than 4 bytes"):
            root.open_file("file", 4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["..", ".", "a", "link", "up", ""]), min_size=1, max_size=8))
def test_whatever_is_made_lies_inside(inside: Path, parts: list[str]) -> None:
    for name, target in (("link", "/a/b"), ("up", "../../..")):
        if not (inside / name).is_symlink():
            (inside / name).symlink_to(target)
    with Root.at(str(inside)) as root:
        assert (real(root.make_directory("/".join(parts))) + "/").startswith(f"{inside}/")
    assert os.listdir(inside.parent / "outside") == []
