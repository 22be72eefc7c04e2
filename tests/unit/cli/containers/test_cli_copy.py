"""`cp` on this side: Docker's rules about names, and what comes from an engine."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import DIRECTORY, FILE
from pyke.cli.containers.copy import split
from pyke.cli.containers.copy_local import Renamed, base_of, destination, origin, packed, parent_of, receive
from pyke.errors import PykeError


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("box:/etc", ("box", "/etc")),
        ("box:", ("box", "")),
        ("/a:b", ("", "/a:b")),
        ("./a:b", ("", "./a:b")),
        ("file", ("", "file")),
        ("-", ("", "-")),
        ("box:a:b", ("box", "a:b")),
    ],
)
def test_containers_and_paths_are_told_apart(argument: str, expected: tuple[str, str]) -> None:
    assert split(argument) == expected


@pytest.mark.parametrize(
    ("path", "base", "parent"),
    [
        ("a/b", "b", "a"),
        ("/a", "a", "/"),
        ("a", "a", "."),
        ("a/", "a", "."),
        ("a/.", ".", "a"),
        ("/", "/", "/"),
        (".", ".", "."),
        ("a/..", ".", "."),
    ],
)
def test_bases_and_parents(path: str, base: str, parent: str) -> None:
    assert (base_of(path), parent_of(path)) == (base, parent)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "x").write_text("x")
    (tmp_path / "file").write_text("f")
    (tmp_path / "link").symlink_to("dir")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "target", "exists", "is_directory", "expected"),
    [
        ("file", "/d", True, True, ("/d", "file")),
        ("file", "/d/f", True, False, ("/d", "f")),
        ("file", "/d/new", False, False, ("/d", "new")),
        ("dir", "/d", True, True, ("/d", "dir")),
        ("dir/.", "/d", True, True, ("/d", ".")),
        ("dir", "/d/new", False, False, ("/d", "new")),
        ("dir/.", "/d/new/", False, False, ("/d", "new")),
        ("link", "/d", True, True, ("/d", "link")),
    ],
)
def test_where_an_archive_goes(here: Path, source: str, target: str, exists: bool, is_directory: bool, expected: tuple[str, str]) -> None:
    assert destination(target, exists=exists, is_directory=is_directory, source=origin(source, follow=False)) == expected


def test_what_cannot_become_what(here: Path) -> None:
    with pytest.raises(PykeError, match="cannot copy directory"):
        destination("/f", exists=True, is_directory=False, source=origin("dir", follow=False))
    with pytest.raises(PykeError, match="no such directory"):
        destination("/new/", exists=False, is_directory=False, source=origin("file", follow=False))


@pytest.mark.parametrize(
    ("source", "follow", "expected"),
    [
        ("link", False, ["name"]),
        ("link", True, ["name", "name/x"]),
        ("link/", False, ["name", "name/x"]),
        ("link/x", False, ["name"]),
        ("dir/.", False, ["name", "name/x"]),
    ],
)
def test_links_are_followed_where_that_was_asked_for(here: Path, source: str, follow: bool, expected: list[str]) -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed(origin(source, follow=follow), "name")))) as tar:
        assert tar.getnames() == expected and tar.getmembers()[0].issym() == (source == "link" and not follow)


def file(name: bytes) -> bytes:
    return header(name, FILE, 1) + b"x" + padding(1)


@pytest.mark.parametrize(
    ("names", "content", "is_directory", "target", "expected"),
    [
        (("f", "f"), file(b"f"), False, "dir", "dir/f"),
        (("f", "f"), file(b"f"), False, "new", "new"),
        (("f", "f"), file(b"f"), False, "file", "file"),
        (("f", "f"), file(b"f"), False, "dangling", "nowhere"),
        (("d", "d"), header(b"d/", DIRECTORY, 0) + file(b"d/y"), True, "new", "new/y"),
        (("d", "d"), header(b"d/", DIRECTORY, 0) + file(b"d/y"), True, "link", "dir/d/y"),
        ((".", "."), header(b"./", DIRECTORY, 0) + file(b"./y"), True, "dir", "dir/y"),
        (("/", "/"), header(b"/", DIRECTORY, 0) + file(b"/y"), True, "new", "new/y"),
        (("target", "link"), file(b"target"), False, "dir", "dir/link"),
    ],
)
def test_what_comes_is_called_as_docker_calls_it(
    here: Path, names: tuple[str, str], content: bytes, is_directory: bool, target: str, expected: str
) -> None:
    (here / "dangling").symlink_to("nowhere")
    receive([content + END], Renamed(*names), is_directory, target, keep_owner=False)
    assert (here / expected).read_text() == "x" and (here / expected).stat().st_uid == os.geteuid()


def test_an_engine_sends_nothing_that_was_not_asked_for(here: Path) -> None:
    with pytest.raises(PykeError, match="was expected"):
        receive([file(b".bashrc") + END], Renamed("f", "f"), False, ".", keep_owner=False)
    assert not (here / ".bashrc").exists()
