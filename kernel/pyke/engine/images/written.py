"""Files on their way to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyke.runtime.linux import begin_write_back, syncfs

STEP = 8 << 20  # bytes


class Written:
    """A growing file that the kernel is told to write to the disk all along, so that there is little to wait for at its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = self._begun = 0

    def grow(self, count: int) -> None:
        """So many bytes were appended."""
        self._size += count
        if self._size - self._begun >= STEP:
            self.begin()

    def begin(self) -> None:
        """Let the kernel begin with what it has not begun with."""
        begin_write_back(self._descriptor, self._begun, self._size - self._begun)
        self._begun = self._size


def sync_file(path: str) -> None:
    """Wait until the content of a file is on the disk."""
    _opened(path, os.O_RDONLY, os.fdatasync)


def sync_directory(path: str) -> None:
    """Wait until the names in a directory are on the disk."""
    _opened(path, os.O_DIRECTORY, os.fsync)


def sync_file_system(path: str) -> None:
    """Wait until everything written to the file system of a directory is on the disk."""
    _opened(path, os.O_DIRECTORY, syncfs)


def _opened(path: str, flags: int, sync: Callable[[int], None]) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
