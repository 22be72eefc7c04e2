"""What a client has not yet read, when it is more than memory should hold: files without a name, filled and emptied in order."""

from __future__ import annotations

import os

SEGMENT = 16 * 1024 * 1024  # bytes in a file; the disk has them back when the client has read them
LARGEST = 1024 * 1024 * 1024  # bytes from which on a spool is full
RESERVE = 256 * 1024 * 1024  # bytes that a spool leaves free on its disk
BLOCK = 256 * 1024  # bytes taken out at once


class Spool:
    """First in, first out. It takes whatever it is given: what the disk does not take stays in memory, and `is_full` says so."""

    __slots__ = ("_directory", "_late", "_position", "_segments", "size")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._segments: list[list[int]] = []  # of each its descriptor and its size, the oldest first
        self._position = 0  # of the next byte in the oldest
        self._late: list[bytes] = []  # what came after the disk had refused
        self.size = 0  # bytes

    @property
    def is_full(self) -> bool:
        return self.size >= LARGEST or bool(self._late)

    def append(self, data: bytes) -> None:
        """Keep `data` until it is taken."""
        if self._late or not self._is_stored(data):
            self._late.append(data)
        self.size += len(data)

    def take(self) -> bytes:
        """The oldest bytes, some of them; b"" when there are none."""
        data = self._take_stored() if self._segments else self._take_late()
        self.size -= len(data)
        return data

    def close(self) -> None:
        """Give everything back. Idempotent."""
        while self._segments:
            os.close(self._segments.pop()[0])

    def _is_stored(self, data: bytes) -> bool:
        try:
            if not self._segments or self._segments[-1][1] >= SEGMENT:
                self._begin_segment()
            descriptor, size = self._segments[-1]
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], size + written)
        except OSError:
            return False  # what was written is not counted, and so not there
        self._segments[-1][1] = size + len(data)
        return True

    def _begin_segment(self) -> None:
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < RESERVE + SEGMENT:
            raise OSError("the disk is almost full")
        path = os.path.join(self._directory, f"spool.{os.getpid()}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.unlink(path)
        self._segments.append([descriptor, 0])

    def _take_stored(self) -> bytes:
        descriptor, size = self._segments[0]
        data = os.pread(descriptor, min(BLOCK, size - self._position), self._position)
        self._position += len(data)
        if self._position == size:
            os.close(descriptor)
            del self._segments[0]
            self._position = 0
        return data

    def _take_late(self) -> bytes:
        return self._late.pop(0) if self._late else b""
