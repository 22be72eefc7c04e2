"""Files with holes in an archive: where each piece of their content belongs.

GNU's three forms in pax headers (GNU tar manual, "PAX Format, Versions 0.0, 0.1 and 1.0") and its older one ("Old GNU Format") say the
same: the archive holds only what lies between the holes, and a map of offsets and lengths. Nothing of a map is trusted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping

from pyke.archive.source import Source
from pyke.errors import BadArchive

BLOCK = 512
PREFIX = b"GNU.sparse."
OFFSET, NUMBYTES, MAP = PREFIX + b"offset", PREFIX + b"numbytes", PREFIX + b"map"
NAME, SIZE, REAL_SIZE, MAJOR = PREFIX + b"name", PREFIX + b"size", PREFIX + b"realsize", PREFIX + b"major"
OLD_HEADER = struct.Struct("386x96sc12s17x")  # four pieces, whether blocks with more of them follow, the length of the file
OLD_EXTENSION = struct.Struct("504sc7x")  # 21 more pieces

Extents = tuple[tuple[int, int], ...]  # offset and length of each piece of content, in order


def extents_of(numbers: Iterable[int], stored: int, length: int) -> Extents:
    """The map that `numbers` are, for a file of `length` bytes of which `stored` are in the archive; `BadArchive` where they do not fit."""
    each = iter(numbers)
    extents = tuple(zip(each, each, strict=False))
    end = 0
    for offset, size in extents:
        if offset < end or offset + size > length:
            raise BadArchive("the archive has a sparse file whose pieces overlap or lie behind its end")
        end = offset + size
    if sum(size for _, size in extents) != stored:
        raise BadArchive("the archive has a sparse file whose pieces are not what it holds of it")
    return extents


def pax_numbers(records: Mapping[bytes, bytes]) -> list[int]:
    """The map of versions 0.0 and 0.1, which is in the records."""
    return [decimal(text) for text in records.get(MAP, b"").split(b",") if text]


def leading_numbers(source: Source, limit: int) -> tuple[list[int], int]:
    """The map of version 1.0, and the bytes of content that it takes up: decimal lines in whole blocks, the first says how many pieces."""
    blocks: list[bytes] = []
    lines, wanted = 0, 1
    while lines < wanted:
        block = source.take(BLOCK)
        blocks.append(block)
        if not block or len(blocks) * BLOCK > limit or (not lines and b"\n" not in block):
            raise BadArchive("the archive has a sparse file whose map cannot be read")
        if not lines:
            wanted = 1 + 2 * decimal(block.partition(b"\n")[0])
        lines += block.count(b"\n")
    text = b"".join(blocks)
    return [decimal(line) for line in text.split(b"\n", wanted)[1:wanted]], len(text)


def old_numbers(header: bytes, source: Source, limit: int, number: Callable[[bytes], int]) -> tuple[list[int], int]:
    """The map of the old form, and the length of the file; reads the blocks that follow the header."""
    first, more, length = OLD_HEADER.unpack(header)
    blocks = [first]
    while more != b"\0":
        block = source.take(BLOCK)
        if not block or len(blocks) * BLOCK > limit:
            raise BadArchive("the archive has a sparse file whose map cannot be read")
        further, more = OLD_EXTENSION.unpack(block)
        blocks.append(further)
    pieces = b"".join(blocks)
    fields = [pieces[at : at + 12] for at in range(0, len(pieces), 12)]
    used = fields.index(bytes(12)) if bytes(12) in fields else len(fields)
    return [number(field) for field in fields[:used]], number(length)


def decimal(text: bytes) -> int:
    """A number in decimal digits, below 10^18."""
    if not text.isdigit() or len(text) > 18:
        raise BadArchive(f"the archive has {text[:30]!r} where a number should be")
    return int(text)


def write(source: Source, extents: Extents, length: int, descriptor: int) -> None:
    """Write the next content of `source` to its places in an empty file, and leave holes between."""
    for offset, size in extents:
        os.lseek(descriptor, offset, os.SEEK_SET)
        source.copy(size, descriptor)
    os.ftruncate(descriptor, length)
