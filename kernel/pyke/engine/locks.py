"""A lock for each object, made when it is wanted and forgotten when nobody holds it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Locks:
    """Serialises operations on one object and nothing else.

    Order, where two are needed: container, then network, then image. Never held across network I/O or a wait for a process to end; only
    a layer's is, from the first byte of its download to the last, for nobody else can do anything with that layer but wait.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[tuple[str, str], tuple[threading.RLock, int]] = {}

    @contextlib.contextmanager
    def of(self, kind: str, id: str) -> Iterator[None]:
        """Hold the lock of an object for the length of a block; the same thread may enter twice."""
        key = (kind, id)
        with self._guard:
            lock, users = self._held.get(key) or (threading.RLock(), 0)
            self._held[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                _, users = self._held[key]
                if users == 1:
                    del self._held[key]
                else:
                    self._held[key] = (lock, users - 1)
