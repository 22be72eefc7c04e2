"""The Engine API's client: HTTP/1.1 over a unix socket, in the C module below `socket`.

`http.client` costs 38 ms to import and `socket` 10; this is all of them that a client of one known server needs. One connection
serves one request. Replies are bounded: a head of 64 KiB, a JSON body of 256 MiB.
"""

from __future__ import annotations

import _socket
import os
import time

from pyke.cli import jsontext
from pyke.errors import EngineUnavailable, PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Protocol

    from pyke.paths import Layout

    class Sendable(Protocol):
        """A part of a body that can send itself to a socket, without being read first."""

        def __len__(self) -> int: ...

        def send(self, target: int) -> None: ...


MAXIMUM_HEAD = 64 * 1024
MAXIMUM_BODY = 256 * 1024 * 1024
CHUNK = 64 * 1024
ATTEMPTS = 5  # an engine may be killed in the moment of a request, the next ones hardly
REPEATABLE = ("/wait", "/attach", "/resize", "/exec")  # the ends of paths to which a POST does no harm when it is done twice
#: And those where it does none on an engine that is told so, and looks first whether it has been done.
REPEATABLE_ON_PYKE = ("/start", "/stop", "/restart", "/kill", "/pause", "/unpause", "/rename", "/update", "/containers/create")
REPEATS = "X-Pyke-Repeats"  # the time (ns) of the first attempt, in the head of every further one
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:")


class ApiError(PykeError):
    """The engine refused: `status` is that of the reply, `message` and `hint` are the engine's words."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class _Unanswered(Exception):
    """The engine went away, and the request is to be made again."""


def quote(text: str) -> str:
    """Percent-encode for a path or a query."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in os.fsencode(text))


def query_string(parameters: Mapping[str, object]) -> str:
    """Write a query: None and False are left out, True is 1, a list repeats its key, a dict (filters) becomes JSON."""
    pairs = []
    for key, value in parameters.items():
        if value is None or value is False:
            continue
        for item in value if isinstance(value, list) else [value]:
            text = jsontext.dumps(item) if isinstance(item, dict) else "1" if item is True else str(item)
            pairs.append(f"{key}={quote(text)}")
    return "?" + "&".join(pairs) if pairs else ""


class Connection:
    """A connection and what has been read from it but not yet been taken."""

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self.buffered = b""

    def read_until(self, mark: bytes, limit: int) -> bytes:
        """Return everything up to and including `mark`."""
        while mark not in self.buffered:
            if len(self.buffered) > limit:
                raise EngineUnavailable("the engine's reply is not HTTP: its head does not end")
            if not (data := self.socket.recv(CHUNK)):
                raise ConnectionResetError("the engine closed the connection")
            self.buffered += data
        taken, _, self.buffered = self.buffered.partition(mark)
        return taken + mark

    def read_some(self, most: int = CHUNK) -> bytes:
        """Return what is there, at most `most` bytes; b"" at the end."""
        if not self.buffered:
            return self.socket.recv(most)
        taken, self.buffered = self.buffered[:most], self.buffered[most:]
        return taken

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self.socket.close()


class Reply:
    """A reply whose body is still on the wire. One to a HEAD has none, whatever its length."""

    def __init__(self, connection: Connection, *, has_body: bool = True) -> None:
        self.connection = connection
        self.has_body = has_body
        head = connection.read_until(b"\r\n\r\n", MAXIMUM_HEAD).decode("latin-1")
        status_line, *lines = head.rstrip("\r\n").split("\r\n")
        try:
            self.status = int(status_line.split(" ", 2)[1])
        except (IndexError, ValueError):
            raise EngineUnavailable(f"the engine's reply is not HTTP: {status_line[:60]!r}") from None
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        if self.status in (204, 304) or not self.has_body:
            return
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunked()
        elif "content-length" in self.headers:
            yield from self._counted(_length(self.headers["content-length"], 10))
        else:
            while data := self.connection.read_some():
                yield data

    def _counted(self, length: int) -> Iterator[bytes]:
        while length:
            if not (data := self.connection.read_some(min(length, CHUNK))):
                raise ConnectionResetError("the engine closed the connection in the middle of a reply")
            length -= len(data)
            yield data

    def _chunked(self) -> Iterator[bytes]:
        while length := _length(self.connection.read_until(b"\r\n", MAXIMUM_HEAD).decode("latin-1").partition(";")[0], 16):
            yield from self._counted(length)
            self.connection.read_until(b"\r\n", MAXIMUM_HEAD)

    def body(self) -> bytes:
        """Read the whole body and close the connection."""
        parts, size = [], 0
        try:
            for data in self.chunks():
                size += len(data)
                if size > MAXIMUM_BODY:
                    raise EngineUnavailable("the engine's reply is too large")
                parts.append(data)
        finally:
            self.connection.close()
        return b"".join(parts)

    def json_values(self) -> Iterator[Any]:
        """Yield the JSON values of a stream of them, each as soon as its line is complete; close the connection at the end."""
        pending = b""
        try:
            for data in self.chunks():
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    yield from _values(line)
                if len(pending) > MAXIMUM_BODY:
                    raise EngineUnavailable("the engine sent a line that does not end")
            yield from _values(pending)
        finally:
            self.connection.close()


def _length(text: str, base: int) -> int:
    try:
        length = int(text, base)
    except ValueError:
        length = -1
    if length < 0:
        raise EngineUnavailable(f"the engine's reply is not HTTP: {text[:60]!r} is not a length")
    return length


def _values(line: bytes) -> Iterator[Any]:
    rest = line.decode("utf-8", "replace").strip()
    while rest:
        try:
            value, rest = jsontext.parse_prefix(rest)
        except ValueError as error:
            raise EngineUnavailable(f"the engine's reply is {error}") from error
        yield value
        rest = rest.strip()


class Client:
    """The engine at a socket; started first where it is pyke's own and does not run.

    `host` is "" for the engine of `layout`, else `unix://PATH` or `tcp://HOST:PORT`, which is never started.
    """

    def __init__(self, layout: Layout, host: str = "") -> None:
        self.layout = layout
        self.host = host

    def connect(self) -> Connection:
        """Connect, or raise EngineUnavailable."""
        if self.host:
            return Connection(_connect_host(self.host))
        try:
            return Connection(_connect_unix(self.layout.socket))
        except OSError:
            from pyke.launch import connect_or_start  # the engine is away: what is imported now is not what takes the time

            return Connection(connect_or_start(self.layout))

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        *,
        body: object = None,
        content: Iterable[bytes | Sendable] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request and return its reply, the body of which may be endless. `body` is sent as JSON, `content` as chunks.

        A reply of status 400 or more is raised as ApiError. An engine that is killed in this moment is replaced, and asked again where
        the first one cannot have done anything, or where doing it twice does no harm.
        """
        target, last = path + query_string(query or {}), ATTEMPTS if content is None else 1
        fields, begun = dict(headers or {}), time.time_ns()
        for attempt in range(1, last + 1):
            try:
                return self._request(method, target, body, content, fields, is_last=attempt == last)
            except _Unanswered:
                if not self.host:
                    fields[REPEATS] = str(begun)
        raise AssertionError("the last attempt raises another error")

    def _request(
        self,
        method: str,
        target: str,
        body: object,
        content: Iterable[bytes | Sendable] | None,
        headers: Mapping[str, str],
        *,
        is_last: bool,
    ) -> Reply:
        connection, is_sent = self.connect(), False
        try:
            self._send(connection, method, target, body, content, headers)
            is_sent = True
            return _accepted(Reply(connection, has_body=method != "HEAD"))
        except OSError as error:
            connection.close()
            if not is_last and not connection.buffered and (not is_sent or self._is_repeatable(method, target)):
                raise _Unanswered from error
            message = f"the engine broke the connection off: {error.strerror or error}"
            raise EngineUnavailable(message, hint="pyke ps -a   # whether it was done") from error
        except BaseException:
            connection.close()
            raise

    def _is_repeatable(self, method: str, target: str) -> bool:
        """Whether a request that may have been heard can be sent again."""
        path = target.partition("?")[0]
        if method == "GET" or path.endswith(REPEATABLE):
            return True
        return not self.host and (method == "DELETE" or path.endswith(REPEATABLE_ON_PYKE))

    def call(self, method: str, path: str, query: Mapping[str, object] | None = None, *, body: object = None) -> Any:
        """Send a request and return its reply's JSON, or None where it has no body."""
        text = self.open(method, path, query, body=body).body()
        return next(_values(text), None)

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """GET `path` and return the reply's JSON."""
        return self.call("GET", path, query)

    def post(self, path: str, query: Mapping[str, object] | None = None, *, body: object = None) -> Any:
        """POST to `path` and return the reply's JSON, or None."""
        return self.call("POST", path, query, body=body)

    def hijack(self, path: str, query: Mapping[str, object] | None = None, *, body: object = None) -> Connection:
        """POST to `path` and take the connection over: raw bytes in both directions from here on."""
        return self.open("POST", path, query, body=body, headers={"Connection": "Upgrade", "Upgrade": "tcp"}).connection

    def _send(
        self,
        connection: Connection,
        method: str,
        target: str,
        body: object,
        content: Iterable[bytes | Sendable] | None,
        headers: Mapping[str, str],
    ) -> None:
        fields = {"Host": "pyke", "User-Agent": "pyke", "Connection": "close", **headers}
        payload = b""
        if content is not None:
            fields |= {"Transfer-Encoding": "chunked", "Content-Type": headers.get("Content-Type", "application/x-tar")}
        elif body is not None:
            payload = jsontext.dumps(body).encode("utf-8", "surrogateescape")
            fields |= {"Content-Type": "application/json"}
        if content is None and method in ("POST", "PUT"):
            fields["Content-Length"] = str(len(payload))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        connection.socket.sendall("\r\n".join(lines).encode("latin-1") + payload)
        if content is not None:
            _send_chunks(connection.socket, content)


def _send_chunks(socket: _socket.socket, content: Iterable[bytes | Sendable]) -> None:
    """Send a body of unknown length. An engine that refuses early closes its side: its reply is then read as usual."""
    try:
        for data in content:
            if isinstance(data, bytes):
                if data:
                    socket.sendall(b"%x\r\n" % len(data) + data + b"\r\n")
                continue
            socket.sendall(b"%x\r\n" % len(data))
            data.send(socket.fileno())
            socket.sendall(b"\r\n")
        socket.sendall(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return


def _accepted(reply: Reply) -> Reply:
    if reply.status < 400:
        return reply
    text = reply.body()
    try:
        answer = jsontext.loads(text)
        message, hint = str(answer["message"]), str(answer.get("hint") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, hint = text.decode("utf-8", "replace").strip() or f"the engine answered with status {reply.status}", ""
    raise ApiError(reply.status, message, hint)


def _connect_unix(path: str) -> _socket.socket:
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        socket.connect(path)
    except OSError:
        socket.close()
        raise
    return socket


def _connect_host(host: str) -> _socket.socket:
    scheme, _, address = host.rpartition("://")
    try:
        if scheme in ("", "unix") and address.startswith("/"):
            return _connect_unix(address)
        if scheme == "tcp":
            return _connect_tcp(address)
    except OSError as error:
        raise EngineUnavailable(f"Cannot connect to the engine at {host}: {error.strerror or error}. Is it running?") from error
    raise PykeError(f"unable to parse host {host!r}: it must be unix://PATH or tcp://HOST:PORT")


def _connect_tcp(address: str) -> _socket.socket:
    name, _, port = address.rstrip("/").rpartition(":")
    error = OSError("the name has no address")
    for family, kind, protocol, _, endpoint in _socket.getaddrinfo(name.strip("[]"), port, type=_socket.SOCK_STREAM):
        socket = _socket.socket(family, kind, protocol)
        try:
            socket.connect(endpoint)
            return socket
        except OSError as failure:
            socket.close()
            error = failure
    raise error
