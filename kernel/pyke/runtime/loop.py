"""One poll(2) loop: who waits for which descriptor, and what to do when it is ready."""

from __future__ import annotations

import select
import time

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """Handlers by descriptor. A handler is called with the events that happened; it may watch and forget any descriptor."""

    __slots__ = ("_forgotten", "_handlers", "_poll")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._forgotten: set[int] = set()

    def watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` when one of `events` happens (errors and hang-ups always count); takes the place of an earlier wish."""
        self._poll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Stop watching; idempotent. Before the descriptor is closed, for its number may come back at once."""
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
            self._forgotten.add(descriptor)

    def turn(self, seconds: float | None = None) -> None:
        """Wait until something happens, or for `seconds`, and call the handlers concerned once."""
        self._forgotten.clear()
        for descriptor, events in self._poll.poll(None if seconds is None else max(0, seconds * 1000)):
            # Forgotten in this very turn: what happened is over, even if the number is watched anew.
            if descriptor not in self._forgotten:
                self._handlers[descriptor](events)


def now() -> float:
    """Seconds on a clock that only goes forward."""
    return time.monotonic()
