"""A container's streams on a hijacked connection: stdin one way, stdout and stderr (framed unless it has a terminal) the other.

Frames are Docker's: one byte for the stream (1 stdout, 2 stderr), three zeros, the length as 32 bits big-endian, the data.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would bring `enum` with it: 4 ms
import _socket
import os
import select

from pyke.cli.session import STDERR, STDIN, STDOUT, write_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyke.cli.attached import Waiting
    from pyke.cli.client import Connection

HEADER = 8
CHUNK = 64 * 1024



def frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Split a framed stream into (descriptor, data), without waiting for the rest of a large frame."""
    pending = b""
    descriptor, missing = STDOUT, 0
    for chunk in chunks:
        pending += chunk
        while pending:
            if missing:
                data, pending = pending[:missing], pending[missing:]
                missing -= len(data)
                yield descriptor, data
            elif len(pending) < HEADER:
                break
            else:
                descriptor = STDERR if pending[0] == STDERR else STDOUT
                missing = int.from_bytes(pending[4:HEADER], "big")
                pending = pending[HEADER:]


def copy_out(chunks: Iterable[bytes], *, framed: bool, keep: Callable[[int], bool] = lambda _stream: True) -> None:
    """Write a container's output to our stdout and stderr, until it ends."""
    if not framed:
        for data in chunks:
            write_bytes(STDOUT, data)
        return
    for descriptor, data in frames(chunks):
        if keep(descriptor):
            write_bytes(descriptor, data)


class Pump:
    """Moves bytes between the user and a hijacked connection until the container's side ends, or the user detaches.

    `stdin` says whether ours is sent; at its end only the sending half is closed, so that `echo x | pyke run -i busybox cat`
    still prints. `framed` is false for a container with a terminal.
    """

    def __init__(
        self, connection: Connection, *, stdin: bool, framed: bool, stdin_terminal: bool = False, waiting: Waiting | None = None
    ) -> None:
        self.waiting = waiting
        self.connection = connection
        self.stdin = stdin
        self.framed = framed
        self.stdin_terminal = stdin_terminal

    def run(self) -> None:
        """Pump until the output ends."""
        copy_out(self._incoming(), framed=self.framed)

    def _incoming(self) -> Iterator[bytes]:
        if self.connection.buffered:
            yield self.connection.read_some()
        poll = select.poll()
        poll.register(self.connection.socket.fileno(), select.POLLIN)
        if self.stdin:
            poll.register(STDIN, select.POLLIN)
        if self.waiting:
            poll.register(self.waiting.fileno(), select.POLLIN)
        while True:
            for descriptor, _events in poll.poll():
                if self.waiting and descriptor == self.waiting.fileno():
                    self._look_after(self.waiting, poll)
                elif descriptor == STDIN:
                    if not self._send_input():
                        poll.unregister(STDIN)
                elif data := self._receive():
                    yield data
                else:
                    return

    def _look_after(self, waiting: Waiting, poll: select.poll) -> None:
        poll.unregister(waiting.fileno())
        if waiting.heard():
            poll.register(waiting.fileno(), select.POLLIN)
        else:
            self.waiting = None

    def _receive(self) -> bytes:
        try:
            return self.connection.socket.recv(CHUNK)
        except ConnectionResetError:
            return b""

    def _send_input(self) -> bool:
        """Send what can be read from our stdin; False at its end, or when nobody takes it any more."""
        try:
            if data := os.read(STDIN, CHUNK):
                self.connection.socket.sendall(data)
                return True
            if not self.stdin_terminal:
                self.connection.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            return False  # the container stopped reading; its output may still come
        return False


def proxy_signals(send: Callable[[str], object]) -> None:
    """Send the signals that reach us on to the container; `send` takes a name such as "SIGINT".

    Not those that cannot be caught, nor those that are about ourselves: our children, our window, our job control, our output.
    """
    own = {"SIGKILL", "SIGSTOP", "SIGCHLD", "SIGCLD", "SIGWINCH", "SIGPIPE", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGCONT"}
    faults = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGIOT", "SIGTRAP", "SIGSYS", "SIGPROF", "SIGVTALRM"}
    for name in dir(_signal):
        if name.startswith("SIG") and not name.startswith(("SIG_", "SIGRT")) and name not in own and name not in faults:
            _signal.signal(getattr(_signal, name), _forwarder(send, name))


def _forwarder(send: Callable[[str], object], name: str) -> Callable[[int, object], None]:
    def forward(_number: int, _frame: object) -> None:
        send(name)

    return forward
