"""What containers have printed, read back from Docker's json-file format over rotated files, and followed while they print on."""

from __future__ import annotations

import calendar
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from pyke.errors import PykeError

if TYPE_CHECKING:
    from pyke.engine.engine import Engine
    from pyke.model import Container

BLOCK = 256 * 1024  # bytes read at once
LONGEST_RECORD = 1024 * 1024  # bytes; 16 KiB of control characters are six times as long, and labels may come with it
SHORTEST_POLL, LONGEST_POLL = 0.005, 0.1  # seconds between looks for more; they grow while nothing comes


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line, or a piece of a long one, which then has no newline at its end. `extra` is what Docker calls attrs."""

    time: int  # ns
    stream: str  # "stdout" or "stderr"
    data: bytes
    extra: Mapping[str, str] = field(default_factory=dict)


class LogStream:
    """Log records, oldest first. `close`, from any thread, ends the iteration soon; a stream is iterated over once."""

    def __init__(
        self,
        path: str,
        *,
        streams: frozenset[str],
        tail: int | None,
        since: int,
        until: int,
        is_running: Callable[[], bool] | None,
        loss: Callable[[], str],
    ) -> None:
        self._path, self._streams, self._tail, self._since, self._until = path, streams, tail, since, until
        self._is_running, self._loss = is_running, loss
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[LogRecord]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[LogRecord]]:
        """The same records, those together that were read together: a reader need not wait for more before it shows them."""
        parse = _Parser()
        for lines in self._lines():
            records = list(filter(None, map(parse.record, lines)))
            late = bool(self._until) and any(record.time > self._until for record in records)
            yield [record for record in records if self._is_wanted(record)]
            if late:
                return
        if "stderr" in self._streams and not self._until and (words := self._loss()):
            yield [LogRecord(time.time_ns(), "stderr", f"pyke: {words}\n".encode())]

    def _is_wanted(self, record: LogRecord) -> bool:
        return record.stream in self._streams and record.time >= self._since and not (self._until and record.time > self._until)

    def close(self) -> None:
        """Idempotent; releases a reader that waits for more."""
        self._closed.set()

    def _lines(self) -> Iterator[list[bytes]]:
        file = _first_file(self._path, self._tail)
        pending = b""
        while not self._closed.is_set():
            # Asked first: what was printed before the end is in the file when the end is known.
            goes_on = self._is_running is not None and self._is_running() and not (self._until and time.time_ns() > self._until)
            while file and (data := file.read(BLOCK)):
                *lines, pending = (pending + data).split(b"\n")
                yield lines
                if len(pending) > LONGEST_RECORD:
                    pending = b""
                if self._closed.is_set():
                    return
            newer = _newer_file(self._path, file)
            if newer is not None:
                file, pending = newer, b""
            elif not goes_on:
                return
            else:
                self._wait(file)

    def _wait(self, file: BinaryIO | None) -> None:
        """Until the file has grown, or is not the log any more, or nothing has happened for a while."""
        pause = SHORTEST_POLL
        while pause <= LONGEST_POLL and not self._closed.wait(pause):
            if file is None or os.fstat(file.fileno()).st_size != file.tell():
                return
            pause *= 1.5


def read(
    path: str,
    *,
    stdout: bool = True,
    stderr: bool = True,
    tail: int | None = None,
    since: int = 0,
    until: int = 0,
    is_running: Callable[[], bool] | None = None,
    loss: Callable[[], str] = lambda: "",
) -> LogStream:
    """The log at `path` and its rotated files (PATH.1 is the newest of them).

    `tail` counts records of both streams from the end, before anything is filtered, as Docker does; None is all. `since` and `until`
    in nanoseconds, 0 for no limit. With `is_running` it is followed until that says False and everything has been read.
    `loss` is asked at the end for what is not in the log because it could not be written. Broken records are skipped; a log that does
    not exist is empty.
    """
    streams = frozenset(name for name, is_wanted in (("stdout", stdout), ("stderr", stderr)) if is_wanted)
    return LogStream(path, streams=streams, tail=tail, since=since, until=until, is_running=is_running, loss=loss)


def of_container(
    engine: Engine, container: Container, *, stdout: bool, stderr: bool, follow: bool, tail: int | None, since: int, until: int
) -> LogStream:
    """What a container has printed, and with `follow` what it prints until it ends."""
    if container.spec.log.driver == "none":
        raise PykeError("configured logging driver does not support reading", hint=f"pyke inspect {container.name}")

    def is_running() -> bool:
        now = engine.state.containers.get(container.id)
        return now is not None and now.state.is_running

    def loss() -> str:
        monitor = engine.containers.monitors.get(container.id)
        try:
            return str(monitor.state()["loss"]) if monitor else ""
        except PykeError:
            return ""  # it has just ended

    return read(
        container.log_path,
        stdout=stdout,
        stderr=stderr,
        tail=tail,
        since=since,
        until=until,
        is_running=is_running if follow else None,
        loss=loss,
    )


# --- files -----------------------------------------------------------------------------------------------------------


def _first_file(path: str, tail: int | None) -> BinaryIO | None:
    """The file that the wanted records begin in, at their beginning."""
    files = _files(path)
    if tail is None:
        return _open(files[0]) if files else None
    missing = tail
    for name in reversed(files):
        file = _open(name)
        if file is None:
            continue
        missing -= _seek_back(file, missing)
        if missing <= 0:
            return file
    return _open(files[0]) if files else None


def _files(path: str) -> list[str]:
    """The files of a log, oldest first."""
    names = [path]
    while os.path.exists(older := f"{path}.{len(names)}"):
        names.append(older)
    return [name for name in reversed(names) if os.path.exists(name)]


def _open(name: str) -> BinaryIO | None:
    try:
        return open(name, "rb", buffering=0)
    except FileNotFoundError:  # rotated away in this moment
        return None


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


def _newer_file(path: str, file: BinaryIO | None) -> BinaryIO | None:
    """The file that follows `file`; None where that is the newest. Also the file itself from its beginning, if it was truncated."""
    names = _files(path)
    if file is None:
        return _open(names[0]) if names else None
    status = os.fstat(file.fileno())
    if status.st_size < file.tell():
        file.seek(0)
        return file
    known = [number for number, name in enumerate(names) if _inode(name) == (status.st_dev, status.st_ino)]
    if known and known[0] == len(names) - 1:
        return None
    # One that is not there any more was rotated out: what follows is the oldest that is left.
    return _open(names[known[0] + 1 if known else 0]) if names else None


def _inode(name: str) -> tuple[int, int]:
    try:
        status = os.stat(name)
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


# --- records ---------------------------------------------------------------------------------------------------------


PLAIN = re.compile(rb'\{"log":"([^\\"]*)(\\n)?","stream":"(stdout|stderr)","time":"([^"]+)"\}')
STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


class _Parser:
    """Reads records. Most are plain (nothing escaped, no attrs) and a third of the work; neighbours often carry the same time."""

    def __init__(self) -> None:
        self._text, self._time = "", 0

    def record(self, line: bytes) -> LogRecord | None:
        """A line as a record; None where it is none."""
        try:
            if plain := PLAIN.fullmatch(line):
                text, newline, stream, moment = plain.groups()
                return LogRecord(self._nanoseconds(moment.decode("ascii")), STREAMS[stream], text + b"\n" if newline else text)
            data: dict[str, Any] = json.loads(line)
            text = data["log"].encode("utf-8", "replace")
            return LogRecord(self._nanoseconds(data["time"]), data["stream"], text, data.get("attrs") or {})
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _nanoseconds(self, text: str) -> int:
        if text != self._text:
            self._text, self._time = text, parse_time(text)
        return self._time


def parse_time(text: str) -> int:
    """RFC 3339 in UTC with up to nine digits of a second, as nanoseconds since the epoch. ValueError for anything else."""
    date, _, fraction = text.removesuffix("Z").partition(".")
    seconds = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + (int(fraction.ljust(9, "0")[:9]) if fraction else 0)
