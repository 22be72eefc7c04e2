"""A tar stream, read entry by entry: ustar, GNU long names, pax, base-256 numbers, sparse files.

Formats: pax in POSIX.1-2017 `pax`, "ustar Interchange Format"; GNU in tar(5) of libarchive. Where readers disagree this one reads as
Docker's does: a GNU long name goes before a pax path, of several headers the last one counts, and global headers say nothing. What is read
is never trusted: every number is checked before it is used, and whatever these formats do not define is a `BadArchive`. Names stay bytes.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterator

from pyke.archive import sparse
from pyke.archive.limits import DEFAULT_LIMITS, ArchiveLimits
from pyke.archive.source import Source
from pyke.errors import BadArchive

BLOCK = 512
HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")

FILE, HARD_LINK, SYMBOLIC_LINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
HAS_DATA = {FILE, b"\0", b"7"}  # b"\0" is a file of the seventh edition, b"7" a contiguous one
KNOWN = {FILE, HARD_LINK, SYMBOLIC_LINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO}
XATTR = b"SCHILY.xattr."
LONG_NAME, LONG_LINK = b"\0L", b"\0K"  # beside the keys of pax, which hold no NUL
LATEST = (1 << 34) - (1 << 31) - 1  # seconds: what ext4 can hold
ZEROS = bytes(BLOCK)
MAX_ID = (1 << 32) - 2  # the one above means "leave it as it is" to chown(2)
MAX_MAJOR, MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1


class Entry:
    """One member of an archive. The content of a file is the next `size` bytes of the reader's source; `extents` says where holes are."""

    __slots__ = ("device", "extents", "gid", "kind", "length", "link", "mode", "mtime", "name", "size", "uid", "xattrs")

    def __init__(
        self, name: bytes, kind: bytes, mode: int, uid: int, gid: int, mtime: int, size: int, link: bytes, device: tuple[int, int]
    ) -> None:
        self.name = name
        self.kind = kind  # one of FILE, HARD_LINK, ... above
        self.mode = mode  # permission bits, with set-user-ID, set-group-ID and sticky
        self.uid = uid
        self.gid = gid
        self.mtime = mtime  # nanoseconds since the epoch
        self.size = self.length = size  # bytes of content, 0 for all but files; `length` counts holes too
        self.extents: sparse.Extents | None = None
        self.link = link
        self.device = device  # major, minor
        self.xattrs: dict[bytes, bytes] = {}


class TarReader:
    """Iterates over the entries of a plain tar. Content that the caller has not read from `source` is skipped."""

    def __init__(self, source: Source, limits: ArchiveLimits = DEFAULT_LIMITS) -> None:
        self.source = source
        self._limits = limits

    def __iter__(self) -> Iterator[Entry]:
        source, limits = self.source, self._limits
        entries = content = 0
        while (entry := self._next()) is not None:
            entries += 1
            content += entry.length
            if entries > limits.max_entries:
                raise BadArchive(f"the archive has more than {limits.max_entries} entries")
            if content > limits.max_bytes:
                raise BadArchive(f"the archive unpacks to more than {limits.max_bytes} bytes")
            end = source.offset + entry.size
            yield entry
            source.skip(end - source.offset + -entry.size % BLOCK)
        self._finish()

    def _next(self) -> Entry | None:
        """The next entry with its extended headers applied, or None at the end of the archive."""
        extensions: dict[bytes, bytes] = {}
        count = 0
        while (header := self.source.take(BLOCK)) and header != ZEROS:
            fields = _fields(header)
            kind = fields[7]
            if kind == b"S":
                return self._old_sparse(header, fields, extensions)
            if kind in b"xgLK":
                count += 1
                if count > 16:  # more than any writer makes; without a bound they are an archive that never has an entry
                    raise BadArchive("the archive has a chain of extended headers without an entry")
                self._extend(kind, self._extension(number(fields[4])), extensions)
            elif extensions:
                return self._extended_entry(fields, extensions)
            else:
                return self._check(_entry(fields))
        if extensions:
            raise BadArchive("the archive ends after an extended header")
        return None

    def _extension(self, size: int) -> bytes:
        if size > self._limits.max_header:
            raise BadArchive(f"an extended header of the archive has {size} bytes, more than {self._limits.max_header}")
        data = self.source.take(size) if size else b""
        if len(data) < size:
            raise BadArchive("the archive ends in an extended header")
        self.source.skip(-size % BLOCK)
        return data

    def _extend(self, kind: bytes, data: bytes, extensions: dict[bytes, bytes]) -> None:
        if kind == b"L":
            extensions[LONG_NAME] = data.partition(b"\0")[0]
        elif kind == b"K":
            extensions[LONG_LINK] = data.partition(b"\0")[0]
        elif kind == b"x":
            names = {key: extensions[key] for key in (LONG_NAME, LONG_LINK) if key in extensions}
            extensions.clear()
            extensions.update(_records(data) | names)

    def _extended_entry(self, fields: tuple[bytes, ...], records: dict[bytes, bytes]) -> Entry:
        entry = _entry(fields, records.get(LONG_NAME) or records.get(b"path") or b"")
        entry.link = records.get(LONG_LINK) or records.get(b"linkpath") or entry.link
        if records.get(b"size") and entry.kind == FILE:
            entry.size = entry.length = sparse.decimal(records[b"size"])
        if records.get(b"uid"):
            entry.uid = sparse.decimal(records[b"uid"])
        if records.get(b"gid"):
            entry.gid = sparse.decimal(records[b"gid"])
        if records.get(b"mtime"):
            entry.mtime = _instant(records[b"mtime"])
        for key, value in records.items():
            if key.startswith(XATTR):
                entry.xattrs[key[len(XATTR) :]] = value
        if entry.kind == FILE and (sparse.SIZE in records or sparse.REAL_SIZE in records):
            self._sparse(entry, records)
        return self._check(entry)

    def _sparse(self, entry: Entry, records: dict[bytes, bytes]) -> None:
        """A file with holes in one of the forms of pax."""
        entry.name = records.get(sparse.NAME) or entry.name
        entry.length = sparse.decimal(records.get(sparse.REAL_SIZE) or records[sparse.SIZE])
        if records.get(sparse.MAJOR, b"0") == b"0":
            numbers = sparse.pax_numbers(records)
        else:
            numbers, taken = sparse.leading_numbers(self.source, self._limits.max_header)
            entry.size -= taken
        entry.extents = sparse.extents_of(numbers, entry.size, entry.length)

    def _old_sparse(self, header: bytes, fields: tuple[bytes, ...], records: dict[bytes, bytes]) -> Entry:
        """A file with holes in the form that GNU tar had before pax."""
        numbers, length = sparse.old_numbers(header, self.source, self._limits.max_header, number)
        entry = self._extended_entry((*fields[:7], FILE, *fields[8:]), records)
        entry.length = length
        entry.extents = sparse.extents_of(numbers, entry.size, length)
        return entry

    def _check(self, entry: Entry) -> Entry:
        name = entry.name
        if not name or len(name) > self._limits.max_name or len(entry.link) > self._limits.max_name:
            raise BadArchive(f"the archive has an entry whose name is empty or longer than {self._limits.max_name} bytes")
        if name.count(b"/") > self._limits.max_depth or b"\0" in name or b"\0" in entry.link:
            raise BadArchive(f"the name {printable(name)} is too deep or has a NUL in it")
        if entry.uid > MAX_ID or entry.gid > MAX_ID:
            raise BadArchive(f"{printable(name)} belongs to a user or group over {MAX_ID}")
        if entry.device[0] > MAX_MAJOR or entry.device[1] > MAX_MINOR:
            raise BadArchive(f"{printable(name)} has a device number that Linux does not have")
        return entry

    def _finish(self) -> None:
        """Read to the end of the stream. What follows the two blocks of zeros that end an archive belongs to nothing."""
        if self.source.take(BLOCK) not in (ZEROS, b""):
            raise BadArchive("there is data after a block of zeros that does not end the archive")
        for _ in self.source.rest():
            pass


def printable(name: bytes) -> str:
    """A name from an archive as it may be shown on a terminal or written to a log."""
    return repr(name[:200].decode("utf-8", "backslashreplace"))


def _fields(header: bytes) -> tuple[bytes, ...]:
    # adler32's lower half is one more than the sum of all bytes, modulo 65521: much faster than sum(), which is felt over 20,000 headers.
    fields = HEADER.unpack(header)
    if zlib.adler32(header) & 0xFFFF != _expected_sum(fields[6]) and not _is_signed_sum(header, number(fields[6])):
        raise BadArchive("the archive has a header with a wrong checksum: it is damaged, or not a tar")
    return fields


@functools.lru_cache(maxsize=1024)
def _expected_sum(stored: bytes) -> int:
    """What adler32 makes of a header with this checksum in it, which itself is counted as eight spaces, 256 in all."""
    return (number(stored) + sum(stored) - 256 + 1) % 65521


def _is_signed_sum(header: bytes, stored: int) -> bool:
    """Whether the checksum is that of a writer whose bytes were signed: old ones, and only with names beyond ASCII."""
    plain = header[:148] + b" " * 8 + header[156:]
    return stored == sum(byte - 256 if byte > 127 else byte for byte in plain)


def _entry(fields: tuple[bytes, ...], name: bytes = b"") -> Entry:
    kind = fields[7]
    if not name:
        name = fields[0].partition(b"\0")[0]
        if fields[15][0] and fields[9] == b"ustar\0":  # GNU's magic is "ustar " and has other things here
            name = fields[15].partition(b"\0")[0] + b"/" + name
    if kind in HAS_DATA:
        kind = DIRECTORY if kind == b"\0" and name.endswith(b"/") else FILE
    elif kind not in KNOWN:
        raise BadArchive(f"{printable(name)} is of the kind {printable(kind)}, which pyke does not know")
    device = (number(fields[13]), number(fields[14])) if kind in (CHARACTER, BLOCK_DEVICE) else (0, 0)
    return Entry(
        name,
        kind,
        number(fields[1]) & 0o7777,
        number(fields[2]),
        number(fields[3]),
        _seconds(fields[5]) * 1_000_000_000,
        number(fields[4]) if kind == FILE else 0,
        fields[8].partition(b"\0")[0],
        device,
    )


@functools.lru_cache(maxsize=512)
def number(field: bytes) -> int:
    """A number of a header: octal digits, or base-256 where the first bit is set. Never negative, never over 2^63."""
    value = _signed(field)
    if value < 0 or value >= 1 << 63:
        raise BadArchive(f"the archive has a number out of range: {value}")
    return value


@functools.lru_cache(maxsize=512)
def _seconds(field: bytes) -> int:
    """An instant, which may lie before 1970, and is cut off where a file system could not hold it."""
    return min(max(_signed(field), -(1 << 31)), LATEST)


def _signed(field: bytes) -> int:
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit():
        raise BadArchive(f"the archive has {printable(field)} where a number should be")
    try:
        return int(digits, 8)
    except ValueError:
        raise BadArchive(f"the archive has {printable(field)} where an octal number should be") from None


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: "LENGTH KEY=VALUE\\n", where the length counts all of it.

    Of a key that comes twice the last value counts, but for those of a sparse file's map, which become one.
    """
    records: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > position else b""
        end = position + int(digits) if digits.isdigit() else 0
        if end <= space or end <= position or end > len(data) or data[end - 1] != 0x0A:
            raise BadArchive("the archive has an extended header that cannot be read")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise BadArchive("the archive has an extended header without a key")
        if key in (sparse.OFFSET, sparse.NUMBYTES):
            pieces.append(value)
        records[key] = value
        position = end
    if pieces:
        records[sparse.MAP] = b",".join(pieces)
    return records


def _instant(text: bytes) -> int:
    """Decimal seconds with any number of digits after the point, in nanoseconds: exactly, without a float in between."""
    whole, _, fraction = text.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole[1:] if negative else whole
    if not digits.isdigit() or len(digits) > 18 or (fraction and not fraction.isdigit()):
        raise BadArchive(f"the archive has {printable(text)} where a time should be")
    nanoseconds = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    nanoseconds = -nanoseconds if negative else nanoseconds
    return min(max(nanoseconds, -(1 << 31) * 1_000_000_000), LATEST * 1_000_000_000)
