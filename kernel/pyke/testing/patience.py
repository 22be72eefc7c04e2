"""Waiting in tests: for something to come to pass, or for faults to go away, with a deadline that a slow machine does not miss."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 30.0  # seconds; whoever waits for less has a reason for it
INTERVAL = 0.02

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str = "what was waited for", *, within: float = PATIENCE) -> T:
    """Look again and again until there is something that counts as true, and return it; `AssertionError` after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not come to pass within {within:.0f} s: {what}"
        time.sleep(INTERVAL)
    return found


def remaining(look: Callable[[], list[str]], *, within: float = PATIENCE) -> list[str]:
    """Look for faults until there are none; those that are still there after `within` seconds."""
    deadline = time.monotonic() + within
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(INTERVAL)
    return found
