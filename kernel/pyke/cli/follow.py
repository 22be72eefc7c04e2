"""What is followed goes on when the engine is killed: the next one is asked for what comes after the last thing that was seen.

Many lines of a log may have one time, and so may events. So the place is a time, and how many of that time have been seen.
"""

from __future__ import annotations

import time

from pyke.cli.containers import streams
from pyke.cli.session import STDERR, STDOUT, write_bytes
from pyke.errors import EngineUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from pyke.cli.client import Client, Reply

MOST_ENGINES = 100  # that may go away meanwhile
RECORDS = "application/vnd.pyke.records"
HEADER, TIME = 8, 20  # bytes of a frame's header, and of the time before what it holds


class Place:
    """How far a stream has been read. Times are nanoseconds since the epoch."""

    def __init__(self, *, is_new_alone: bool) -> None:
        """`is_new_alone`: nothing was asked for but what happens from now on."""
        self._time = time.time_ns() if is_new_alone else 0
        self._seen = self._repeated = 0  # of that time: in all, and still to come again from the next engine

    @property
    def since(self) -> str | None:
        """From where the next engine is to be asked; None: as the first one was."""
        return f"{self._time // 10**9}.{self._time % 10**9:09d}" if self._time else None

    def go_back(self) -> None:
        """The next engine begins with all that has the last time."""
        self._repeated = self._seen

    def known(self, moment: int, count: int = 1) -> int:
        """Take note of what has come that has one time; how many of these had been seen before."""
        if moment != self._time:
            self._time, self._seen, self._repeated = moment, 0, 0
        known = min(count, self._repeated)
        self._repeated -= known
        self._seen += count - known
        return known


def replies(engine: Client, path: str, query: Mapping[str, object], place: Place) -> Iterator[Reply]:
    """The reply of this engine, and then, for a reader who found it broken off (ConnectionResetError), that of the next one."""
    for _ in range(MOST_ENGINES):
        yield engine.open("GET", path, query)
        place.go_back()
        if place.since:
            query = {**query, "since": place.since, "tail": None}
    raise EngineUnavailable(f"{MOST_ENGINES} engines went away while {path} was read", hint="pyke info")


def events(engine: Client, query: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """The events that a query asks for, as the engine sends them."""
    place = Place(is_new_alone=not query.get("since"))
    for reply in replies(engine, "/events", query, place):
        try:
            for event in reply.json_values():
                if not place.known(event["timeNano"]):
                    yield event
            return
        except ConnectionResetError:
            continue


def copy_log(engine: Client, path: str, query: Mapping[str, object], *, framed: bool) -> None:
    """Write the log that a query asks for to our stdout and stderr; where it is followed, what comes to it until the container ends, too.

    An engine that is Docker's sends no times with its records, and nothing after its end: it is read as it comes, `framed` or not.
    """
    place = Place(is_new_alone=query.get("tail") == "0")
    for reply in replies(engine, path, {**query, "records": True}, place):
        if reply.headers.get("content-type") != RECORDS:
            return streams.copy_out(reply.chunks(), framed=framed)
        try:
            for chunk in _whole_frames(reply.chunks()):
                for descriptor, text in _new_texts(chunk, place):
                    write_bytes(descriptor, text)
            return
        except ConnectionResetError:
            continue


def _whole_frames(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut between frames."""
    pending = b""
    for chunk in chunks:
        pending += chunk
        end = 0
        while len(pending) >= end + HEADER:
            after = end + HEADER + int.from_bytes(pending[end + 4 : end + HEADER], "big")
            if after > len(pending):
                break
            end = after
        yield pending[:end]
        pending = pending[end:]


def _new_texts(frames: bytes, place: Place) -> Iterator[tuple[int, bytes]]:
    """What is new in some frames, and where it goes; neighbours of one stream together."""
    together: list[bytes] = []
    descriptor, position = STDOUT, 0
    while position < len(frames):
        length = int.from_bytes(frames[position + 4 : position + HEADER], "big")
        stream = STDERR if frames[position] == STDERR else STDOUT
        record = frames[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if stream != descriptor:
            yield descriptor, b"".join(together)
            descriptor, together = stream, []
        together.append(_new_lines(record[TIME:], int(record[:TIME]), place))
    yield descriptor, b"".join(together)


def _new_lines(lines: bytes, moment: int, place: Place) -> bytes:
    """Those of one time that had not been seen. A piece of a long line, which has no end, counts as one."""
    count = lines.count(b"\n") or 1
    known = place.known(moment, count)
    if not known:
        return lines
    return lines.split(b"\n", known)[known] if known < count else b""
