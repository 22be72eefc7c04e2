"""What a container prints, kept in Docker's json-file format.

A line becomes `{"log":"...\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}`, escaped as Docker's jsonlog does it (Go's
encoding/json with HTML escapes). A line of 16 KiB or more is cut into records of 16 KiB without the "\\n", as Docker's copier does.

Python cannot write 100 MB/s a line at a time. So 16 KiB are encoded at once, which a processor's cache holds several times, with a few
passes in C over all of their lines; all that was read together shares one time.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time

from pyke.runtime.escapes import escape

PIECE = 16 * 1024  # bytes; Docker's copier.go: defaultBufSize
RETRY_INTERVAL = 1.0  # seconds between attempts to open a log that cannot be opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEWLINE = b"\n"
_HEAD = b'{"log":"'


def timestamp(nanoseconds: int) -> bytes:
    """RFC 3339 with nanoseconds, without trailing zeros: Go's time.RFC3339Nano, in UTC."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return (f"{date}.{fraction:09d}".rstrip("0").rstrip(".") + "Z").encode()


class Lines:
    """Cuts one stream into records: whole lines in bulk, and pieces of a line that is too long for one."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""  # the line that has begun, shorter than a piece

    def feed(self, chunk: bytes) -> list[bytes]:
        """Blocks that are complete now, of at most a piece: either whole lines, or one piece that does not end in a newline."""
        data = self._rest + chunk if self._rest else chunk
        blocks: list[bytes] = []
        position = 0
        while len(data) - position >= PIECE:
            end = data.rfind(_NEWLINE, position, position + PIECE) + 1 or position + PIECE
            blocks.append(data[position:end])
            position = end
        if end := data.rfind(_NEWLINE, position) + 1:
            blocks.append(data[position:end])
            position = end
        self._rest = data[position:]
        return blocks

    def finish(self) -> list[bytes]:
        """The last line, when it did not end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class LogFile:
    """A log that never blocks and never fails: what cannot be written is dropped and counted, and a note says so once it can again.

    `max_size` in bytes, 0 or less for no limit; `max_files` counts the current file. A file is closed by the first record that takes
    it to `max_size`, as Docker does it. `extra` is what Docker calls attrs: labels and variables chosen by log options. `on_loss` is called
    with the reason when lines begin to be lost, once until lines are written again.
    """

    __slots__ = (
        "_descriptor",
        "_extra",
        "_is_losing",
        "_lines",
        "_lost",
        "_max_files",
        "_max_size",
        "_on_loss",
        "_path",
        "_reason",
        "_retry_at",
        "_size",
    )

    def __init__(
        self,
        path: str,
        max_size: int = 0,
        max_files: int = 1,
        extra: dict[str, str] | None = None,
        on_loss: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._path, self._max_size, self._max_files = path, max_size, max(1, max_files)
        self._extra = b',"attrs":' + json.dumps(extra, separators=(",", ":"), sort_keys=True).encode() if extra else b""
        self._lines = {"stdout": Lines(), "stderr": Lines()}
        self._descriptor, self._size = -1, 0
        self._lost, self._reason, self._retry_at = 0, "", 0.0
        self._on_loss, self._is_losing = on_loss, False
        self._open()

    def write(self, stream: str, chunk: bytes) -> None:
        """Log what was read from "stdout" or "stderr". The end of a line may come with a later chunk."""
        self._record(stream, self._lines[stream].feed(chunk))

    def finish(self, stream: str) -> None:
        """The stream has ended: a last line without a newline is written. Idempotent."""
        self._record(stream, self._lines[stream].finish())

    def close(self) -> None:
        """End both streams and give the file back. Idempotent."""
        for stream in self._lines:
            self.finish(stream)
        if self._lost:
            self._is_note_written(timestamp(time.time_ns()))
        self._close()

    @property
    def loss(self) -> str:
        """What has been lost and not yet been noted in the log, as a sentence; "" for nothing."""
        return f"{self._lost} lines of this container's output were lost: {self._reason}" if self._lost else ""

    def _record(self, stream: str, blocks: list[bytes]) -> None:
        if not blocks:
            return
        now = timestamp(time.time_ns())
        middle = b'","stream":"' + stream.encode() + b'"' + self._extra + b',"time":"' + now + b'"}\n'
        for block in blocks:
            self._keep(_encode(block, middle), now)

    def _keep(self, records: bytes, now: bytes) -> None:
        if self._lost and not self._is_note_written(now):
            self._lose(records.count(_NEWLINE), self._reason)
        else:
            self._write(records)

    def _is_note_written(self, now: bytes) -> bool:
        text, lost, self._lost = escape(f"pyke: {self.loss}".encode()), self._lost, 0
        self._write(b'{"log":"' + text + b'\\n","stream":"stderr","time":"' + now + b'"}\n')
        if not self._lost:
            self._is_losing = False
            return True
        self._lost = lost  # the note itself could not be written
        return False

    def _write(self, records: bytes) -> None:
        while records:
            if self._descriptor < 0 and not self._reopen():
                return self._lose(records.count(_NEWLINE), self._reason)
            head = records
            if self._max_size > 0 and self._size + len(records) >= self._max_size:
                head = records[: records.index(_NEWLINE, max(0, self._max_size - self._size - 1)) + 1]
            if not self._append(head):
                return self._lose(records.count(_NEWLINE), self._reason)
            records = records[len(head) :]
            if self._max_size > 0 and self._size >= self._max_size:
                self._rotate()

    def _append(self, records: bytes) -> bool:
        written = 0
        try:
            while written < len(records):
                written += os.write(self._descriptor, records[written:] if written else records)
        except OSError as error:
            self._reason = os.strerror(error.errno or errno.EIO)
            self._cut_back(written)
            return False
        self._size = os.fstat(self._descriptor).st_size  # asked, not counted: somebody may have truncated it
        return True

    def _cut_back(self, written: int) -> None:
        """A full disk takes a part of a record: leave only whole ones behind."""
        try:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
        except OSError:
            self._close()

    def _lose(self, lines: int, reason: str) -> None:
        self._lost += lines
        self._reason = reason
        if not self._is_losing:
            self._is_losing = True
            self._on_loss(reason)

    def _rotate(self) -> None:
        """NAME becomes NAME.1, NAME.1 becomes NAME.2, and the oldest goes. A reader that has NAME open keeps what it reads."""
        self._close()
        try:
            # A rename over a file makes ext4 write the new one to the disk at once (auto_da_alloc, ext4(5)): 7 ms for each 10 MB.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{self._max_files - 1}" if self._max_files > 1 else self._path)
            for number in range(self._max_files - 1, 0, -1):
                older = f"{self._path}.{number}"
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                if os.path.exists(newer):
                    os.replace(newer, older)
        except OSError as error:
            self._reason = os.strerror(error.errno or errno.EIO)
        self._open()

    def _reopen(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        return self._open()

    def _open(self) -> bool:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._descriptor = os.open(self._path, flags, 0o640)
            self._size = os.fstat(self._descriptor).st_size
            if self._size and os.pread(self._descriptor, 1, self._size - 1) != _NEWLINE:
                os.write(self._descriptor, _NEWLINE)  # an earlier monitor was killed in the middle of a record
        except OSError as error:
            self._reason = os.strerror(error.errno or errno.EIO)
            self._retry_at = time.monotonic() + RETRY_INTERVAL
            return False
        return True

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _encode(block: bytes, middle: bytes) -> bytes:
    """The records of a block. `middle` is what stands between the text of a line and the next record."""
    text = escape(block)
    if not text.endswith(_NEWLINE):
        return _HEAD + text + middle
    return _HEAD + text[:-1].replace(_NEWLINE, b"\\n" + middle + _HEAD) + b"\\n" + middle
