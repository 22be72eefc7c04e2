"""Bytes of HTTP/1.1 on one connection: h11 reads heads and writes replies, this does the socket, the limits and the time-outs. What a
request brings is read in `body.py`."""

from __future__ import annotations

import fcntl
import socket
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedIOBase

import h11

from pyke import __version__
from pyke.http.body import BLOCK, Body, ClientGone, Inlet
from pyke.http.versions import NEWEST

HEAD_LIMIT = 64 << 10  # bytes; X-Registry-Auth may be long


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long a client may take, in seconds."""

    idle: float = 300.0  # between two requests of a connection
    head: float = 10.0  # from a request's first byte to the end of its head
    body: float = 60.0  # between two pieces of a body
    reply: float = 60.0  # to take a whole reply
    linger: float = 2.0  # to notice that no more of its body is wanted
    takeover: float = 0.05  # to read the head of a reply before the connection is a container's


Headers = Sequence[tuple[str, str]]
IDENTITY = (
    ("Api-Version", str(NEWEST)),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"Pyke/{__version__} (linux)"),
)


class Wire:
    """One connection, seen as a sequence of requests and replies."""

    def __init__(self, client: socket.socket, times: TimeOuts) -> None:
        self.client, self._times = client, times
        self._await_request(b"")

    def _await_request(self, ahead: bytes) -> None:
        """Begin anew, with what the client has sent already. Each request has an h11 connection, which never sees a body."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        if ahead:
            self._http.receive_data(ahead)
        self._inlet = Inlet(self.client, b"", self._times.body, self._go_on)
        self._body = Body(self._inlet, 0)
        self._is_waited_for = False  # by a client that sends its body when it is told to go on

    def next_request(self) -> h11.Request | None:
        """The head of the next request; None when the client has closed. Raises `h11.RemoteProtocolError`, `ClientGone`."""
        deadline = 0.0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._receive(deadline - time.monotonic() if deadline else self._times.idle)
                deadline = deadline or time.monotonic() + self._times.head
            elif isinstance(event, h11.Request):
                self._begin_body(event, _length_of_body(event))
                return event
            else:
                return None

    def _begin_body(self, request: h11.Request, length: int | None) -> None:
        self._is_waited_for = self._http.they_are_waiting_for_100_continue
        self._inlet = Inlet(self.client, self._http.trailing_data[0], self._times.body, self._go_on)
        self._body = Body(self._inlet, length)

    def body(self) -> BufferedIOBase:
        """The body of that request, read from the socket as it is asked for."""
        return self._body

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
        if not piece:
            return
        parts = self._http.send_with_data_passthrough(h11.Data(data=piece)) or []
        try:
            self.client.settimeout(None)
            sent = self.client.sendmsg(parts)  # without a copy that has what stands before and behind it
        except OSError as error:
            raise ClientGone(str(error)) from error
        if sent < sum(map(len, parts)):  # a signal came in between
            self._send(b"".join(parts)[sent:], None)

    def end_stream(self) -> None:
        self._send(self._http.send(h11.EndOfMessage()) or b"", self._times.reply)

    def hijack(self, content_type: str, upgrade: bool) -> bytes:
        """Leave HTTP behind, as Docker does for attach; returns what the client sent too early. The socket blocks from then on."""
        while self._body.read1():
            pass
        early = self._inlet.take(len(self._inlet)) if len(self._inlet) else b""
        status = "101 UPGRADED" if upgrade else "200 OK"
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in IDENTITY), f"Content-Type: {content_type}"]
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        self._send("\r\n".join([*lines, "", ""]).encode("ascii"), self._times.reply)
        self.client.settimeout(None)
        self._await_reading()
        return early

    def _await_reading(self) -> None:
        """Until the client has taken the head, or for a moment: one that reads its head through a buffer, as many libraries do, would
        have in it, and lose, what came right behind."""
        deadline, unread = time.monotonic() + self._times.takeover, bytearray(4)
        while not fcntl.ioctl(self.client, termios.TIOCOUTQ, unread) and any(unread) and time.monotonic() < deadline:
            time.sleep(0.0002)

    def next_cycle(self) -> bool:
        """Make ready for another request; False where the connection cannot be used again."""
        if not self._body.is_whole:
            self._linger()
            return False
        if self._http.our_state is not h11.DONE:
            return False
        self._await_request(self._inlet.take(len(self._inlet)) if len(self._inlet) else b"")
        return True

    def _leave_body(self) -> Headers:
        """Drop what has come of a body that nobody has read. If more is to come, the connection ends with the reply, and says so:
        a client that sent its next request on it would be told nothing but EOF."""
        return [] if self._body.leave() else [("Connection", "close")]

    def _go_on(self) -> None:
        """Before the first wait for a body: its client may be waiting, too."""
        if self._is_waited_for:
            self._is_waited_for = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n", self._times.reply)

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


def _length_of_body(request: h11.Request) -> int | None:
    """How long the body is; None says that it comes in chunks. A request whose length can be read in two ways, which h11 alone would let
    pass, is refused."""
    fields = dict(request.headers)
    if sum(len(name) + len(value) for name, value in request.headers) + len(request.target) > HEAD_LIMIT:
        raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
    if b"transfer-encoding" in fields and b"content-length" in fields:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding are given")
    if b"transfer-encoding" in fields and request.http_version < b"1.1":
        raise h11.RemoteProtocolError("Transfer-Encoding is given in a request of HTTP/1.0")
    return None if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))
