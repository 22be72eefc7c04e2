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

    from pyke.cli.client import Connection
    from pyke.cli.containers.attached import Waiting
    from pyke.detach import DetachKeys

HEADER = 8
CHUNK = 64 * 1024


def frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Split a framed stream into (descriptor, data), without waiting for the rest of a large frame.

    Neighbours of one stream come together: a log has a frame for each line, and a system call for each would take most of the time.
    """
    pending = b""
    descriptor, missing = STDOUT, 0
    for chunk in chunks:
        pending, position, together = pending + chunk if pending else chunk, 0, []
        while position < len(pending):
            if missing:
                data = pending[position : position + missing]
                missing -= len(data)
                position += len(data)
                together.append(data)
                continue
            if len(pending) - position < HEADER:
                break
            number = STDERR if pending[position] == STDERR else STDOUT
            if number != descriptor and together:
                yield descriptor, b"".join(together)
                together = []
            descriptor, missing = number, int.from_bytes(pending[position + 4 : position + HEADER], "big")
            position += HEADER
        pending = pending[position:]
        if together:
            yield descriptor, b"".join(together)


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
    still prints. `framed` is false for a container with a terminal; there `detach_keys`, as a flag has them, let the user go.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        stdin: bool,
        framed: bool,
        stdin_terminal: bool = False,
        detach_keys: str = "",
        waiting: Waiting | None = None,
    ) -> None:
        self.waiting = waiting
        self.connection = connection
        self.stdin = stdin
        self.framed = framed
        self.stdin_terminal = stdin_terminal
        self.keys = None if framed else _keys(detach_keys)
        self.was_left = False  # by the detach keys
        self.has_input_ended = self.was_refused = self.has_received = False
        self.input = b""  # read, and not yet sent
        self.poll = select.poll()

    def run(self) -> None:
        """Pump until the output ends. Neither direction waits for the other: what cannot be sent now is sent when it can be."""
        copy_out(self._incoming(), framed=self.framed)

    def _incoming(self) -> Iterator[bytes]:
        if self.connection.buffered:
            self.has_received = True
            yield self.connection.read_some()
        self.poll.register(self.connection.socket.fileno(), select.POLLIN)
        if self.stdin:
            self.poll.register(STDIN, select.POLLIN)
        if self.waiting:
            self.poll.register(self.waiting.fileno(), select.POLLIN)
        while True:
            for descriptor, events in self.poll.poll():
                if self.waiting and descriptor == self.waiting.fileno():
                    self._look_after(self.waiting)
                elif descriptor == STDIN:
                    self._read_input()
                elif events == select.POLLOUT:
                    self._send_input()
                elif data := self._receive():
                    self.has_received = True
                    yield data
                else:
                    return

    def _look_after(self, waiting: Waiting) -> None:
        self.poll.unregister(waiting.fileno())
        if waiting.heard():
            self.poll.register(waiting.fileno(), select.POLLIN)
        else:
            self.waiting = None

    def _receive(self) -> bytes:
        try:
            return self.connection.socket.recv(CHUNK)
        except ConnectionResetError:
            return b""

    def _read_input(self) -> None:
        """Take what can be read from our stdin. No more is read before it is sent."""
        self.poll.unregister(STDIN)
        try:
            self.input = os.read(STDIN, CHUNK)
        except OSError:
            self.input = b""  # EIO: our terminal is gone
        if self.input:
            self.was_left = self.keys is not None and self.keys.feed(self.input)[1]
            self._send_input()
        else:
            self._end_input()

    def _send_input(self) -> None:
        """Send what is to be sent, as much as the other side takes now."""
        try:
            self.input = self.input[self.connection.socket.send(self.input, _socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            pass
        except OSError:
            self.input = b""  # the container stopped reading; its output may still come
            self.was_refused = True
        self.poll.modify(self.connection.socket.fileno(), select.POLLIN | (select.POLLOUT if self.input else 0))
        if not (self.input or self.was_left or self.was_refused):
            self.poll.register(STDIN, select.POLLIN)

    def _end_input(self) -> None:
        self.has_input_ended = True
        if not self.stdin_terminal:
            try:
                self.connection.socket.shutdown(_socket.SHUT_WR)
            except OSError:
                return  # it has ended altogether


def _keys(detach_keys: str) -> DetachKeys:
    from pyke import detach  # not for a command without a terminal

    return detach.DetachKeys(detach.parse(detach_keys).encode())


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
