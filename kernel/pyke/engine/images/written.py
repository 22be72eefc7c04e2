"""Files on their way to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyke.runtime.linux import begin_write_back, syncfs

STEP = 8 << 20  # bytes


class Written:
    """A growing file that the kernel is told to write to the disk all along, so that there is little to wait for at its end.

    Of one that `is_read_no_more` soon, the kernel may have the memory back that holds what is on the disk. It gives that to what comes
    next: memory that was never used costs a virtual machine ten times as much, and what others read stays where it is.
    """

    def __init__(self, descriptor: int, *, is_read_no_more: bool = False) -> None:
        self._descriptor, self._is_read_no_more = descriptor, is_read_no_more
        self._size = self._begun = 0

    def grow(self, count: int) -> None:
        """So many bytes were appended."""
        self._size += count
        if self._size - self._begun >= STEP:
            self.begin()

    def begin(self) -> None:
        """Let the kernel begin with what it has not begun with."""
        if self._is_read_no_more and self._begun:  # what was begun with before; nothing waits, and what is not written yet stays
            os.posix_fadvise(self._descriptor, 0, self._begun, os.POSIX_FADV_DONTNEED)
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
