"""Waiting in tests: for something to come to pass, or for faults to go away, with a deadline that a slow machine does not miss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

PATIENCE = 60.0  # seconds; whoever waits for less has a reason for it
INTERVAL = 0.02  # seconds until the second look; the pauses grow, for whoever is waited for needs the processor more
LONGEST_INTERVAL = 0.2

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str = "what was waited for", *, within: float = PATIENCE) -> T:
    """Look again and again until there is something that counts as true, and return it; `AssertionError` after `within` seconds."""
    for _ in _moments(within):
        if found := look():
            return found
    raise AssertionError(f"it did not come to pass within {within:.0f} s: {what}")


def remaining(look: Callable[[], list[str]], *, within: float = PATIENCE) -> list[str]:
    """Look for faults until there are none; those that are still there after `within` seconds."""
    found: list[str] = []
    for _ in _moments(within):
        if not (found := look()):
            break
    return found


def _moments(within: float) -> Iterator[None]:
    """The moments to look at: now, again and again, and once more when the time is over."""
    deadline, pause = time.monotonic() + within, INTERVAL
    while (left := deadline - time.monotonic()) > 0:
        yield
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_INTERVAL)
    yield
