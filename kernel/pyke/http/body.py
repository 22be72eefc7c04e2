"""The body of a request, straight from the socket. h11 reads heads; of a body it would copy and look at every byte several times.

There are two framings (RFC 9112, sections 6.2 and 7.1): a length, or chunks. What is not exactly one of them is refused, for whatever two
readers could understand in two ways hides a second request. Extensions of chunks and trailers say nothing that anybody here asks for.
"""

from __future__ import annotations

import io
import os
import re
import select
import socket
from collections.abc import Callable

from pyke.errors import InvalidRequest

BLOCK = 256 << 10  # bytes taken from the socket at once
LINE_LIMIT = 1 << 10  # bytes of the line before a chunk, with its extensions
TRAILER_LIMIT = 8 << 10  # bytes of all trailers

CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class ClientGone(ConnectionError):
    """The client closed the connection, or is too slow."""


class Inlet:
    """What a client sends after the head of a request: first what came together with it, then what the socket has."""

    def __init__(self, client: socket.socket, ahead: bytes, timeout: float, before_waiting: Callable[[], None]) -> None:
        self.client, self._timeout, self._before_waiting = client, timeout, before_waiting
        self._ahead, self._at = ahead, 0  # what was received, and how much of that was taken
        self.may_wait = True

    def __len__(self) -> int:
        """Bytes that were received and not yet taken."""
        return len(self._ahead) - self._at

    def take(self, most: int) -> bytes:
        """Some bytes, at most `most`; b"" where the client has closed."""
        if not len(self):
            return self._receive(most)
        taken = self._ahead[self._at : self._at + most]
        self._at += len(taken)
        return taken

    def line(self) -> bytes:
        """The bytes before the next CR LF, which are few."""
        while (end := self._ahead.find(b"\r\n", self._at, self._at + LINE_LIMIT)) < 0:
            if len(self) >= LINE_LIMIT:
                raise _broken("a line in it does not end")
            if not (more := self._receive(LINE_LIMIT)):
                raise _broken("the client closed the connection in the middle of it")
            self._ahead, self._at = self._ahead[self._at :] + more, 0
        taken = self._ahead[self._at : end]
        self._at = end + 2
        return taken

    def move(self, most: int, pipe: int) -> int:
        """Move some bytes, at most `most`, into a pipe that has room for them; 0 where the client has closed."""
        if len(self):
            moved = os.write(pipe, memoryview(self._ahead)[self._at : self._at + most])
            self._at += moved
            return moved
        self._before_waiting()
        poll = select.poll()
        poll.register(self.client, select.POLLIN)
        if not poll.poll(self._timeout * 1000):
            raise ClientGone("timed out")
        try:
            # In the kernel's hands from one to the other: nothing is copied, and no other thread waits for this one.
            return os.splice(self.client.fileno(), pipe, most, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return -1
        except ConnectionResetError as error:
            raise ClientGone(str(error)) from error

    def _receive(self, most: int) -> bytes:
        if self.may_wait:
            self._before_waiting()
        try:
            self.client.settimeout(self._timeout if self.may_wait else 0)
            return self.client.recv(most)
        except OSError as error:
            raise ClientGone(str(error)) from error


class Body(io.BufferedIOBase):
    """A body as a stream. `length` is that of its bytes; None says that it comes in chunks."""

    def __init__(self, inlet: Inlet, length: int | None) -> None:
        self._inlet = inlet
        self._is_chunked = length is None
        self._has_begun = False
        self._left = length or 0  # bytes of the chunk, or of all of it, that are still to come
        self.is_whole = length == 0  # whether all of it has been read

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Bytes as many as were asked for, or all that are left. `InvalidRequest` for a broken body, `ClientGone`."""
        missing = -1 if size is None else size
        pieces: list[bytes] = []
        while missing and (piece := self.read1(missing)):
            pieces.append(piece)
            missing -= len(piece) if missing > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, size: int = -1) -> bytes:
        """Some bytes, as they come; b"" at the end."""
        if not self._goes_on():
            return b""
        piece = self._inlet.take(min(self._left, BLOCK if size < 0 else min(size, BLOCK)))
        self._count(len(piece))
        return piece

    def move(self, pipe: int) -> bool:
        """Move some bytes into a pipe that has room; False at the end."""
        if not self._goes_on():
            return False
        moved = self._inlet.move(min(self._left, BLOCK), pipe)
        if moved >= 0:
            self._count(moved)
        return True

    def leave(self) -> bool:
        """Drop what has come of it without having been read, and wait for nothing; whether that was all of it."""
        self._inlet.may_wait = False
        try:
            dropped = 0
            while dropped < BLOCK and (piece := self.read1()):
                dropped += len(piece)
        except (InvalidRequest, ClientGone):
            return False
        return self.is_whole

    def _count(self, size: int) -> None:
        if not size:
            raise _broken("the client closed the connection in the middle of it")
        self._left -= size
        self.is_whole = not self._left and not self._is_chunked

    def _goes_on(self) -> bool:
        """Whether there is more; if so, `_left` says how much before the next line about chunks."""
        if not self._left and not self.is_whole:
            self._next_chunk()
        return not self.is_whole

    def _next_chunk(self) -> None:
        if self._has_begun and self._inlet.line():
            raise _broken("a chunk is longer than it says")
        self._has_begun = True
        if not (found := CHUNK.fullmatch(self._inlet.line())):
            raise _broken("it has no length where a chunk begins")
        self._left = int(found[1], 16)
        if not self._left:
            self._skip_trailers()
            self.is_whole = True

    def _skip_trailers(self) -> None:
        size = 0
        while line := self._inlet.line():
            size += len(line)
            if size > TRAILER_LIMIT or not TRAILER.fullmatch(line):
                raise _broken("it has trailers that are none, or too many")


def _broken(why: str) -> InvalidRequest:
    return InvalidRequest(f"the body of the request is broken: {why}")
