"""What containers have printed, read back from Docker's json-file format over rotated files, and followed while they print on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pyke.engine.containers.log_files import LogFiles
from pyke.engine.containers.log_records import LogRecord, Parser
from pyke.errors import PykeError

if TYPE_CHECKING:
    from pyke.engine.engine import Engine
    from pyke.model import Container

SHORTEST_POLL, LONGEST_POLL = 0.005, 0.1  # seconds between looks for more; they grow while nothing comes


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
        self._is_everything_wanted = len(streams) == 2 and not since and not until
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[LogRecord]:
        """Records of one line."""
        for batch in self.batches():
            for record in batch:
                yield from record.each()

    def batches(self) -> Iterator[list[LogRecord]]:
        """Records of any number of lines, those together that were read together: a reader need not wait for more before it shows them."""
        parse = Parser()
        for block in self._blocks():
            records = parse.records(block)
            late = bool(self._until) and any(record.time > self._until for record in records)
            yield records if self._is_everything_wanted else [record for record in records if self._is_wanted(record)]
            if late:
                return
        if "stderr" in self._streams and not self._until and (words := self._loss()):
            yield [LogRecord(time.time_ns(), "stderr", f"pyke: {words}\n".encode())]

    def _is_wanted(self, record: LogRecord) -> bool:
        return record.stream in self._streams and record.time >= self._since and not (self._until and record.time > self._until)

    def close(self) -> None:
        """Idempotent; releases a reader that waits for more."""
        self._closed.set()

    def _blocks(self) -> Iterator[bytes]:
        files = LogFiles(self._path, self._tail)
        try:
            while not self._closed.is_set():
                # Asked first: what was printed before the end is in the files when the end is known.
                goes_on = self._is_running is not None and self._is_running() and not (self._until and time.time_ns() > self._until)
                self._look(files)
                is_complete = files.is_followed  # asked before it is read: a file has its end before the next one begins
                while not self._closed.is_set() and (block := files.block()) is not None:
                    yield block
                    self._look(files)  # or the next ones might be gone when this one has been read
                if is_complete:
                    files.advance()
                elif not goes_on:
                    return
                else:
                    self._wait(files)
                if missed := files.missed:
                    files.missed = 0
                    yield _gap(missed)
        finally:
            files.close()

    def _look(self, files: LogFiles) -> None:
        """A reader that does not follow wants what was there when it came."""
        if self._is_running is not None:
            files.look()

    def _wait(self, files: LogFiles) -> None:
        """Until the log has grown, or nothing has happened for a while."""
        pause = SHORTEST_POLL
        while pause <= LONGEST_POLL and not self._closed.wait(pause) and not files.has_grown:
            pause *= 1.5


def _gap(count: int) -> bytes:
    """What a reader is told in place of what it did not come to read in time."""
    text = f"pyke: {count} files of this log were rotated away before they could be read\n"
    now = time.time_ns()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000_000))
    return json.dumps({"log": text, "stream": "stderr", "time": f"{moment}.{now % 1_000_000_000:09d}Z"}).encode() + b"\n"


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
