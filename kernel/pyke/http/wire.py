"""Bytes of HTTP/1.1 on one connection: h11 does the protocol, this does the socket, the limits and the time-outs."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import h11

from pyke import __version__
from pyke.errors import InvalidRequest
from pyke.http.versions import NEWEST

HEAD_LIMIT = 64 << 10  # bytes; X-Registry-Auth may be long
BLOCK = 256 << 10


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long a client may take, in seconds."""

    idle: float = 300.0  # between two requests of a connection
    head: float = 10.0  # from a request's first byte to the end of its head
    body: float = 60.0  # between two pieces of a body
    reply: float = 60.0  # to take a whole reply
    linger: float = 2.0  # to notice that no more of its body is wanted


Headers = Sequence[tuple[str, str]]
IDENTITY = (
    ("Api-Version", str(NEWEST)),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"Pyke/{__version__} (linux)"),
)


class ClientGone(ConnectionError):
    """The client closed the connection, or is too slow."""


class Wire:
    """One connection, seen as a sequence of requests and replies."""

    def __init__(self, client: socket.socket, times: TimeOuts) -> None:
        self.client, self._times = client, times
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)

    def next_request(self) -> h11.Request | None:
        """The head of the next request; None when the client has closed. Raises `h11.RemoteProtocolError`, `ClientGone`."""
        deadline = 0.0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._receive(deadline - time.monotonic() if deadline else self._times.idle)
                deadline = deadline or time.monotonic() + self._times.head
            elif isinstance(event, h11.Request):
                _check_framing(event)
                return event
            else:
                return None

    def body(self, request: h11.Request) -> BinaryIO:
        """The body of that request, read from the socket as it is asked for."""
        if not any(name == b"transfer-encoding" or (name == b"content-length" and int(value)) for name, value in request.headers):
            self._finish_body()
            return io.BytesIO()
        return cast(BinaryIO, io.BufferedReader(_Body(self), BLOCK))

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole reply at once."""
        head = h11.Response(status_code=status, headers=[*IDENTITY, *headers, *self._leave_body()])
        data = self._http.send(head) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._send(data, self._times.reply)

    def start_stream(self, headers: Headers) -> None:
        """Send the head of a reply whose length is not known yet."""
        head = h11.Response(status_code=200, headers=[*IDENTITY, *headers])
        self._send(self._http.send(head) or b"", self._times.reply)

    def send_piece(self, piece: bytes) -> None:
        """Send a part of a stream, however long the client takes to read it."""
        if piece:
            self._send(self._http.send(h11.Data(data=piece)) or b"", None)

    def end_stream(self) -> None:
        self._send(self._http.send(h11.EndOfMessage()) or b"", self._times.reply)

    def hijack(self, content_type: str, upgrade: bool) -> bytes:
        """Leave HTTP behind, as Docker does for attach; returns what the client sent too early. The socket blocks from then on."""
        self._finish_body()
        early = self._http.trailing_data[0]
        status = "101 UPGRADED" if upgrade else "200 OK"
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in IDENTITY), f"Content-Type: {content_type}"]
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        self._send("\r\n".join([*lines, "", ""]).encode("ascii"), self._times.reply)
        self.client.settimeout(None)
        return early

    def next_cycle(self) -> bool:
        """Make ready for another request; False where the connection cannot be used again."""
        if self._http.their_state is h11.SEND_BODY:
            self._linger()
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def data(self) -> bytes:
        """The next piece of the body, or nothing at its end. Raises `InvalidRequest` for a broken one, `ClientGone`."""
        while self._http.their_state is h11.SEND_BODY:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise InvalidRequest(f"the body of the request is broken: {error}") from error
            if event is h11.NEED_DATA:
                self._continue()
                self._receive(self._times.body)
            elif isinstance(event, h11.Data):
                return bytes(event.data)
        return b""

    def _leave_body(self) -> Headers:
        """Drop what has come of a body that nobody has read. If more is to come, the connection ends with the reply, and says so:
        a client that sent its next request on it would be told nothing but EOF."""
        try:
            while self._http.their_state is h11.SEND_BODY:
                if self._http.next_event() is h11.NEED_DATA:
                    return [("Connection", "close")]
        except h11.RemoteProtocolError:
            return [("Connection", "close")]
        return []

    def _finish_body(self) -> None:
        while self._http.their_state is h11.SEND_BODY:
            self.data()

    def _continue(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self._send(self._http.send(go_on) or b"", self._times.reply)

    def _receive(self, timeout: float) -> None:
        try:
            self.client.settimeout(max(timeout, 0.001))
            self._http.receive_data(self.client.recv(BLOCK))
        except OSError as error:
            raise ClientGone(str(error)) from error

    def _send(self, data: bytes, timeout: float | None) -> None:
        try:
            self.client.settimeout(timeout)
            self.client.sendall(data)
        except OSError as error:
            raise ClientGone(str(error)) from error

    def _linger(self) -> None:
        """Read what the client still sends, for a moment: closing now would make the kernel throw our reply away (ECONNRESET)."""
        deadline = time.monotonic() + self._times.linger
        try:
            self.client.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self.client.settimeout(left)
                if not self.client.recv(BLOCK):
                    return
        except OSError:
            return


class _Body(io.RawIOBase):
    """A request's body as a raw stream."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(self._wire.data())
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _check_framing(request: h11.Request) -> None:
    """Refuse a request whose length can be read in two ways; h11 alone would let these pass."""
    names = [name for name, _ in request.headers]
    if sum(len(name) + len(value) for name, value in request.headers) + len(request.target) > HEAD_LIMIT:
        raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
    if b"transfer-encoding" in names and b"content-length" in names:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding are given")
    if b"transfer-encoding" in names and request.http_version < b"1.1":
        raise h11.RemoteProtocolError("Transfer-Encoding is given in a request of HTTP/1.0")
