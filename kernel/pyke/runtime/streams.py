"""A container's stdio: what it prints goes to its log and then to everybody attached, what they type goes to it.

Nobody can stall a container for good. A client that reads a little more slowly holds the container back, so that nothing is lost; for one
that has all but stopped reading what it misses is spooled. An exec has no other reader than its client, and waits for it. A container
that does not read its stdin makes the monitor stop reading its clients. (docs/decisions/0201-a-slow-reader-is-spooled.md)
"""

from __future__ import annotations

import fcntl
import os
import time

from pyke.runtime.clients import Client
from pyke.runtime.loop import IN, OUT, Loop, now

CHUNK = 256 * 1024  # bytes read at once
NAP = 0.001  # seconds; see `Output.read`
MUCH = 2048  # bytes at once that a person does not print
INPUT_FULL = 64 * 1024  # bytes that the container has not read of its stdin
FIONREAD = 0x541B  # asm-generic/ioctls.h
STALL_CHECK = 0.5  # seconds between looks at clients that hold the container back
PACE = 1024 * 1024  # bytes a second; who reads less, while the container is held back, is spooled
TERMINAL_PACE = 1  # the same for a terminal, where a program that prints too much is best held back: ^C is to be seen to work
PATIENCE = 10.0  # seconds for which a client whose spool is full may hold the container back without reading a byte
TERMINAL_BUFFER = 64 * 1024  # bytes that a terminal may hold besides those that FIONREAD counts (tty_buffer.c)
CUT = b"\r\npyke: the output is cut off here: too much of it was waiting for this client, which did not read\r\n"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyke.runtime.logfile import LogFile


class Input:
    """The container's stdin: a pipe or the master of its terminal, written to without ever waiting."""

    __slots__ = ("_descriptor", "_is_closing", "_loop", "_on_room", "_pending")

    def __init__(self, loop: Loop, descriptor: int, on_room: Callable[[], None]) -> None:
        os.set_blocking(descriptor, False)
        self._loop, self._descriptor, self._on_room = loop, descriptor, on_room
        self._pending = bytearray()
        self._is_closing = False

    @property
    def is_full(self) -> bool:
        return len(self._pending) >= INPUT_FULL

    def write(self, data: bytes) -> None:
        """Pass `data` on, now or when the container reads; to a stdin that is closed, it goes nowhere."""
        if self._descriptor >= 0 and not self._is_closing:
            self._pending += data
            self._flush()

    def close(self) -> None:
        """The container reads what is pending, then the end. Idempotent."""
        self._is_closing = True
        if not self._pending:
            self._end()

    def _flush(self, events: int = OUT) -> None:
        was_full = self.is_full
        try:
            while self._pending:
                del self._pending[: os.write(self._descriptor, self._pending)]
        except BlockingIOError:
            self._loop.watch(self._descriptor, OUT, self._flush)
        except OSError:  # EPIPE: it has closed its stdin, which is its right
            self._end()
        else:
            self._loop.forget(self._descriptor)
            if self._is_closing:
                self._end()
        if was_full and not self.is_full:
            self._on_room()

    def _end(self) -> None:
        self._pending.clear()
        if self._descriptor >= 0:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Output:
    """One of the container's outputs, as it is read."""

    __slots__ = ("_flows_since", "descriptor", "name", "number", "owed")

    def __init__(self, descriptor: int, number: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor, self.number = descriptor, number
        self.name = "stderr" if number == 2 else "stdout"
        self.owed = 0  # bytes that were in the pipe when the process ended
        self._flows_since = 0.0  # when it was last seen to print much and to be read faster than it prints; 0: not

    def waiting(self) -> int:
        """Bytes that can be read at once."""
        return int.from_bytes(fcntl.ioctl(self.descriptor, FIONREAD, bytes(4)), "little")

    def read(self) -> bytes | None:
        """The next chunk; b"" is the end (EIO on a terminal whose last user is gone), None: nothing now.

        A program that prints much is given a moment to fill its pipe: woken for every 4 KiB, both would spend their time on waking
        each other (measured: 9 KiB a turn and 85 MB/s; with a nap 200 KiB a turn, 97 to 126 MB/s, and half the CPU time).
        """
        if self._flows_since and now() - self._flows_since < 2 * NAP:
            time.sleep(NAP)
        try:
            chunk = os.read(self.descriptor, CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self.owed = max(0, self.owed - len(chunk))
        self._flows_since = now() if MUCH <= len(chunk) < CHUNK else 0.0
        return chunk


class Streams:
    """Connects a container's stdio with its log and its clients."""

    __slots__ = ("_clients", "_input", "_is_held", "_is_terminal", "_log", "_loop", "_outputs", "_spools", "_stdin_once")

    def __init__(self, loop: Loop, log: LogFile | None, *, is_terminal: bool, stdin_once: bool, spools: str) -> None:
        """`spools` is the directory for what clients do not read; "" lets the process wait for them."""
        self._loop, self._log, self._is_terminal, self._stdin_once, self._spools = loop, log, is_terminal, stdin_once, spools
        self._input: Input | None = None
        self._outputs: list[Output] = []
        self._clients: list[Client] = []
        self._is_held = False  # by a client that reads slowly

    def set_input(self, descriptor: int) -> None:
        """Take over the writing end of the container's stdin."""
        self._input = Input(self._loop, descriptor, self._arm_clients)
        self._arm_clients()

    def add_output(self, descriptor: int, number: int) -> None:
        """Take over the reading end of an output: 1 for stdout and terminals, 2 for stderr."""
        self._outputs.append(Output(descriptor, number))
        self._arm_outputs()

    # what it prints

    def _arm_outputs(self) -> None:
        for output in self._outputs:
            if self._is_held and not output.owed:
                self._loop.forget(output.descriptor)
            else:
                self._loop.watch(output.descriptor, IN, lambda events, output=output: self._printed(output))  # type: ignore[misc]

    def _printed(self, output: Output) -> None:
        chunk = output.read()
        if chunk is None:
            return
        if not chunk:
            return self._end_output(output)
        if self._log:
            self._log.write(output.name, chunk)
        for client in list(self._clients):
            self._tend(client, lambda client: client.send(output.number, chunk))
        self._hold()

    def _end_output(self, output: Output) -> None:
        self._outputs.remove(output)
        self._loop.forget(output.descriptor)
        os.close(output.descriptor)
        if self._log:
            self._log.finish(output.name)

    def _hold(self) -> None:
        """Stop reading the container while a client is full, go on when none is. What was printed before its end is read in any case."""
        was_held, self._is_held = self._is_held, any(client.is_full for client in self._clients)
        if was_held or self._is_held:
            self._arm_outputs()

    # who is attached

    def attach(self, client: Client, early: bytes) -> None:
        """From now on the client receives what is printed; `early` is what it typed before it was one."""
        self._clients.append(client)
        self._arm(client)
        if early and client.types:
            self._typed(client, early)

    def _arm_clients(self) -> None:
        for client in list(self._clients):
            self._arm(client)

    def _arm(self, client: Client) -> None:
        events = OUT if client.size else 0
        if client.types and self._input and not self._input.is_full:
            events |= IN
        self._loop.watch(client.descriptor, events, lambda events: self._client_ready(client, events))

    def _client_ready(self, client: Client, events: int) -> None:
        if events & OUT:
            self._tend(client, Client.flush)
            self._hold()
        if client in self._clients and events & IN:
            self._receive(client)
        if client in self._clients and events & ~(IN | OUT):
            self._hung_up(client)

    def _tend(self, client: Client, action: Callable[[Client], None]) -> None:
        """Do something that fails when the client is gone, and see what it waits for then."""
        try:
            action(client)
        except OSError:
            return self._leave(client)
        if client.is_closing and not client.size:
            return self._leave(client)
        self._arm(client)

    def _leave(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._loop.forget(client.descriptor)
            client.close()
            self._hold()

    # what is typed

    def _receive(self, client: Client) -> bool:
        """Pass on what the client typed; whether there was anything."""
        typed = client.receive(CHUNK)
        if typed:
            self._typed(client, typed)
        elif typed == b"":
            self._end_of_typing(client)
        return bool(typed)

    def _typed(self, client: Client, typed: bytes) -> None:
        is_leaving = False
        if self._is_terminal:  # elsewhere the bytes are data, and ctrl-p is one of them
            typed, is_leaving = client.keys.feed(typed)
        if self._input and typed:
            self._input.write(typed)
        if is_leaving:
            self._finish(client)
        elif client in self._clients:
            self._arm(client)

    def _end_of_typing(self, client: Client) -> None:
        """As Docker: with stdin_once the container reads the end of its stdin, otherwise the client has left and stdin stays open."""
        client.types = False
        if self._input and (begun := client.keys.finish()):
            self._input.write(begun)
        if self._input and self._stdin_once and not self._is_terminal:
            self._input.close()
            self._arm(client)
        else:
            self._finish(client)

    def _finish(self, client: Client) -> None:
        client.is_closing = True
        client.types = False
        self._tend(client, Client.flush)

    def _hung_up(self, client: Client) -> None:
        """The client is gone altogether; what it typed before still counts, and is no more than its socket's buffer holds."""
        while client.types and self._input and self._receive(client):
            pass
        self._leave(client)

    # the end

    def check_stalled(self) -> float | None:
        """See to clients that hold the container back; return seconds until this should be asked again, None for no need."""
        if self._is_held and self._spools:
            for client in [each for each in self._clients if each.is_full]:
                self._relieve(client)
            self._hold()
        return STALL_CHECK if self._is_held else None

    def _relieve(self, client: Client) -> None:
        """Spool for a client that is slow. One that does not empty its spool either hears, when it reads on, where it was cut off."""
        if not client.is_spooled:
            if client.is_slow(TERMINAL_PACE if self._is_terminal else PACE):
                client.spool(self._spools)
        elif client.idle() > PATIENCE:
            client.send(2 if 2 in client.wants else 1, CUT)
            self._finish(client)

    def process_ended(self) -> None:
        """Note what is owed to the readers: what was in the pipes when the process ended."""
        for output in self._outputs:
            output.owed = output.waiting() + (TERMINAL_BUFFER if self._is_terminal else 0)
        self._arm_outputs()

    @property
    def loss(self) -> str:
        """What of the output has been lost to the log, as a sentence; "" for nothing."""
        return self._log.loss if self._log else ""

    @property
    def has_outputs(self) -> bool:
        return bool(self._outputs)

    @property
    def is_owed(self) -> bool:
        return any(output.owed and output.waiting() for output in self._outputs)

    def close(self) -> None:
        """No more is read; the log is complete."""
        for output in list(self._outputs):
            self._end_output(output)
        if self._log:
            self._log.close()

    def dismiss(self, last_words: bytes = b"", number: int = 1) -> None:
        """Nothing more is typed or shown but `last_words`, on output `number`. Clients stay until they have read what is pending."""
        for client in list(self._clients):
            if last_words:
                self._tend(client, lambda client: client.send(number, last_words))
            if client in self._clients:
                self._finish(client)

    def linger(self, seconds: float) -> None:
        """Wait until every client has read all, or has not read for `seconds`."""
        while waiting := [client for client in self._clients if client.idle() < seconds]:
            self._loop.turn(max(0.01, seconds - max(client.idle() for client in waiting)))
        for client in list(self._clients):
            self._leave(client)
