"""The conversation between a monitor and an engine: JSON objects, one a line, with descriptors beside them."""

from __future__ import annotations

import json
import os
from _socket import MSG_DONTWAIT

from pyke import sockets
from pyke.runtime.loop import IN, Loop

LONGEST_LINE = 1024 * 1024  # bytes; an attach request carries what the client typed early

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Peer:
    """An engine at the other end. One that does not read its replies, or sends nonsense, is hung up on."""

    __slots__ = ("_answer", "_connection", "_descriptors", "_loop", "_on_end", "_text", "is_subscribed")

    def __init__(
        self,
        loop: Loop,
        connection: sockets.Socket,
        answer: Callable[[Peer, dict[str, Any], list[int]], None],
        on_end: Callable[[Peer], None],
    ) -> None:
        self._loop, self._connection, self._answer, self._on_end = loop, connection, answer, on_end
        self._text = b""
        self._descriptors: list[int] = []  # received, and not yet taken by the request that they belong to
        self.is_subscribed = False
        loop.watch(connection.fileno(), IN, self._readable)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message; the kernel's buffer holds hundreds, so that it never waits for the engine."""
        line = json.dumps(message).encode() + b"\n"
        try:
            if self._connection.fileno() >= 0 and sockets.send(self._connection, line, flags=MSG_DONTWAIT) < len(line):
                self.close()
        except OSError:
            self.close()

    def fileno(self) -> int:
        """The connection's descriptor; -1 once it is closed."""
        return self._connection.fileno()

    def pause(self) -> None:
        """Read no more; what the engine says waits for whoever goes on with this connection."""
        if self.fileno() >= 0:
            self._loop.forget(self.fileno())

    def close(self) -> None:
        """Hang up; idempotent."""
        if self._connection.fileno() >= 0:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            for descriptor in self._descriptors:
                os.close(descriptor)
            self._on_end(self)

    def _readable(self, events: int) -> None:
        try:
            data, descriptors = sockets.receive(self._connection, 65536, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors += descriptors
        self._text += data
        if not data or (len(self._text) > LONGEST_LINE and b"\n" not in self._text):
            return self.close()
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            self._request(line)

    def _request(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return self.close()
        self._answer(self, request, self._descriptors)
