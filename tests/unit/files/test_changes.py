"""Changes, told from two directories that stand for a container's own layer and its image."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyke.archive import tree
from pyke.files.changes import changes, untouched_mount_points
from pyke.runtime.root import Root

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts need root")


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """A container's layer, and an image's."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path in (upper, lower / "etc", lower / "d" / "sub", lower / "gone"):
        path.mkdir(parents=True)
    for name in ("etc/passwd", "d/f", "d/sub/x", "gone/x"):
        (lower / name).write_text("old")
    return upper, lower


def found(layers: tuple[Path, Path]) -> list[str]:
    upper, lower = layers
    with tree.opened(os.fsencode(upper)) as directory, Root.at(str(lower)) as base:
        return [f"{'CAD'[kind]} {path.decode()}" for kind, path in changes(directory, base)]


def left_out(layers: tuple[Path, Path]) -> set[bytes]:
    upper, lower = layers
    with tree.opened(os.fsencode(upper)) as directory, Root.at(str(lower)) as base:
        return set(untouched_mount_points(directory, base))


def copied_up(layers: tuple[Path, Path], name: str) -> Path:
    """A file or directory that overlayfs has copied, as it was."""
    upper, lower = layers
    for parent in reversed((upper / name).relative_to(upper).parents):
        (upper / parent).mkdir(exist_ok=True)
    if (lower / name).is_dir():
        (upper / name).mkdir(exist_ok=True)
    else:
        (upper / name).write_bytes((lower / name).read_bytes())
    status = (lower / name).stat()
    os.utime(upper / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    return upper / name


def test_what_was_only_copied_up_is_no_change(layers: tuple[Path, Path]) -> None:
    copied_up(layers, "d/f")
    copied_up(layers, "d/sub")
    assert found(layers) == []


def test_contents_times_and_modes_are_changes(layers: tuple[Path, Path]) -> None:
    copied_up(layers, "d/f").write_text("new and longer")
    copied_up(layers, "d/sub").chmod(0o700)
    os.utime(copied_up(layers, "etc/passwd"), (1, 1))
    assert found(layers) == ["C /d", "C /d/f", "C /d/sub", "C /etc", "C /etc/passwd"]


def test_additions_and_deletions(layers: tuple[Path, Path]) -> None:
    upper, _ = layers
    (upper / "new" / "deep").mkdir(parents=True)
    (upper / "d").mkdir()
    for name in ("gone", "d/f", "d/never-there"):
        os.mknod(upper / name, stat.S_IFCHR, 0)
    assert found(layers) == ["C /d", "D /d/f", "D /gone", "A /new", "A /new/deep"]


def test_a_directory_that_was_made_anew_hides_what_was_in_it(layers: tuple[Path, Path]) -> None:
    upper, _ = layers
    (upper / "d").mkdir()
    (upper / "d" / "new").touch()
    os.setxattr(upper / "d", "trusted.overlay.opaque", b"y")
    assert found(layers) == ["C /d", "D /d/f", "A /d/new", "D /d/sub"]


def test_a_kind_that_became_another_is_a_change(layers: tuple[Path, Path]) -> None:
    upper, _ = layers
    (upper / "d").write_text("a file now")
    (upper / "etc" / "passwd" / "inside").mkdir(parents=True)
    assert found(layers) == ["C /d", "C /etc", "C /etc/passwd", "A /etc/passwd/inside"]


def test_what_a_start_made_to_mount_on_is_no_change_until_it_is_used(layers: tuple[Path, Path]) -> None:
    upper, _ = layers
    for name in ("proc", "sys", "dev", "etc"):
        (upper / name).mkdir()
    for name in ("etc/hosts", "etc/hostname", "etc/resolv.conf"):
        (upper / name).touch()
    assert found(layers) == []
    assert left_out(layers) == {b"proc", b"sys", b"dev", b"etc", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"}
    (upper / "etc" / "hosts").write_text("10.1.1.1 somebody")
    (upper / "dev" / "node").touch()
    assert found(layers) == ["C /dev", "A /dev/node", "C /etc", "C /etc/hosts"]
    assert left_out(layers) == {b"proc", b"sys", b"etc/hostname", b"etc/resolv.conf"}
