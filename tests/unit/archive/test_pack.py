"""Packing: the same tree gives the same bytes, and unpacking them gives the same tree."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pyke.archive.extract import extract
from pyke.archive.pack import pack, read
from pyke.archive.source import Source
from pyke.archive.tree import opened, remove, size_of
from pyke.errors import PykeError


def packed(path: Path, *, overlay: bool = False) -> bytes:
    with opened(str(path)) as directory:
        return b"".join(read(pack(directory, overlay=overlay)))


def unpacked(archive: bytes, path: Path, *, overlay: bool = False) -> None:
    path.mkdir(exist_ok=True)
    with opened(str(path)) as directory:
        extract(Source(io.BytesIO(archive).read), directory, overlay=overlay)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "directory" / ("long" * 30) / ("name" * 30)).mkdir(parents=True)
    (top / "directory" / "file").write_bytes(b"content")
    os.utime(top / "directory" / "file", (1_000_000_000, 1_000_000_000))
    os.link(top / "directory" / "file", top / "second")
    (top / "link").symlink_to("x" * 300)
    (top / os.fsdecode(b"caf\xe9")).touch(0o600)
    os.mkfifo(top / "pipe")
    os.setxattr(top / "second", "user.note", b"\x00=\n")
    return top


def test_a_tree_survives_packing_and_unpacking(tree: Path, tmp_path: Path) -> None:
    archive = packed(tree)
    unpacked(archive, tmp_path / "copy")
    assert packed(tmp_path / "copy") == archive
    assert (tmp_path / "copy" / "second").stat().st_nlink == 2
    assert os.getxattr(tmp_path / "copy" / "directory" / "file", "user.note") == b"\x00=\n"
    assert int((tmp_path / "copy" / "directory" / "file").stat().st_mtime) == 1_000_000_000


def test_tarfile_reads_what_is_packed(tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(tree))) as archive:
        names = archive.getnames()
        assert sorted(names) == names and "directory/" + "long" * 30 + "/" + "name" * 30 in names
        assert archive.getmember("second").islnk() and archive.getmember("link").linkname == "x" * 300


def test_overlays_whiteouts_become_names_and_back(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "opaque").mkdir(parents=True)
    os.setxattr(upper / "opaque", "trusted.overlay.opaque", b"y")
    os.mknod(upper / "gone", 0o020000, 0)
    archive = packed(upper, overlay=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        assert read.getnames() == [".wh.gone", "opaque", "opaque/.wh..wh..opq"]
    unpacked(archive, tmp_path / "again", overlay=True)
    assert packed(tmp_path / "again", overlay=True) == archive


def test_what_a_layer_cannot_say_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "upper" / "moved").mkdir(parents=True)
    os.setxattr(tmp_path / "upper" / "moved", "trusted.overlay.redirect", b"elsewhere")
    with pytest.raises(PykeError, match="renamed"):
        packed(tmp_path / "upper", overlay=True)


def test_sizes_count_files_with_several_names_once(tree: Path) -> None:
    with opened(str(tree)) as directory:
        assert size_of(directory) == 7


def test_a_tree_of_any_depth_is_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"x")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to("..")
    with opened(str(tmp_path)) as parent:
        bottom = os.open("top", os.O_RDONLY, dir_fd=parent)
        for _ in range(1500):
            os.mkdir("d", dir_fd=bottom)
            below = os.open("d", os.O_RDONLY, dir_fd=bottom)
            os.close(bottom)
            bottom = below
        os.close(bottom)
        remove(parent, b"top")
    assert os.listdir(tmp_path) == ["kept"]
