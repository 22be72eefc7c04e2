"""Compressed streams: made plain whole, or refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyke.archive.decompress import PlainReader, plain
from pyke.archive.limits import ArchiveLimits
from pyke.errors import BadArchive

zstandard = pytest.importorskip("zstandard")

COMPRESSORS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def unpack(data: bytes, limits: ArchiveLimits | None = None, piece: int = 1 << 30) -> bytes:
    stream = io.BytesIO(data)
    return b"".join(plain(lambda size: stream.read(min(size, piece)), limits or ArchiveLimits()))


@pytest.mark.parametrize("name", COMPRESSORS)
@settings(max_examples=25, deadline=None)
@given(contents=st.lists(st.binary(max_size=3000), min_size=1, max_size=3), piece=st.integers(1, 5000))
def test_all_members_are_unpacked(name: str, contents: list[bytes], piece: int) -> None:
    assert unpack(b"".join(map(COMPRESSORS[name], contents)), piece=piece) == b"".join(contents)


@given(st.binary(max_size=100).filter(lambda data: not data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))))
def test_what_is_plain_stays_as_it_is(data: bytes) -> None:
    assert unpack(data, piece=7) == data


@pytest.mark.parametrize("name", COMPRESSORS)
def test_what_follows_the_last_member_is_refused(name: str) -> None:
    with pytest.raises(BadArchive, match=f"after the end of the {name}"):
        unpack(COMPRESSORS[name](b"content") + b"trailing garbage")


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_stream_that_ends_early_is_refused(name: str) -> None:
    whole = COMPRESSORS[name](bytes(range(256)) * 50)
    for cut in (7, len(whole) // 2, len(whole) - 1):
        with pytest.raises(BadArchive):
            unpack(whole[:cut])


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_a_damaged_stream_is_refused(name: str) -> None:
    whole = bytearray(COMPRESSORS[name](bytes(range(256)) * 50))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(BadArchive):
        unpack(bytes(whole))


def test_a_wrong_checksum_of_gzip_is_noticed() -> None:
    whole = bytearray(gzip.compress(b"content"))
    whole[-8] ^= 0xFF
    with pytest.raises(BadArchive):
        unpack(bytes(whole))


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_bomb_is_refused_before_it_fills_the_memory(name: str) -> None:
    bomb = COMPRESSORS[name](bytes(20 << 20))
    with pytest.raises(BadArchive, match="times its size"):
        unpack(bomb, ArchiveLimits(ratio_grace=1 << 20))
    with pytest.raises(BadArchive, match="more than 1000 bytes"):
        unpack(bomb, ArchiveLimits(max_bytes=1000))


@pytest.mark.parametrize("name", COMPRESSORS)
def test_pieces_are_small_whatever_the_input(name: str) -> None:
    stream = io.BytesIO(COMPRESSORS[name](bytes(64 << 20)))
    assert max(map(len, plain(stream.read))) <= (32 << 20 if name == "zstd" else 1 << 20)


def test_many_empty_members_are_no_endless_work() -> None:
    assert unpack(gzip.compress(b"") * 2000) == b""


def test_gzip_is_unpacked_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "isal", None)
    assert unpack(gzip.compress(b"a" * 3_000_000) + gzip.compress(b"b")) == b"a" * 3_000_000 + b"b"
    with pytest.raises(BadArchive):
        unpack(gzip.compress(b"a")[:-1])


def test_a_reader_gives_what_is_asked_for_at_most() -> None:
    reader = PlainReader(io.BytesIO(zlib.compress(b"abc", wbits=31)).read)
    assert [reader.read(2), reader.read(2), reader.read(2)] == [b"ab", b"c", b""]


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_reader_goes_on_where_a_step_gives_nothing(name: str) -> None:
    """Compressors hold back what they can still make smaller: much input may come before any output does."""
    content = random.Random(1).randbytes(700_000)
    stream = io.BytesIO(COMPRESSORS[name](content))
    reader = PlainReader(lambda size: stream.read(min(size, 10)))
    assert b"".join(iter(lambda: reader.read(1 << 20), b"")) == content


def with_window(log: int, content: bytes) -> bytes:
    """A frame as a builder's stream has it: of unknown size, to be unpacked with a window of 1 << `log` bytes."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=log, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return bytes(compressor.compress(content) + compressor.flush())


@pytest.mark.parametrize("piece", [1, 7, 1 << 18])
def test_a_zstd_window_has_its_limit(piece: int) -> None:
    assert unpack(with_window(25, b"a" * 1000), piece=piece) == b"a" * 1000, "what Go's encoder makes at its best level"
    wide = with_window(20, b"a" * 1000) + with_window(26, b"b" * 1000)
    with pytest.raises(BadArchive, match="a window of 67108864 bytes, more than 33554432") as caught:
        unpack(wide, piece=piece)
    assert caught.value.hint.endswith("# archives.max_window")
    assert unpack(wide, ArchiveLimits(max_window=64 << 20), piece) == b"a" * 1000 + b"b" * 1000


@pytest.mark.parametrize("window", [0, 1 << 61])
def test_any_limit_of_a_window_can_be_set(window: int) -> None:
    assert unpack(with_window(10, b"a" * 1000), ArchiveLimits(max_window=window)) == b"a" * 1000
