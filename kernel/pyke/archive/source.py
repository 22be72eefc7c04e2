"""Bytes from a descriptor or a function, buffered so that a header costs no system call of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from pyke.errors import BadArchive

CHUNK = 1 << 18  # measured: larger buffers fall out of the cache of the processor, smaller ones cost system calls

Read = Callable[[int], bytes]


class Source:
    """A stream that is read once, from its beginning to its end.

    `read(n)` of the stream may return less than was asked for, as `os.read` does, and b"" at the end.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._buffer = memoryview(b"")
        self.offset = 0  # of the next byte, counted from the beginning of the stream

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Source:
        return cls(lambda size: os.read(descriptor, size))

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes, or b"" at the end of the stream. Meant for headers: the bytes are held in memory."""
        buffer = self._buffer
        if len(buffer) >= size:
            self._buffer = buffer[size:]
            self.offset += size
            return bytes(buffer[:size])
        taken = b"".join(self.pieces(size, may_end=True))
        if taken and len(taken) < size:
            raise BadArchive(f"the archive ends in the middle of a block, at byte {self.offset}")
        return taken

    def pieces(self, size: int, *, may_end: bool = False) -> Iterator[memoryview]:
        """The next `size` bytes in pieces; each is valid until the next one is asked for. All of them must be consumed."""
        left = size
        while left:
            if not self._buffer:
                self._buffer = memoryview(self._read(CHUNK))
                if not self._buffer:
                    if may_end:
                        return
                    raise BadArchive(f"the archive ends at byte {self.offset}, {left} bytes before the end of a file in it")
            piece = self._buffer[:left]
            self._buffer = self._buffer[len(piece) :]
            self.offset += len(piece)
            left -= len(piece)
            yield piece

    def copy(self, size: int, descriptor: int) -> None:
        """Write the next `size` bytes to `descriptor`."""
        buffer = self._buffer
        if len(buffer) >= size:  # most files are small and already here
            self._buffer = buffer[size:]
            self.offset += size
            if os.write(descriptor, buffer[:size]) == size:
                return
            raise OSError(28, "a short write")  # ENOSPC: a regular file takes all or the disk is full
        for piece in self.pieces(size):
            while piece:
                piece = piece[os.write(descriptor, piece) :]

    def skip(self, size: int) -> None:
        """Leave out the next `size` bytes."""
        buffer = self._buffer
        if len(buffer) >= size:
            self._buffer = buffer[size:]
            self.offset += size
            return
        for _ in self.pieces(size):
            pass

    def rest(self) -> Iterator[memoryview]:
        """All that is left, in pieces."""
        return self.pieces(1 << 62, may_end=True)
