"""Clients on the way to a container: the promise of a connection is made before the connection is handed over."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

PATIENCE = 2.0  # seconds that a start waits for clients on the way


class Arrivals:
    """Counts the clients that were told "you are attached" and are not yet, by container.

    Docker's client attaches, reads that promise, and asks for the start on another connection. The start may then be quicker than the
    thread that made the promise, and what the container printed would be lost to the client. So a start waits for those on the way.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._expected: Counter[str] = Counter()

    @contextlib.contextmanager
    def expected(self, container: str) -> Iterator[None]:
        """From before the promise, to when the client is attached or has gone."""
        with self._changed:
            self._expected[container] += 1
        try:
            yield
        finally:
            with self._changed:
                self._expected[container] -= 1
                self._expected += Counter()  # those without any are forgotten
                self._changed.notify_all()

    def wait(self, container: str, patience: float = PATIENCE) -> None:
        """Return when nobody is on the way to the container; after `patience` seconds at the latest."""
        with self._changed:
            self._changed.wait_for(lambda: not self._expected[container], patience)
