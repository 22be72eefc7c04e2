"""The files of one log, in the order in which they were written, while they are being rotated.

PATH becomes PATH.1 when it is full, PATH.1 becomes PATH.2, and the last one goes. Between two of these renames a name is missing, and a
reader that lags behind finds that names have moved on. So every file is held open from when it is first seen until it has been read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

BLOCK = 256 * 1024  # bytes read at once
LONGEST_RECORD = 1024 * 1024  # bytes; 16 KiB of control characters are six times as long, and labels may come with it
AHEAD = 32  # files that may be held although they are gone: a reader that is too slow must not fill the disk with them

Identity = tuple[int, int]


class LogFiles:
    """What of a log is to be read: the file that is being read, and those after it."""

    def __init__(self, path: str, tail: int | None = None, ahead: int = AHEAD) -> None:
        """From the beginning, or from `tail` lines before the end."""
        self._path, self._ahead = path, ahead
        self._files: list[BinaryIO] = []
        self._begun = b""  # of a line in the current file whose end has not come
        self.missed = 0  # files that were held and given up, unread
        self.look()
        if tail is not None:
            self._go_to_tail(tail)

    @property
    def current(self) -> BinaryIO | None:
        return self._files[0] if self._files else None

    @property
    def is_followed(self) -> bool:
        """Whether a file came after the one that is being read, to which nothing is added any more then."""
        return len(self._files) > 1

    @property
    def has_grown(self) -> bool:
        """Whether there is something that has not been seen: in the current file, or in another one."""
        current = self.current
        if current is not None and os.fstat(current.fileno()).st_size != current.tell():
            return True
        return _identity_of(self._path) not in (None, self._newest)

    def look(self) -> None:
        """Take hold of the files that have come, and begin anew with one that somebody has truncated."""
        found = list(self._newer())
        self._files += reversed(found)
        gone = [file for file in self._files[1:] if not os.fstat(file.fileno()).st_nlink]
        for file in gone[: max(0, len(gone) - self._ahead)]:
            self.missed += 1
            self._files.remove(file)
            file.close()
        current = self.current
        if current is not None and os.fstat(current.fileno()).st_size < current.tell():
            current.seek(0)
            self._begun = b""

    def block(self) -> bytes | None:
        """The next lines of the current file, those that are whole; None when there is nothing more now."""
        if self.current is None or not (data := self.current.read(BLOCK)):
            return None
        data = self._begun + data
        end = data.rfind(b"\n") + 1
        self._begun = data[end:] if len(data) - end <= LONGEST_RECORD else b""
        return data[:end]

    def advance(self) -> None:
        """The current file has been read."""
        self._begun = b""
        self._files.pop(0).close()

    def close(self) -> None:
        """Let go of all of them. Idempotent."""
        while self._files:
            self._files.pop().close()

    @property
    def _newest(self) -> Identity | None:
        return _identity(self._files[-1]) if self._files else None

    def _newer(self) -> Iterator[BinaryIO]:
        """The files that have come after the newest one that is held, the latest first.

        Files move away from PATH, as this does, so none is missed; one that has just been passed may be met again. One name may be missing
        in the middle of a rotation, but never two.
        """
        newest = self._newest
        met: set[Identity] = set()
        number = missing = 0
        while missing < 2:
            file = _open(f"{self._path}.{number}" if number else self._path)
            number += 1
            missing = missing + 1 if file is None else 0
            if file is None:
                continue
            if (identity := _identity(file)) == newest:
                file.close()
                return
            if identity in met:
                file.close()
                continue
            met.add(identity)
            yield file

    def _go_to_tail(self, count: int) -> None:
        """Leave out what comes before the last `count` lines."""
        missing = count
        for index in range(len(self._files) - 1, -1, -1):
            missing -= _seek_back(self._files[index], missing)
            if missing <= 0:
                for _ in range(index):
                    self.advance()
                return


def _open(name: str) -> BinaryIO | None:
    try:
        return open(name, "rb", buffering=0)
    except FileNotFoundError:
        return None


def _identity(file: BinaryIO) -> Identity:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _identity_of(name: str) -> Identity | None:
    try:
        status = os.stat(name)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _seek_back(file: BinaryIO, count: int) -> int:
    """Go back by `count` lines from the end, or to the beginning; how many lines that were. Reads no more than it has to."""
    end = position = file.seek(0, os.SEEK_END)
    if not count or not end:
        return 0
    found = 0
    while position:
        size = min(BLOCK, position)
        position = file.seek(position - size)
        block = file.read(size)
        newline = size - 1 if position + size == end else size  # the last byte ends a line, and begins none
        while (newline := block.rfind(b"\n", 0, newline)) >= 0:
            found += 1
            if found == count:
                file.seek(position + newline + 1)
                return found
    file.seek(0)
    return found + 1
