"""A volume's first content: what the image has where the volume will be mounted."""

from __future__ import annotations

import os

from pyke.archive import tree
from pyke.archive.content import Content
from pyke.archive.pack import pack
from pyke.archive.placing import place
from pyke.archive.source import Source
from pyke.runtime.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def fill(root: Root, path: str, volume: int) -> bool:
    """Copy the directory `path` of a root into the directory descriptor `volume`, which takes over its owner, mode and times as well.

    Nothing happens, and False is returned, where the volume has content or the root no such directory.
    """
    if os.listdir(volume):
        return False
    try:
        directory = root.open(path, tree.DIRECTORY_ONLY & ~os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        pieces = _flat(pack(directory))
        place(Source(lambda size: next(pieces, b"")), volume)
        _take_over(os.fstat(directory), volume)
    finally:
        os.close(directory)
    return True


def _flat(pieces: Iterable[bytes | Content]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, Content):
            yield from piece.pieces()
        elif piece:
            yield piece


def _take_over(found: os.stat_result, volume: int) -> None:
    os.fchown(volume, found.st_uid, found.st_gid)
    os.fchmod(volume, found.st_mode & 0o7777)
    os.utime(volume, ns=(found.st_atime_ns, found.st_mtime_ns))


def empty(volume: int) -> None:
    """Delete everything in a directory, and follow no link."""
    for name in os.listdir(volume):
        tree.remove(volume, os.fsencode(name))
