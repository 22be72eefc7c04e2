"""The content of a file on its way into an archive: moved by the kernel where it can be, and never less than was announced."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 1 << 20
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS}  # some file systems have nothing that sendfile(2) could take


class Content:
    """`len` bytes of a descriptor that is open until its generator is asked for the next piece. Taken once, wholly, in one of two ways.

    A file that has shrunk meanwhile is filled up with zeros.
    """

    __slots__ = ("_descriptor", "_left", "_size")

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size, self._left = descriptor, size, size

    def __len__(self) -> int:
        return self._size

    def pieces(self) -> Iterator[bytes]:
        """It, read."""
        while self._left and (piece := os.read(self._descriptor, min(self._left, CHUNK))):
            self._left -= len(piece)
            yield piece
        while self._left:
            piece = bytes(min(self._left, CHUNK))
            self._left -= len(piece)
            yield piece

    def send(self, target: int) -> None:
        """Write it to a socket or a pipe that blocks."""
        try:
            while self._left and (sent := os.sendfile(target, self._descriptor, None, min(self._left, CHUNK))):
                self._left -= sent
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        for piece in self.pieces():
            write_all(target, piece)


def write_all(target: int, data: bytes) -> None:
    """Write to a descriptor that blocks."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def send_all(target: int, pieces: Iterable[bytes | Content]) -> None:
    """Write pieces of an archive to a descriptor that blocks."""
    for piece in pieces:
        if isinstance(piece, Content):
            piece.send(target)
        else:
            write_all(target, piece)
