"""The records of a log in Docker's json-file format, read back many at once.

What is printed together is logged with one time, so that hundreds of records differ in their text alone. They are one string of JSON in
pieces: it is put together and decoded once, in C, which takes a fiftieth of the time of reading each record for itself.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

NO_EXTRA: Mapping[str, str] = MappingProxyType({})
WINDOW = 1 << 15  # bytes that are searched for records like one

PLAIN = re.compile(rb'\{"log":"([^\\"]*)(\\n)?","stream":"(stdout|stderr)","time":"([^"]+)"\}')
HEAD = b'{"log":"'
AFTER_TEXT = b'","stream":'
STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


class LogRecord(NamedTuple):
    """Lines that were printed together, or a piece of a long one, which then has no newline at its end. `extra` is Docker's attrs."""

    time: int  # ns
    stream: str  # "stdout" or "stderr"
    data: bytes
    extra: Mapping[str, str] = NO_EXTRA

    def each(self) -> list[LogRecord]:
        """The same as records of one line."""
        if self.data.count(b"\n") < 2 or not self.data.endswith(b"\n"):
            return [self]
        return [self._replace(data=line + b"\n") for line in self.data.split(b"\n")[:-1]]


class Parser:
    """Reads blocks of a log. It remembers the second in which the last record was printed: the next one mostly has the same."""

    def __init__(self) -> None:
        self._date, self._seconds = "", 0

    def records(self, block: bytes) -> list[LogRecord]:
        """Those of a block of whole lines; lines that are none are left out."""
        found: list[LogRecord] = []
        at = 0
        while at < len(block):
            end = block.index(b"\n", at) + 1
            if record := self._record(block[at : end - 1]):
                if lines := _together(block, at, end):
                    text, end = lines
                    record = record._replace(data=text)
                found.append(record)
            at = end
        return found

    def _record(self, line: bytes) -> LogRecord | None:
        """A line as a record; None where it is none."""
        try:
            if plain := PLAIN.fullmatch(line):
                text, newline, stream, moment = plain.groups()
                return LogRecord(self._nanoseconds(moment.decode("ascii")), STREAMS[stream], text + b"\n" if newline else text)
            data: dict[str, Any] = json.loads(line)
            text = data["log"].encode("utf-8", "replace")
            return LogRecord(self._nanoseconds(data["time"]), data["stream"], text, data.get("attrs") or NO_EXTRA)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _nanoseconds(self, text: str) -> int:
        date, _, fraction = text.removesuffix("Z").partition(".")
        if date != self._date:
            self._date, self._seconds = date, calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S"))
        return self._seconds * 1_000_000_000 + (int(fraction.ljust(9, "0")[:9]) if fraction else 0)


def parse_time(text: str) -> int:
    """RFC 3339 in UTC with up to nine digits of a second, as nanoseconds since the epoch. ValueError for anything else."""
    return Parser()._nanoseconds(text)


def _together(block: bytes, at: int, end: int) -> tuple[bytes, int] | None:
    """The text of the record block[at:end] and of those after it that have all else in common, and where they end; None: it is alone."""
    text_end, following = block.find(AFTER_TEXT, at, end), block.find(b"\n", end) + 1
    rest = block[text_end:end]
    if text_end < 0 or not following or not block.startswith(rest, following - len(rest)):
        return None
    stop = block.rfind(rest, end, at + WINDOW) + len(rest)
    text = block[at + len(HEAD) : stop - len(rest)].replace(rest + HEAD, b"")
    count = block.count(b"\n", at, stop)
    if stop < following or stop - at != len(text) + count * len(HEAD + rest):
        return None  # the next one is far away, or another one is among them
    try:
        data = _decoded(text, count)
    except ValueError:
        return None
    return (data, stop) if data.endswith(b"\n") and data.count(b"\n") == count else None


def _decoded(text: bytes, lines: int) -> bytes:
    """The inside of a string of JSON that stands for so many lines."""
    if b'"' not in text and text.count(b"\\") == lines:
        return text.replace(b"\\n", b"\n")
    decoded: str = json.loads(b'"%s"' % text)
    return decoded.encode("utf-8", "replace")
