"""Those who are attached to a container: each a connection of its own, with a bounded buffer for what it has not yet read, and a spool
for one that has all but stopped reading."""

from __future__ import annotations

import struct
from _socket import MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR

from pyke.detach import DetachKeys
from pyke.runtime.loop import now
from pyke.runtime.spool import Spool
from pyke.sockets import Socket

FULL = 1024 * 1024  # bytes unread by a client from which on the container is held back
STALL = 1.0  # seconds for which a full client is observed before it is called slow
FRAME = struct.Struct(">BxxxL")  # the Engine API's attach stream: stream, three zeros, length

NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


class Client:
    """An attached client. Its connection is never made non-blocking (others may hold it too): each call says MSG_DONTWAIT."""

    __slots__ = (
        "_connection",
        "_framed",
        "_observed",
        "_pending",
        "_progress",
        "_read",
        "_spool",
        "descriptor",
        "is_closing",
        "keys",
        "size",
        "types",
        "wants",
    )

    def __init__(self, connection: Socket, streams: list[str], framed: bool, keys: bytes) -> None:
        self._connection, self._framed = connection, framed
        self.descriptor = connection.fileno()
        self.wants = {NUMBERS[stream] for stream in streams}
        self.types = "stdin" in streams  # and has not ended its input
        self.keys = DetachKeys(keys)
        self._pending: list[bytes | memoryview] = []
        self._spool: Spool | None = None  # what comes after `_pending`
        self.size = 0  # of what it has not read, in bytes
        self._read = 0  # bytes
        self._progress = now()
        self._observed = (0.0, 0)  # when, and what it had read then
        self.is_closing = False  # leaves as soon as it has read what is pending

    def send(self, stream: int, chunk: bytes) -> None:
        """Send what the container printed, now or later. OSError when the client is gone."""
        if stream not in self.wants or self.is_closing:
            return
        parts: list[bytes | memoryview] = [FRAME.pack(stream, len(chunk)), chunk] if self._framed else [chunk]
        if not self.size:
            self._progress = now()
        self.size += sum(map(len, parts))
        if self._spool:
            return self._spool.append(b"".join(parts))
        self._pending += parts
        if len(self._pending) == len(parts):
            self.flush()

    def flush(self) -> None:
        """Send what the connection takes of what is pending. OSError when the client is gone."""
        while self._pending or self._refill():
            try:
                sent = self._connection.sendmsg(self._pending[:16], [], MSG_DONTWAIT | MSG_NOSIGNAL)
            except BlockingIOError:
                return
            self._progress = now()
            self.size -= sent
            self._read += sent
            self._forget(sent)

    def _refill(self) -> bool:
        """Take the next block out of the spool; a client that has read all of it needs none any more."""
        if self._spool is None:
            return False
        if block := self._spool.take():
            self._pending.append(block)
            return True
        self._spool.close()
        self._spool = None
        return False

    def _forget(self, sent: int) -> None:
        done = 0
        for part in self._pending:
            if sent < len(part):
                break
            sent -= len(part)
            done += 1
        del self._pending[:done]
        if sent:
            self._pending[0] = memoryview(self._pending[0])[sent:]

    def receive(self, size: int) -> bytes | None:
        """What the client typed; b"" is its end, None: nothing now."""
        try:
            return self._connection.recv(size, MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    @property
    def is_full(self) -> bool:
        if self.is_closing:
            return False
        return self._spool.is_full if self._spool else self.size >= FULL

    @property
    def is_spooled(self) -> bool:
        return self._spool is not None

    def is_slow(self, pace: int) -> bool:
        """Whether it has read less than `pace` bytes a second since it was first looked at. To be asked of a full client, repeatedly."""
        when, read = self._observed
        elapsed = now() - when
        if elapsed < STALL:
            return False
        self._observed = (now(), self._read)
        return elapsed < 3 * STALL and self._read - read < pace * elapsed  # else it was observed on another occasion

    def spool(self, directory: str) -> None:
        """From now on keep what it does not read in files in `directory`, until it has read them."""
        self._spool = Spool(directory)

    def idle(self) -> float:
        """Seconds since it last read a byte of what is pending; 0 when nothing is."""
        return now() - self._progress if self.size else 0.0

    def close(self) -> None:
        """End the connection. What it still sent is read first: closing with unread input would make the kernel reset it."""
        if self._spool:
            self._spool.close()
        try:
            self._connection.shutdown(SHUT_WR)
            for _ in range(64):
                if not self.receive(65536):
                    break
        except OSError:
            pass
        self._connection.close()
