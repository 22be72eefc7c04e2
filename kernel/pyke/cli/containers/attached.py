"""Being attached to a container: what `run`, `start -a` and `attach` share."""

from __future__ import annotations

import os

from pyke.cli.client import quote
from pyke.cli.containers import streams, terminal
from pyke.cli.session import STDIN, STDOUT, write
from pyke.errors import EngineUnavailable, PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pyke.cli.client import Client, Reply
    from pyke.cli.session import Session

FATAL_SIGNALS = 3  # of SIGINT and SIGTERM: then we go, whatever the container does
MOST_ENGINES = 100  # that may go away while we wait for one container


def require_terminal(*, stdin: bool, tty: bool) -> None:
    """Refuse `-it` where our stdin is not a terminal: the keys would come from a file, and no size or mode could be set."""
    if stdin and tty and not os.isatty(STDIN):
        raise PykeError("the input device is not a TTY")


class Attachment:
    """A container whose streams are ours for a while. Attach first, then start it: no byte of output is missed."""

    def __init__(self, engine: Client, container: str, *, tty: bool, streams: Iterable[str], detach_keys: str = "") -> None:
        self.engine = engine
        self.path = f"/containers/{quote(container)}"
        self.tty = tty
        self.wanted = set(streams)
        self.detach_keys = detach_keys
        query: dict[str, object] = {name: True for name in sorted(self.wanted)}
        query |= {"stream": True, "detachKeys": detach_keys or None}
        self.connection = engine.hijack(f"{self.path}/attach", query)

    def pump(self, waiting: Waiting | None = None) -> streams.Pump:
        """Carry bytes both ways until the container's output ends, or the user detaches; the pump knows which.

        The terminal is raw meanwhile and restored on every way out. `waiting` is looked after on the side: should the engine go away,
        its request is repeated at once, before the container ends.
        """
        takes_input = "stdin" in self.wanted
        with terminal.Raw(STDIN, wanted=self.tty and takes_input):
            pump = streams.Pump(
                self.connection,
                stdin=takes_input,
                framed=not self.tty,
                stdin_terminal=os.isatty(STDIN),
                detach_keys=self.detach_keys,
                waiting=waiting,
            )
            pump.run()
        self.connection.close()
        return pump

    def follow_window(self, *, redraw: bool = False) -> None:
        """Give the container's terminal the size of ours, now and whenever it changes.

        `redraw` gives it another size first, as Docker does: a program that is told nothing new shows nothing, and a shell no prompt.
        """
        if self.tty and os.isatty(STDOUT):
            if redraw:
                self._resize(more=1)
            self._resize()
            terminal.on_resize(self._resize)

    def _resize(self, more: int = 0) -> None:
        rows, columns = terminal.size(STDOUT)
        try:
            self.engine.post(f"{self.path}/resize", {"h": rows + more, "w": columns + more})
        except PykeError:
            return  # it has just ended, or has not begun: its size is nobody's trouble

    def proxy_signals(self) -> None:
        """Send signals that reach us to the container; the third SIGINT or SIGTERM ends us, as `docker run` does it."""
        streams.proxy_signals(self._forwarder())

    def _forwarder(self) -> Callable[[str], None]:
        fatal = 0

        def forward(name: str) -> None:
            nonlocal fatal
            fatal += name in ("SIGINT", "SIGTERM")
            if fatal >= FATAL_SIGNALS:
                write(2, f"\ngot {FATAL_SIGNALS} SIGTERM/SIGINTs, forcefully exiting\n")
                os._exit(1)
            try:
                self.engine.post(f"{self.path}/kill", {"signal": name})
            except PykeError:
                return  # it has just ended

        return forward


class Waiting:
    """A request for a container's exit status, made before the container starts so that no exit is missed."""

    def __init__(self, engine: Client, container: str, condition: str) -> None:
        self.engine = engine
        self.path = f"/containers/{quote(container)}/wait"
        self.condition = condition
        self.reason = ""  # why it ended, where the exit status alone does not say it; known after `result`
        self.reply: Reply = engine.open("POST", self.path, {"condition": condition})

    def fileno(self) -> int:
        """The descriptor that becomes readable with the answer, or when the engine goes away."""
        return self.reply.connection.socket.fileno()

    def heard(self) -> bool:
        """Take what the descriptor has. Whether there is more to wait for: after the engine went away and was asked again."""
        try:
            data = self.reply.connection.socket.recv(4096)
        except ConnectionResetError:
            data = b""
        if data:
            self.reply.connection.buffered += data
            return False
        try:
            self._ask_again()
        except (OSError, PykeError):
            return False  # `result` will try once more, and say what is wrong
        return True

    def _ask_again(self) -> None:
        """A container runs on without its engine; the next one knows it."""
        self.reply.connection.close()
        condition = "removed" if self.condition == "removed" else "not-running"
        self.reply = self.engine.open("POST", self.path, {"condition": condition})

    def result(self) -> int:
        """Wait for the exit status. When the engine goes away meanwhile, the next one is asked."""
        for _ in range(MOST_ENGINES):
            try:
                answer = next(iter(self.reply.json_values()), None)
            except (OSError, EngineUnavailable):
                answer = None
            if answer is not None:
                self.reason = answer.get("Reason", "")
                return _status(answer)
            self._ask_again()
        name = self.path.split("/")[2][:12]
        raise EngineUnavailable(f"{MOST_ENGINES} engines went away while {name} ran; its exit status is not known", hint="pyke info")


def outcome(session: Session, waiting: Waiting) -> int:
    """The exit status, after the reason has been told where there is one: a status of 137 does not say what limit was reached."""
    status = waiting.result()
    if waiting.reason:
        session.note(f"pyke: {waiting.reason}")
    return status


def _status(answer: dict[str, Any]) -> int:
    error = (answer.get("Error") or {}).get("Message")
    if error:
        raise PykeError(error)
    return int(answer["StatusCode"])
