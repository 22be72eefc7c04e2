"""Who waits for a container to end, or to be gone."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pyke.errors import InvalidRequest

CONDITIONS = ("not-running", "next-exit", "removed")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's process ended: `code` as a shell would say it."""

    code: int
    error: str = ""


@dataclass(eq=False)
class Wait:
    """One who waits. Registered from the moment it exists, so that nothing is missed between asking and waiting."""

    waits: Waits
    container: str
    condition: str
    _done: threading.Event = field(default_factory=threading.Event)
    _exit: Exit | None = None

    def result(self, timeout: float | None = None) -> Exit | None:
        """Block until it happens; None when `timeout` seconds pass first, or after `cancel`."""
        self._done.wait(timeout)
        return self._exit

    def cancel(self) -> None:
        """Give up; idempotent, and releases whoever blocks in `result`."""
        self.waits.forget(self)
        self._done.set()

    def settle(self, exit: Exit) -> None:
        self._exit = exit
        self._done.set()


class Waits:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Wait]] = {}

    def register(self, container: str, condition: str) -> Wait:
        if condition not in CONDITIONS:
            raise InvalidRequest(f'invalid condition: "{condition}"', hint=f"one of {', '.join(CONDITIONS)}")
        wait = Wait(self, container, condition)
        with self._lock:
            self._waiting.setdefault(container, []).append(wait)
        return wait

    def exited(self, container: str, exit: Exit) -> None:
        """The process has ended: everybody but those who wait for the removal may go."""
        self._settle(container, exit, ("not-running", "next-exit"))

    def removed(self, container: str, exit: Exit) -> None:
        """The container is gone: nobody has anything left to wait for."""
        self._settle(container, exit, CONDITIONS)

    def forget(self, wait: Wait) -> None:
        with self._lock:
            self._keep(wait.container, [each for each in self._waiting.get(wait.container, []) if each is not wait])

    def _settle(self, container: str, exit: Exit, conditions: tuple[str, ...]) -> None:
        with self._lock:
            waiting = self._waiting.get(container, [])
            self._keep(container, [each for each in waiting if each.condition not in conditions])
        for each in waiting:
            if each.condition in conditions:
                each.settle(exit)

    def _keep(self, container: str, waiting: list[Wait]) -> None:
        if waiting:
            self._waiting[container] = waiting
        else:
            self._waiting.pop(container, None)
