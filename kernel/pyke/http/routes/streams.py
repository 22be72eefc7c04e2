"""What a container prints and reads: attach, logs, resize."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from pyke.errors import Conflict, InvalidRequest, PykeError
from pyke.http.exchange import Hijack, Reply, Request, Stream
from pyke.http.facade import LogRecord
from pyke.http.moments import moment
from pyke.http.requests.execs import detach_keys
from pyke.http.router import Routes
from pyke.http.shapes.times import rfc3339_fixed
from pyke.http.versions import Version
from pyke.model import Container

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RECORDS = "application/vnd.pyke.records"  # frames of any number of lines, after the time of all of them: 20 digits of nanoseconds
NAMES_MULTIPLEXED = Version(1, 42)
FRAME_HEAD = struct.Struct(">BxxxL").pack  # the stream, three zeros, the length
STREAM_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


def attach(request: Request) -> Hijack:
    """Docker's attach: the connection becomes the container's."""
    query = request.query
    container = _attachable(request.engine.containers.get(request["name"]))
    streams = {name for name in STREAM_NUMBERS if query.flag(name)}
    printed, keys = query.flag("logs"), detach_keys(query.text("detachKeys"))
    framed = not container.spec.tty
    if not query.flag("stream"):
        return Hijack(_printed(request, container, streams if printed else set()), stream_type(request.version, framed))

    def take(client: socket.socket, early: bytes) -> None:
        containers = request.engine.containers
        with client_told(client, framed):
            containers.attach(
                container.id,
                client,
                early=early,
                streams=streams - ({"stdin"} if not container.spec.open_stdin else set()),
                framed=framed,
                detach_keys=keys,
                logs=printed,
            )

    return Hijack(take, stream_type(request.version, framed), request.engine.containers.arriving(container.id))


def _printed(request: Request, container: Container, streams: set[str]) -> Callable[[socket.socket, bytes], None]:
    """Without `stream`, a client is told what the container has printed, and is let go."""
    framed = not container.spec.tty

    def take(client: socket.socket, early: bytes) -> None:
        if not streams & {"stdout", "stderr"}:
            return
        with client_told(client, framed):
            log = request.engine.containers.logs(container.id, stdout="stdout" in streams, stderr="stderr" in streams)
            for piece in _pieces(log.batches(), framed, marked=False, with_time=False, with_details=False):
                client.sendall(piece)

    return take


def _attachable(container: Container) -> Container:
    if container.state.status == "paused":
        raise Conflict(f"container {container.id} is paused, unpause the container before attach", hint=f"pyke unpause {container.name}")
    if container.state.status == "restarting":
        raise Conflict(
            f"container {container.id} is restarting, wait until the container is running", hint=f"pyke ps --filter id={container.id}"
        )
    return container


class client_told:
    """After the head of a hijacked reply there is no status any more: an error is told on the stream itself."""

    def __init__(self, client: socket.socket, framed: bool) -> None:
        self._client, self._framed = client, framed

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, PykeError):
            return False
        text = f"{error.message}\r\n".encode()
        try:
            self._client.sendall(frame("stderr", text) if self._framed else text)
        except OSError:
            return True  # nobody is left to be told
        return True


def logs(request: Request) -> Stream:
    query = request.query
    container = request.engine.containers.get(request["name"])
    stdout, stderr, follow = query.flag("stdout"), query.flag("stderr"), query.flag("follow")
    if not stdout and not stderr:
        raise InvalidRequest("Bad parameters: you must choose at least one stream")
    if container.spec.log.driver == "none":
        raise PykeError("configured logging driver does not support reading", hint="pyke run --log-driver json-file IMAGE")
    records = request.engine.containers.logs(
        container.id,
        stdout=stdout,
        stderr=stderr,
        follow=follow,
        tail=_tail(query.text("tail")),
        since=moment(query.text("since")),
        until=moment(query.text("until")),
    )
    marked = query.flag("records")  # pyke's own: for a client that wants to know where to go on when this engine is gone
    framed = marked or not container.spec.tty
    pieces = _pieces(records.batches(), framed, marked, query.flag("timestamps"), query.flag("details"))
    return Stream(pieces, RECORDS if marked else stream_type(request.version, framed), cancel=records.close if follow else None)


def _tail(text: str) -> int | None:
    """The number of lines; None for all. Docker reads what is not a number as all of them, too."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _pieces(batches: Iterable[Sequence[LogRecord]], framed: bool, marked: bool, with_time: bool, with_details: bool) -> Iterator[bytes]:
    """The records as Docker sends them, each batch in one piece: a system call for each line of a log costs more than the line.

    A long line comes in several records: only its first carries what stands before a line.
    """
    is_in_line = {"stdout": False, "stderr": False}
    for batch in batches:
        shown: list[bytes] = []
        for record in batch:
            data = record.data
            if with_time or with_details:
                data = _headed(data, _before_line(record, with_time, with_details), is_in_line[record.stream])
                is_in_line[record.stream] = not data.endswith(b"\n")
            if marked:
                shown.append(frame(record.stream, b"%020d%s" % (record.time, data)))
            elif framed:
                shown += _frames(STREAM_NUMBERS[record.stream], data)
            else:
                shown.append(data)
        yield b"".join(shown)


def _frames(number: int, data: bytes) -> list[bytes]:
    """A frame for each line."""
    if not data.endswith(b"\n"):
        return [FRAME_HEAD(number, len(data)) + data]
    return [b"%s%s\n" % (FRAME_HEAD(number, len(line) + 1), line) for line in data.split(b"\n")[:-1]]


def _before_line(record: LogRecord, with_time: bool, with_details: bool) -> bytes:
    time = f"{rfc3339_fixed(record.time)} " if with_time else ""
    details = ",".join(f"{key}={value}" for key, value in sorted(record.extra.items())) + " " if with_details else ""
    return f"{time}{details}".encode()


def _headed(data: bytes, head: bytes, is_in_line: bool) -> bytes:
    """Lines with a head before each, but for one that has begun already."""
    headed = data[:-1].replace(b"\n", b"\n" + head) + data[-1:]
    return headed if is_in_line else head + headed


def frame(stream: str, data: bytes) -> bytes:
    """Docker's frame: a byte for the stream, three zeros, the length in four bytes, the data."""
    return FRAME_HEAD(STREAM_NUMBERS[stream], len(data)) + data


def stream_type(version: Version, framed: bool) -> str:
    return MULTIPLEXED if framed and version >= NAMES_MULTIPLEXED else RAW


def resize(request: Request) -> Reply:
    rows, columns = terminal_size(request)
    request.engine.containers.resize(request["name"], rows, columns)
    return Reply(200)


def terminal_size(request: Request) -> tuple[int, int]:
    """Rows and columns, from `h` and `w`."""
    rows, columns = request.query.integer("h"), request.query.integer("w")
    if rows is None or columns is None or not (0 <= rows <= 65535 and 0 <= columns <= 65535):
        raise InvalidRequest("the parameters h and w must be the rows and columns of a terminal")
    return rows, columns


ROUTES: Routes = {
    ("POST", "/containers/{name}/attach"): attach,
    ("GET", "/containers/{name}/logs"): logs,
    ("POST", "/containers/{name}/resize"): resize,
}
