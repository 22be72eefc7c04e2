"""The tar reader: what Python's tarfile and GNU tar write, and what nobody should."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyke.archive.limits import ArchiveLimits
from pyke.archive.pack import END, header, padding
from pyke.archive.source import Source
from pyke.archive.tar import DIRECTORY, FILE, Entry, TarReader, number
from pyke.errors import BadArchive


def read(archive: bytes, limits: ArchiveLimits | None = None, piece: int = 1 << 30) -> list[tuple[Entry, bytes]]:
    stream = io.BytesIO(archive)
    reader = TarReader(Source(lambda size: stream.read(min(size, piece))), limits or ArchiveLimits())
    return [(entry, b"".join(bytes(each) for each in reader.source.pieces(entry.size))) for entry in reader]


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: name.strip("/")
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=2000), st.integers(0, 2**32 - 2), st.integers(0, 2**33)), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_what_tarfile_writes_is_read(files: list[tuple[str, bytes, int, int]], form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8") as archive:
        for name, content, uid, mtime in files:
            info = tarfile.TarInfo("directory/" * 12 + name)
            info.size, info.uid, info.mtime = len(content), uid, mtime
            archive.addfile(info, io.BytesIO(content))
    found = [(entry.name.decode(), content, entry.uid, entry.mtime // 10**9) for entry, content in read(buffer.getvalue())]
    assert found == [("directory/" * 12 + name, content, uid, mtime) for name, content, uid, mtime in files]


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar", "v7", "oldgnu"])
def test_what_gnu_tar_writes_is_read(form: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("directory/file")
    archive = subprocess.run(
        ["tar", f"--format={form}", "-C", tmp_path, "-cf", "-", "directory", "link"], capture_output=True, check=True
    ).stdout
    entries = {entry.name.rstrip(b"/"): (entry.kind, content) for entry, content in read(archive)}
    assert entries[b"directory/file"] == (FILE, b"content")
    assert entries[b"directory"][0] == DIRECTORY
    assert next(entry.link for entry, _ in read(archive) if entry.name == b"link") == b"directory/file"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.lists(st.binary(max_size=1500), max_size=4))
def test_pieces_of_any_size_give_the_same(piece: int, contents: list[bytes]) -> None:
    archive = b"".join(header(b"%d" % at, FILE, len(each)) + each + padding(len(each)) for at, each in enumerate(contents)) + END
    assert [content for _, content in read(archive, piece=piece)] == contents


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=1536))
def test_any_bytes_are_an_archive_or_refused(data: bytes) -> None:
    try:
        read(data)
    except BadArchive:
        return


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 511), st.binary(min_size=1, max_size=16))
def test_any_change_of_a_header_is_noticed(position: int, change: bytes) -> None:
    block = header(b"name", FILE, 0)
    damaged = block[:position] + change[: 512 - position] + block[position + len(change) :]
    if damaged == block or not damaged.strip(b"\0"):
        return
    try:
        entries = read(damaged[:512] + END)
    except BadArchive:
        return
    # The checksum is a sum: exchanged bytes keep it. What is read then is still within its limits.
    assert all(entry.size == 0 and entry.name for entry, _ in entries)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"\x80\0\0\0\0\0\1\0", 256),
    ],
)
def test_numbers(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize("field", [b"-000001\0", b"0o17\0\0\0\0", b"1_000\0\0\0", b"99999999", b"\xff" * 8, b"\x80" + b"\xff" * 11])
def test_what_is_no_number_is_refused(field: bytes) -> None:
    with pytest.raises(BadArchive):
        number(field)


def test_times_before_1970_and_parts_of_seconds() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for mtime in (-1.5, 1.000000001):
            info = tarfile.TarInfo("a")
            info.pax_headers = {"mtime": str(mtime)}
            archive.addfile(info)
    assert [entry.mtime for entry, _ in read(buffer.getvalue())] == [-1_500_000_000, 1_000_000_001]


def test_global_headers_say_nothing() -> None:
    info = tarfile.TarInfo("a")
    info.size = 1
    records = {"uid": "77", "path": "b", "size": "0"}
    archive = tarfile.TarInfo.create_pax_global_header(records) + info.tobuf(tarfile.USTAR_FORMAT) + b"x" + padding(1) + END
    assert [(entry.name, entry.uid, content) for entry, content in read(archive)] == [(b"a", 0, b"x")]


def test_an_extended_size_counts() -> None:
    content = b"x" * 600
    record = b"12 size=600\n"
    extended = header(b"pax", b"x", len(record)) + record + padding(len(record))
    assert read(extended + header(b"a", FILE, 1) + content + padding(600) + END)[0][1] == content


@pytest.mark.parametrize(
    "record",
    [
        b"0 a=b\n",
        b"6 a=b\n\n",
        b"999999 a=b\n",
        b"5 a=b\n",
        b"-6 a=b\n",
        b"6 abc\n",
        b"6 =bcd\n",
        b" a=b\n",
        b"x",
        b"18 size=-5\n",
        b"99999999999999999999999 a=b\n",
    ],
)
def test_records_that_cannot_be_read_are_refused(record: bytes) -> None:
    with pytest.raises(BadArchive):
        read(header(b"pax", b"x", len(record)) + record + padding(len(record)) + header(b"a", FILE, 0) + END)


def test_limits() -> None:
    three = b"".join(header(b"%d" % at, FILE, 600) + bytes(600) + padding(600) for at in range(3)) + END
    assert len(read(three)) == 3
    for limits in (ArchiveLimits(max_entries=2), ArchiveLimits(max_bytes=1799)):
        with pytest.raises(BadArchive):
            read(three, limits)
    with pytest.raises(BadArchive):
        read(header(b"n" * 300, FILE, 0) + END, ArchiveLimits(max_name=299))
    with pytest.raises(BadArchive):
        read(header(b"a/" * 40 + b"a", FILE, 0) + END, ArchiveLimits(max_depth=39))
    with pytest.raises(BadArchive):
        read(header(b"n" * 3000, FILE, 0) + END, ArchiveLimits(max_header=2000))


def test_extended_headers_without_an_entry_are_refused() -> None:
    record = b"6 a=b\n"
    extended = header(b"pax", b"x", len(record)) + record + padding(len(record))
    with pytest.raises(BadArchive):
        read(extended + END)
    with pytest.raises(BadArchive):
        read(extended * 50 + header(b"a", FILE, 0) + END)


def test_what_follows_the_end_belongs_to_nothing() -> None:
    for rest in (bytes(10_000), bytes(512) + header(b"b", FILE, 0)):
        assert [entry.name for entry, _ in read(header(b"a", FILE, 0) + END + rest)] == [b"a"]
    with pytest.raises(BadArchive):
        read(header(b"a", FILE, 0) + bytes(512) + header(b"b", FILE, 0) + END)


@pytest.mark.parametrize("kind", [b"D", b"M", b"V", b"N", b"9", b"Z", b"\xff"])
def test_kinds_that_are_not_known_are_refused(kind: bytes) -> None:
    with pytest.raises(BadArchive):
        read(header(b"a", kind, 0) + END)


@pytest.mark.parametrize("cut", [1, 511, 513, 1000, 1500])
def test_what_is_cut_short_is_refused(cut: int) -> None:
    archive = header(b"a", FILE, 1000) + bytes(1000) + padding(1000) + END
    with pytest.raises(BadArchive):
        read(archive[:cut])
