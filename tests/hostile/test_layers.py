"""Layers and archives that want out, want all, or are nonsense: refused or harmless, and nothing is left."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.archive.extract import extract
from pyke.archive.limits import ArchiveLimits
from pyke.archive.pack import END, header, padding
from pyke.archive.source import Source
from pyke.archive.tar import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, HARD_LINK, SYMBOLIC_LINK
from pyke.archive.tree import opened
from pyke.errors import BadArchive, PykeError

CANARY = b"untouched"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the root of the archive, with canaries that no archive may change."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(CANARY)
    before = _told(outside)
    yield outside
    assert _told(outside) == before
    assert not list(tmp_path.glob("escape*"))


def _told(path: Path) -> list[tuple[str, int, int, int, bytes]]:
    found = []
    for each in sorted([path, *path.rglob("*")]):
        told = each.lstat()
        found.append((str(each), told.st_mode, told.st_uid, told.st_nlink, each.read_bytes() if each.is_file() else b""))
    return found


def entry(name: bytes, kind: bytes = FILE, content: bytes = b"", **fields: object) -> bytes:
    return header(name, kind, len(content), **fields) + content + padding(len(content))  # type: ignore[arg-type]


def unpack(root: Path, *entries: bytes, overlay: bool = True, limits: ArchiveLimits | None = None) -> None:
    root.mkdir(exist_ok=True)
    with opened(str(root)) as directory:
        extract(Source(io.BytesIO(b"".join(entries) + END).read), directory, overlay=overlay, limits=limits or ArchiveLimits())


@pytest.mark.parametrize("overlay", [True, False])
@pytest.mark.parametrize("target", [b"../outside", b"/OUTSIDE", b"sub/../../outside", b"link", b"other"])
@pytest.mark.parametrize("last", [FILE, DIRECTORY, SYMBOLIC_LINK, CHARACTER, FIFO, b"whiteout", b"opaque"])
def test_a_link_that_leads_to_nothing_below_the_root_is_no_parent(
    tmp_path: Path, outside: Path, overlay: bool, target: bytes, last: bytes
) -> None:
    link = entry(b"link", SYMBOLIC_LINK, link=target.replace(b"/OUTSIDE", os.fsencode(outside)))
    if last == b"whiteout":
        below = entry(b"link/.wh.canary")
    elif last == b"opaque":
        below = entry(b"link/.wh..wh..opq")
    else:
        below = entry(b"link/escape", last, link=b"x", device=(1, 3) if last == CHARACTER else (0, 0))
    with pytest.raises(BadArchive):
        unpack(tmp_path / "root", link, entry(b"other", SYMBOLIC_LINK, link=b"link"), below, overlay=overlay)


@pytest.mark.parametrize("target", [b".", b"/", b"../..", b"../outside", b"/outside", b"a/../../outside", b"chain"])
def test_a_link_leads_as_in_a_chroot(tmp_path: Path, outside: Path, target: bytes) -> None:
    directories = entry(b"outside", DIRECTORY), entry(b"a", DIRECTORY)
    chain = entry(b"chain", SYMBOLIC_LINK, link=b"../../../outside")
    link = entry(b"link", SYMBOLIC_LINK, link=target)
    unpack(tmp_path / "root", *directories, chain, link, entry(b"link/canary", content=b"changed"))
    place = tmp_path / "root" / ("outside" if b"outside" in target or target == b"chain" else "")
    assert (place / "canary").read_bytes() == b"changed"


@pytest.mark.parametrize("parts", [10, 800])
def test_a_chain_of_long_links_costs_a_bounded_number_of_steps(tmp_path: Path, outside: Path, parts: int) -> None:
    chain = [entry(b"link0", SYMBOLIC_LINK, link=b"a/../" * parts)]
    chain += [entry(b"link%d" % at, SYMBOLIC_LINK, link=b"a/../" * parts + b"link%d" % (at - 1)) for at in range(1, 39)]
    with pytest.raises(BadArchive):
        unpack(tmp_path / "root", entry(b"a", DIRECTORY), *chain, entry(b"link38/file"))
    assert not (tmp_path / "root" / "file").exists()


@pytest.mark.parametrize("name", [b"..", b"../escape", b"a/../../escape", b"./../escape", b"/../escape", b"a/..", b"//../../escape"])
@pytest.mark.parametrize("kind", [FILE, DIRECTORY, SYMBOLIC_LINK, HARD_LINK, FIFO])
def test_names_do_not_lead_out(tmp_path: Path, outside: Path, name: bytes, kind: bytes) -> None:
    with pytest.raises(BadArchive):
        unpack(tmp_path / "root", entry(b"a", DIRECTORY), entry(name, kind, link=b"x"))


def test_absolute_names_are_below_the_root(tmp_path: Path, outside: Path) -> None:
    unpack(tmp_path / "root", entry(os.fsencode(outside) + b"/canary", content=b"changed"))
    assert (tmp_path / "root").joinpath(*outside.parts[1:], "canary").read_bytes() == b"changed"


@pytest.mark.parametrize(
    "target", [b"../outside/canary", b"/etc/passwd", b"link/canary", b"../../../../../etc/passwd", b".", b"", b"hard", b"d"]
)
def test_a_hard_link_reaches_only_files_of_the_archive(tmp_path: Path, outside: Path, target: bytes) -> None:
    with pytest.raises(BadArchive):
        unpack(
            tmp_path / "root",
            entry(b"d", DIRECTORY),
            entry(b"link", SYMBOLIC_LINK, link=b"../outside"),
            entry(b"hard", HARD_LINK, link=target),
        )


def test_a_hard_link_to_a_link_is_the_link_and_writing_replaces_it(tmp_path: Path, outside: Path) -> None:
    canary = os.fsencode(outside / "canary")
    unpack(
        tmp_path / "root",
        entry(b"link", SYMBOLIC_LINK, link=canary),
        entry(b"hard", HARD_LINK, link=b"link"),
        entry(b"hard", content=b"changed", mode=0o777),
        entry(b"link", content=b"changed", uid=1000),
    )
    assert (tmp_path / "root" / "hard").read_bytes() == b"changed" and not (tmp_path / "root" / "link").is_symlink()


def test_metadata_of_a_link_is_the_links(tmp_path: Path, outside: Path) -> None:
    unpack(tmp_path / "root", entry(b"link", SYMBOLIC_LINK, link=os.fsencode(outside / "canary"), mode=0o4777, uid=1000, gid=1000, mtime=1))
    assert (tmp_path / "root" / "link").lstat().st_uid == 1000


@pytest.mark.parametrize("overlay", [True, False])
def test_a_directory_that_becomes_a_link_is_no_way_out(tmp_path: Path, outside: Path, overlay: bool) -> None:
    with pytest.raises(BadArchive):
        unpack(
            tmp_path / "root",
            entry(b"d", DIRECTORY),
            entry(b"d/a"),
            entry(b"d", SYMBOLIC_LINK, link=os.fsencode(outside)),
            entry(b"d/escape"),
            overlay=overlay,
        )


def test_the_time_and_mode_of_a_directory_that_became_a_link_are_not_set_through_it(tmp_path: Path, outside: Path) -> None:
    unpack(tmp_path / "root", entry(b"d", DIRECTORY, mode=0o777, uid=7), entry(b"d", SYMBOLIC_LINK, link=os.fsencode(outside)))
    assert (tmp_path / "root" / "d").is_symlink()


def test_a_fifo_is_never_opened(tmp_path: Path, outside: Path) -> None:
    begin = time.monotonic()
    unpack(
        tmp_path / "root", entry(b"pipe", FIFO), entry(b"pipe", content=b"x"), entry(b"pipe", FIFO), entry(b"hard", HARD_LINK, link=b"pipe")
    )
    assert time.monotonic() - begin < 5


def test_devices_are_made_and_not_opened_and_the_kernels_whiteout_is_refused(tmp_path: Path) -> None:
    unpack(tmp_path / "root", entry(b"null", CHARACTER, device=(1, 3)), entry(b"disk", BLOCK_DEVICE, device=(8, 0)))
    with pytest.raises(BadArchive):
        unpack(tmp_path / "root", entry(b"hidden", CHARACTER, device=(0, 0)))


@pytest.mark.parametrize("name", [b".wh.", b".wh..", b".wh...", b"d/.wh...", b".wh.d/x", b".wh..wh..opq/x"])
def test_whiteouts_of_what_is_no_name_are_refused(tmp_path: Path, outside: Path, name: bytes) -> None:
    for overlay in (True, False):
        with pytest.raises(BadArchive):
            unpack(tmp_path / "root", entry(b"d", DIRECTORY), entry(name), overlay=overlay)


def test_attributes_that_speak_to_the_kernel_are_dropped(tmp_path: Path) -> None:
    hostile = {b"trusted.overlay.opaque": b"y", b"trusted.overlay.redirect": b"/etc", b"user.kept": b"1", b"security.selinux": b"x"}
    unpack(tmp_path / "root", entry(b"d", DIRECTORY, xattrs=hostile), entry(b"f", xattrs=hostile))
    for name in ("d", "f"):
        assert [each for each in os.listxattr(tmp_path / "root" / name) if each != "security.selinux"] == ["user.kept"]


@pytest.mark.parametrize("xattrs", [{b"user." + b"n" * 300: b"1"}, {b"user.big": b"x" * 70_000}, {b"user.": b"1"}])
def test_attributes_that_no_file_system_takes_are_refused(tmp_path: Path, xattrs: dict[bytes, bytes]) -> None:
    with pytest.raises(PykeError):
        unpack(tmp_path / "root", entry(b"f", xattrs=xattrs))


@pytest.mark.parametrize("name", [b"n" * 256, b"a/" * 300 + b"a", b"a" * 5000])
def test_names_that_are_too_long_are_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(BadArchive):
        unpack(tmp_path / "root", entry(name))


def test_owners_and_devices_beyond_linux_are_refused(tmp_path: Path) -> None:
    for fields in ({"uid": 2**32 - 1}, {"gid": 2**40}):
        with pytest.raises(BadArchive):
            unpack(tmp_path / "root", entry(b"f", **fields))  # type: ignore[arg-type]


def test_a_file_of_an_exabyte_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadArchive):
        unpack(tmp_path / "root", header(b"huge", FILE, 1 << 60))
    assert not (tmp_path / "root" / "huge").exists()


def test_forty_thousand_whiteouts_are_work_for_a_moment(tmp_path: Path) -> None:
    whiteouts = [entry(b"d/.wh..wh..opq")] * 20_000 + [entry(b"d/.wh.x")] * 20_000
    begin = time.monotonic()
    for overlay in (True, False):
        unpack(tmp_path / "root", entry(b"d", DIRECTORY), *whiteouts, overlay=overlay)
    assert time.monotonic() - begin < 60
    with pytest.raises(BadArchive):
        unpack(tmp_path / "other", *whiteouts, limits=ArchiveLimits(max_entries=30_000))


def test_random_archives_never_leave_the_root(tmp_path: Path, outside: Path) -> None:
    dice = random.Random(20240101)
    names = [b"a", b"b", b"a/b", b"b/a", b"a/b/a", b".wh.a", b"a/.wh.b", b"a/.wh..wh..opq", b"../escape", b"b/../a", b"/a", b"./b/"]
    links = [b"a", b"b", b"..", b"../outside", b"../outside/canary", os.fsencode(outside), b"/", b"a/b"]
    for attempt in range(300):
        entries = [
            entry(
                dice.choice(names),
                dice.choice([FILE, DIRECTORY, SYMBOLIC_LINK, HARD_LINK, FIFO]),
                link=dice.choice(links),
                mode=dice.choice([0o777, 0]),
            )
            for _ in range(dice.randrange(1, 9))
        ]
        try:
            unpack(tmp_path / f"root{attempt}", *entries, overlay=dice.random() < 0.5)
        except BadArchive:
            continue
