"""Being attached to a container: what `run`, `start -a` and `attach` share."""

from __future__ import annotations

import os

from pyke.cli import streams, terminal
from pyke.cli.client import quote
from pyke.cli.session import STDIN, STDOUT, write
from pyke.errors import EngineUnavailable, PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pyke.cli.client import Client, Reply
    from pyke.cli.session import Session

FATAL_SIGNALS = 3  # of SIGINT and SIGTERM: then we go, whatever the container does
NOT_FOUND = 404


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
        query: dict[str, object] = {name: True for name in sorted(self.wanted)}
        query |= {"stream": True, "detachKeys": detach_keys or None}
        self.connection = engine.hijack(f"{self.path}/attach", query)

    def pump(self) -> None:
        """Carry bytes both ways until the container's output ends. The terminal is raw meanwhile and restored on every way out."""
        takes_input = "stdin" in self.wanted
        with terminal.Raw(STDIN, wanted=self.tty and takes_input):
            streams.Pump(self.connection, stdin=takes_input, framed=not self.tty, stdin_terminal=os.isatty(STDIN)).run()
        self.connection.close()

    def follow_window(self) -> None:
        """Give the container's terminal the size of ours, now and whenever it changes."""
        if self.tty and os.isatty(STDOUT):
            self._resize()
            terminal.on_resize(self._resize)

    def _resize(self) -> None:
        rows, columns = terminal.size(STDOUT)
        try:
            self.engine.post(f"{self.path}/resize", {"h": rows, "w": columns})
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
        self.reply: Reply = engine.open("POST", self.path, {"condition": condition})

    def result(self) -> int:
        """Wait for the exit status. An engine that goes away meanwhile is asked once more: the container runs on without it."""
        try:
            answer = next(iter(self.reply.json_values()), None)
        except (OSError, EngineUnavailable):
            answer = None
        if answer is None:
            condition = "removed" if self.condition == "removed" else "not-running"
            answer = self.engine.post(self.path, {"condition": condition})
        return _status(answer)


def _status(answer: dict[str, Any]) -> int:
    error = (answer.get("Error") or {}).get("Message")
    if error:
        raise PykeError(error)
    return int(answer["StatusCode"])


def is_running(session: Session, container: str) -> bool:
    """Whether a container still runs: after its output ended, that it does means that the user detached."""
    state = session.engine.get(f"/containers/{quote(container)}/json")["State"]
    return bool(state["Running"])
