"""What engines ask of a monitor, in words of docs/architecture.md. Each request is answered, in order."""

from __future__ import annotations

import base64
import os
import signal

from pyke import sockets
from pyke.runtime.clients import Client
from pyke.runtime.stdio import set_terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.runtime.control import Peer
    from pyke.runtime.monitor import Monitor

OPERATIONS = ("go", "abort", "attach", "resize", "signal", "subscribe", "state", "wake", "noted")


class Requests:
    """Does what is asked: for each operation a method of its name, which takes the request and returns what the answer says besides."""

    __slots__ = ("_monitor",)

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def answer(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        """Do what `peer` asks, and tell it how that went. `descriptors` came with the request; what is taken is removed from them."""
        operation = str(request.get("op"))
        reply: dict[str, Any] = {"reply": operation, "error": None}
        try:
            if operation not in OPERATIONS:
                raise ValueError(f"the request {operation!r} is unknown")
            reply.update(getattr(self, operation)(peer, request, descriptors) or {})
        except KeyError as error:
            reply["error"] = f"the request {operation!r} lacks {error}"
        except (OSError, TypeError, ValueError) as error:
            reply["error"] = str(error)
        peer.tell(reply)

    def go(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        if self._monitor.phase != "ready":
            raise ValueError(f"it cannot start: it is {self._monitor.phase}")
        self._monitor.let_go()

    def abort(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        if self._monitor.phase in ("created", "ready"):
            self._monitor.abort()
        elif self._monitor.is_alive:
            os.kill(self._monitor.pid, signal.SIGKILL)

    def attach(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        connection = sockets.Socket(fileno=descriptors.pop(0)) if descriptors else None
        if connection is None:
            raise ValueError("an attach request comes with the client's connection")
        if not self._monitor.takes_clients:
            raise ValueError("nobody can be attached to a detached container before it runs")
        keys = str(request.get("detach_keys", "")).encode()
        client = Client(connection, request["streams"], bool(request["framed"]), keys)
        if self._monitor.phase in ("ended", "failed"):
            client.close()
            raise ValueError("the process has ended")
        self._monitor.streams.attach(client, base64.b64decode(request.get("early") or ""))

    def resize(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        self._monitor.size = (int(request["rows"]), int(request["columns"]))
        if self._monitor.terminal >= 0:
            set_terminal_size(self._monitor.terminal, *self._monitor.size)

    def signal(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        """Safe by its number: until the monitor has reaped it, nobody else can have it."""
        if not self._monitor.is_alive:
            raise ProcessLookupError("the process has ended" if self._monitor.pid else "the process has not begun")
        os.kill(self._monitor.pid, int(request["signal"]))

    def wake(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        """What to run at the end, if no engine is there to be told; null for nothing."""
        self._monitor.bundle["wake"] = request["argv"]

    def noted(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> None:
        """An engine has done what the end asks for: no other need be woken."""
        self._monitor.is_noted = True

    def subscribe(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        peer.is_subscribed = True
        return self.state(peer, request, descriptors)

    def state(self, peer: Peer, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        pid = self._monitor.pid if self._monitor.is_alive else 0  # once it is reaped the number may be another's
        return {"phase": self._monitor.phase, "pid": pid, "started": self._monitor.started, "loss": self._monitor.streams.loss}
