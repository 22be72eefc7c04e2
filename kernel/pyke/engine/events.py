"""What happened, told to whoever listens, and kept for whoever asks later."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Mapping

from pyke.engine.state import State
from pyke.model import Event

QUEUE_LIMIT = 4096  # events a listener may lag behind before it is cut off
ATTRIBUTES_LIMIT = 32 << 10  # characters of all attributes of an event: the labels of an image, which are among them, may be megabytes


class Events:
    """The engine's event bus. Publishing never waits for a listener."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = state.lock  # an event is told and recorded together with what it is about
        self._listeners: list[queue.Queue[Event | None]] = []

    def publish(self, kind: str, action: str, object: str, known: Mapping[str, str] | None = None, /, **attributes: str) -> Event:
        """Record an event and hand it to every listener. What is `known` of the object (its labels, which may have any name) and the
        `attributes` of the event are what Docker shows under Actor; the longest go when they are more than an event may hold. Within a
        transaction it is recorded with it, and told when that has been made."""
        with self._state.transaction():
            event = Event(
                time=time.time_ns(), kind=kind, action=action, object=object, attributes=_bounded({**(known or {}), **attributes})
            )
            self._state.add_event(event)
            self._state.after_commit(lambda: self._deliver(event))
        return event

    def _deliver(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener.put_nowait(event)
            except queue.Full:
                self._listeners.remove(listener)
                listener.queue.clear()
                listener.put_nowait(None)

    def subscribe(self, since: int = 0, until: int = 0, wanted: Callable[[Event], bool] = lambda event: True) -> Subscription:
        """Past events from `since` (ns, 0: none), then those to come until `until` (ns, 0: for ever)."""
        return Subscription(self, since, until, wanted)


def _bounded(attributes: dict[str, str]) -> dict[str, str]:
    """The shortest attributes that fit the limit, in their order."""
    sizes = {name: len(name) + len(value) for name, value in attributes.items()}
    left = ATTRIBUTES_LIMIT - sum(sizes.values())
    if left >= 0:
        return attributes
    kept = dict(attributes)
    for name in sorted(sizes, key=lambda each: sizes[each], reverse=True):
        if left >= 0:
            break
        left += sizes[name]
        del kept[name]
    return kept


class Subscription:
    """One listener. Registered when it is made, so that nothing is missed between asking and reading."""

    def __init__(self, events: Events, since: int, until: int, wanted: Callable[[Event], bool]) -> None:
        self._events, self._until, self._wanted = events, until, wanted
        self._queue: queue.Queue[Event | None] = queue.Queue(QUEUE_LIMIT)
        with events._lock:
            last = until or time.time_ns()
            self._past = events._state.events(since, last) if since else []
            events._listeners.append(self._queue)

    def __iter__(self) -> Iterator[Event]:
        try:
            yield from filter(self._wanted, self._past)
            while (event := self._next()) is not None:
                if self._wanted(event):
                    yield event
        finally:
            self.close()

    def next(self, timeout: float) -> Event | None:
        """The next event that is wanted, or None when `timeout` seconds pass without one."""
        try:
            event = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        return event if event is not None and self._wanted(event) else None

    def _next(self) -> Event | None:
        left = None if not self._until else (self._until - time.time_ns()) / 1e9
        if left is not None and left <= 0:
            return None
        try:
            return self._queue.get(timeout=left)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop listening; a reader that waits is released."""
        with self._events._lock:
            if self._queue in self._events._listeners:
                self._events._listeners.remove(self._queue)
        if not self._queue.full():
            self._queue.put_nowait(None)
