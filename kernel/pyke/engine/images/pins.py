"""What is being used by something in the making, and must not be collected meanwhile."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Iterator, Sequence


class Pins:
    """A set of names, each held by any number of blocks of code."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def held(self, names: Sequence[str]) -> Iterator[None]:
        """Hold these for the length of a block."""
        with self._lock:
            self._held.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(names)
                self._held += collections.Counter()  # drops those at zero

    def names(self) -> set[str]:
        """All that is held now."""
        with self._lock:
            return set(self._held)
