"""A compressed stream becomes plain: gzip, zstd, xz or bzip2 by its first bytes, or what it is when it is none of them.

All formats may come as several members, one after the other. What follows the last one, a stream that ends early, and one that unpacks
to more than its limits allow is a `BadArchive`. Output comes in pieces of bounded size, whatever the input claims.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from pyke.archive.limits import DEFAULT_LIMITS, ArchiveLimits, beyond
from pyke.archive.source import Read
from pyke.errors import BadArchive, InvalidRequest

INPUT, OUTPUT = 1 << 17, 1 << 18  # bytes a step; measured: 1 MiB costs half a second more of page faults for 450 MB
XZ_MEMORY = 256 << 20  # xz -9 wants 65 MiB
ZSTD_WINDOWS = 1 << 10, 1 << 31  # bytes: what the library can be told
ZSTD_HEADER = 18  # bytes that a frame's header has at most, with the magic number


class Decompressor(Protocol):
    """One member, in the words of bz2 and lzma."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression_of(head: bytes) -> str:
    """The format that a stream with these first bytes (6 are enough) is in: gzip, zstd, xz, bzip2, or "" for plain."""
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


def plain(read: Read, limits: ArchiveLimits = DEFAULT_LIMITS) -> Iterator[bytes]:
    """The plain content of the stream, in pieces of about 256 KiB (of zstd, at most 8 MiB)."""
    head = _first(read)
    compression = compression_of(head)
    pieces = _members(compression, head, read, limits) if compression else _as_it_is(head, read)
    taken = given = 0
    for consumed, piece in pieces:
        taken += consumed
        given += len(piece)
        if given > limits.max_bytes:
            raise beyond(f"the archive unpacks to more than {limits.max_bytes} bytes", "archives.max_bytes")
        if given > limits.ratio_grace and given > limits.max_ratio * taken:
            message = f"the archive unpacks to more than {limits.max_ratio} times its size: it is made to fill a disk"
            raise beyond(message, "archives.max_ratio")
        if piece:  # a step that gives nothing yet is not the end
            yield piece


class PlainReader:
    """The plain content of a stream as an object with `read`; a read may return less than was asked for."""

    def __init__(self, read: Read, limits: ArchiveLimits = DEFAULT_LIMITS) -> None:
        self._pieces = plain(read, limits)
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        if not self._piece:
            piece = next(self._pieces, b"")
            if len(piece) <= size:
                return piece  # without a copy of it
            self._piece = memoryview(piece)
        taken, self._piece = self._piece[:size], self._piece[size:]
        return bytes(taken)


def _first(read: Read) -> bytes:
    head = b""
    while len(head) < 6 and (more := read(INPUT)):
        head += more
    return head


def _as_it_is(head: bytes, read: Read) -> Iterator[tuple[int, bytes]]:
    piece = head
    while piece:
        yield len(piece), piece
        piece = read(OUTPUT)


def _members(compression: str, data: bytes, read: Read, limits: ArchiveLimits) -> Iterator[tuple[int, bytes]]:
    """All members of a compressed stream: pairs of the bytes of input newly taken and a piece of output."""
    magic = next(magic for magic, name in MAGIC.items() if name == compression)
    while data:
        while len(data) < len(magic) and (more := read(INPUT)):
            data += more
        if compression_of(data) != compression:
            raise BadArchive(f"there is data after the end of the {compression} stream")
        data = yield from _member(MAKERS[compression](limits), compression, data, read)
        data = data or read(INPUT)


def _member(decompressor: Decompressor, compression: str, data: bytes, read: Read) -> Generator[tuple[int, bytes], None, bytes]:
    """One member; returns the input that lies behind it."""
    while True:
        try:
            piece = decompressor.decompress(data, OUTPUT)
        except BadArchive:
            raise
        except Exception as error:  # each library has an error of its own: zlib.error, IsalError, EOFError, ZstdError, ...
            raise BadArchive(f"the {compression} stream is damaged: {error}") from error
        yield len(data), piece
        if decompressor.eof:
            return decompressor.unused_data
        data = read(INPUT) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise BadArchive(f"the {compression} stream ends early")


class _Zlib:
    """zlib's object in the words of bz2 and lzma."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(31)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail


class _Zstandard:
    """zstandard's object in the words of bz2 and lzma. It cannot bound its output, so it is fed in small bites."""

    BITE = 1 << 8  # a block takes 4 bytes at least and gives 128 KiB at most: 8 MiB of output for a bite, and the library holds it twice

    def __init__(self, module: Any, max_window: int) -> None:
        self._max_window = min(max(max_window, ZSTD_WINDOWS[0]), ZSTD_WINDOWS[1])
        self._object = module.ZstdDecompressor(max_window_size=self._max_window).decompressobj()
        self._parameters = module.get_frame_parameters
        self._head = self._waiting = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        self._waiting += data
        if len(self._head) < ZSTD_HEADER:
            self._head += data[:ZSTD_HEADER]
        pieces: list[bytes] = []
        given = 0
        while self._waiting and not self._object.eof and (max_length < 0 or given < max_length):
            bite, self._waiting = self._waiting[: self.BITE], self._waiting[self.BITE :]
            try:
                pieces.append(self._object.decompress(bite))
            except Exception:
                self._check_window()
                raise
            given += len(pieces[-1])
        return b"".join(pieces)

    def _check_window(self) -> None:
        """Say so where it is its window that makes a frame fail: the library has one error for all."""
        window = self._parameters(self._head).window_size
        if window > self._max_window:
            message = f"the zstd stream is to be unpacked with a window of {window} bytes, more than {self._max_window}"
            raise beyond(message, "archives.max_window")

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data) + self._waiting

    @property
    def needs_input(self) -> bool:
        return not self._waiting


def _gzip(limits: ArchiveLimits) -> Decompressor:
    try:
        from isal import igzip_lib  # twice as fast as zlib
    except ImportError:
        return _Zlib()
    made: Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return made


def _zstd(limits: ArchiveLimits) -> Decompressor:
    try:
        import zstandard
    except ImportError:
        message = "the archive is compressed with zstd, and no module is here that reads it"
        raise InvalidRequest(message, hint="pip install zstandard") from None
    return _Zstandard(zstandard, limits.max_window)


def _xz(limits: ArchiveLimits) -> Decompressor:
    import lzma  # as bz2, a library of its own, and layers are neither

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


def _bzip2(limits: ArchiveLimits) -> Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}
MAKERS: dict[str, Callable[[ArchiveLimits], Decompressor]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "xz": _xz,
    "bzip2": _bzip2,
}
