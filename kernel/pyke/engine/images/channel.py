"""What the engine and a process that works for it say to each other: JSON objects, a packet each, over a pair of sockets."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from typing import Any

LARGEST = 1 << 17  # bytes of a message
KIND = socket.SOCK_SEQPACKET


class Channel:
    """One end. Whoever closes it, or ends, lets the other one see the end of what is said."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """One end for us, and the other to be given away."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
        return cls(ours), theirs

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        """Say something, and pass a descriptor with it. `OSError` where nobody is there to hear it."""
        data = json.dumps(message).encode()
        if descriptor is None:
            self._socket.send(data)
        else:
            socket.send_fds(self._socket, [data], [descriptor])

    def mention(self, message: dict[str, Any]) -> None:
        """Say what may as well go unheard: because nobody is there, or because the other one has not heard the last things yet."""
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def hear(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next message; None at the end. `TimeoutError` where nothing comes for so long."""
        message, descriptor = self.hear_all(seconds)
        if descriptor is not None:
            os.close(descriptor)
        return message

    def hear_all(self, seconds: float | None = None) -> tuple[dict[str, Any] | None, int | None]:
        """The next message, and the descriptor that came with it."""
        if not self.is_waiting(seconds):
            raise TimeoutError
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, LARGEST, 1)
        except ConnectionResetError:  # said once of a peer that left without hearing all; what it said itself is still there
            data, descriptors, _, _ = socket.recv_fds(self._socket, LARGEST, 1)
        return json.loads(data) if data else None, descriptors[0] if descriptors else None

    def is_waiting(self, seconds: float | None = 0.0) -> bool:
        """Whether there is something to hear, if only that it is the end, within so long; None: however long that takes."""
        poll = select.poll()  # not select(2), which knows only the first 1024 descriptors
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def hang_up(self) -> None:
        """Say no more, and go on listening."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
