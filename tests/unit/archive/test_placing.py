"""Placing: what `cp` does with a tar, in a directory that is in use and may be anybody's."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.archive import tree
from pyke.archive.pack import END, gathered, header, pack_one, padding, read
from pyke.archive.placing import Renaming, place
from pyke.archive.source import Source
from pyke.archive.tar import CHARACTER, DIRECTORY, FIFO, FILE, HARD_LINK, SYMBOLIC_LINK
from pyke.errors import BadArchive, PykeError

TEXT = "the canary is alive\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="devices and owners need root")


def archive(*entries: tuple[bytes, bytes, bytes]) -> bytes:
    """A tar of (name, kind, content or target)."""
    parts = []
    for name, kind, text in entries:
        data, link = (text, b"") if kind == FILE else (b"", text)
        device = (1, 3) if kind == CHARACTER else (0, 0)
        parts += [header(name, kind, len(data), mode=0o4777, link=link, device=device), data, padding(len(data))]
    return b"".join(parts) + END


def placed(content: bytes, path: Path, *, renaming: Renaming | None = None, may_exchange: bool = False) -> None:
    owner = (os.geteuid(), os.getegid())
    with tree.opened(os.fsencode(path)) as directory:
        place(Source(io.BytesIO(content).read), directory, owner=owner, renaming=renaming, may_exchange=may_exchange)


ESCAPES = {
    "parent": ((b"../escape", FILE, b"x"),),
    "absolute": ((b"/../../escape", FILE, b"x"),),
    "link-to-directory": ((b"link", SYMBOLIC_LINK, b"HOST"), (b"link/escape", FILE, b"x")),
    "link-to-file": ((b"link", SYMBOLIC_LINK, b"HOST/canary"), (b"link", FILE, b"x")),
    "hard-link": ((b"hard", HARD_LINK, b"../../../../../../../../etc/passwd"), (b"hard", FILE, b"x")),
    "hard-link-over-link": ((b"link", SYMBOLIC_LINK, b"HOST"), (b"hard", HARD_LINK, b"link/canary"), (b"hard", FILE, b"x")),
    "directory-over-link": ((b"link", SYMBOLIC_LINK, b"HOST"), (b"link/", DIRECTORY, b""), (b"link/escape", FILE, b"x")),
    "device": ((b"device", CHARACTER, b""), (b"device", FILE, b"x")),
    "whiteout": ((b".wh.file", FILE, b""), (b".wh..wh..opq", FILE, b"")),
}


def escapes(host: Path) -> Iterator[bytes]:
    """Each of the archives above, aimed at a directory of the host."""
    for entries in ESCAPES.values():
        yield archive(*((path, kind, text.replace(b"HOST", os.fsencode(host))) for path, kind, text in entries))


@pytest.mark.parametrize("renaming", [None, Renaming(b"link", b"new"), Renaming(b"", b"new")], ids=str)
def test_an_archive_stays_in_the_directory_that_was_named_here(tmp_path: Path, renaming: Renaming | None) -> None:
    """What a hostile engine sends."""
    host, directory = tmp_path / "host", tmp_path / "directory"
    host.mkdir()
    directory.mkdir()
    (host / "canary").write_text(TEXT)
    for content in escapes(host):
        with suppress(PykeError):
            placed(content, directory, renaming=renaming)
    assert {path.name for path in directory.iterdir()} <= {"link", "hard", "device", "new", ".wh.file", ".wh..wh..opq"}
    assert [path.name for path in host.iterdir()] == ["canary"] and (host / "canary").read_text() == TEXT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "host"]


def test_names_that_were_not_asked_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="was expected"):
        placed(archive((b".bashrc", FILE, b"x")), tmp_path, renaming=Renaming(b"wanted", b"wanted"))
    assert not list(tmp_path.iterdir())


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "new"]), max_size=5), st.sampled_from(["a", "b", ".", "/", ""]))
def test_a_renamed_entry_is_below_its_new_name_or_refused(parts: list[str], old: str) -> None:
    with suppress(BadArchive):
        assert Renaming(old.encode(), b"new").of("/".join(parts).encode()).split(b"/")[0] == b"new"


def test_a_renaming_reaches_the_targets_of_hard_links(tmp_path: Path) -> None:
    placed(
        archive((b"old/", DIRECTORY, b""), (b"old/a", FILE, b"x"), (b"old/b", HARD_LINK, b"old/a")),
        tmp_path,
        renaming=Renaming(b"old", b"n"),
    )
    assert (tmp_path / "n" / "b").samefile(tmp_path / "n" / "a")


def test_directories_are_merged_and_files_replaced(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "kept").write_text("kept")
    (tmp_path / "d" / "f").write_text("old")
    old = (tmp_path / "d" / "f").stat().st_ino
    held = (tmp_path / "d" / "f").open()
    placed(archive((b"d/", DIRECTORY, b""), (b"d/f", FILE, b"new"), (b"made/x", FILE, b"")), tmp_path)
    assert (tmp_path / "d" / "kept").read_text() == "kept" and (tmp_path / "d" / "f").read_text() == "new"
    assert held.read() == "old" and (tmp_path / "d" / "f").stat().st_ino != old  # whoever has it open keeps what they had
    held.close()
    assert abs((tmp_path / "made").stat().st_mtime - (tmp_path / "made").stat().st_ctime) < 60


def test_files_and_directories_are_exchanged_where_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").touch()
    (tmp_path / "f").touch()
    exchange = archive((b"d", FILE, b"a file now"), (b"f/", DIRECTORY, b""))
    with pytest.raises(BadArchive, match="cannot overwrite directory 'd' with a non-directory"):
        placed(exchange, tmp_path)
    placed(exchange, tmp_path, may_exchange=True)
    assert (tmp_path / "d").read_text() == "a file now" and (tmp_path / "f").is_dir()


def test_the_directory_itself_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    placed(archive((b"./", DIRECTORY, b""), (b"./x", FILE, b"")), tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777 and (tmp_path / "x").exists()


@needs_root
def test_nodes_get_their_mode_without_being_followed(tmp_path: Path) -> None:
    placed(archive((b"pipe", FIFO, b""), (b"null", CHARACTER, b"")), tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o7777 for name in ("pipe", "null")} == {0o4777}


@pytest.mark.parametrize(("called", "names"), [(b"d", ["d/", "d/f"]), (b".", ["./", "./f"]), (b"/", ["/", "/f"])])
def test_one_thing_is_packed_under_the_name_that_was_asked_for(tmp_path: Path, called: bytes, names: list[str]) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "f").write_text("x")
    with tree.opened(os.fsencode(tmp_path)) as parent:
        content = b"".join(read(gathered(pack_one(parent, b"dir", as_name=called))))
    assert [content[block : block + 100].rstrip(b"\0").decode() for block in (0, 512)] == names


def test_directories_that_are_not_to_be_shown_are_empty(tmp_path: Path) -> None:
    (tmp_path / "dir" / "secret").mkdir(parents=True)
    (tmp_path / "dir" / "secret" / "f").touch()
    hidden = (tmp_path / "dir" / "secret").stat().st_ino
    with tree.opened(os.fsencode(tmp_path)) as parent:
        content = b"".join(read(pack_one(parent, b"dir", as_name=b"dir", is_shown=lambda directory: os.fstat(directory).st_ino != hidden)))
    assert b"dir/secret/" in content and b"dir/secret/f" not in content


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_gathering_changes_no_byte(pieces: list[bytes], size: int) -> None:
    assert b"".join(read(gathered(pieces, size))) == b"".join(pieces)
