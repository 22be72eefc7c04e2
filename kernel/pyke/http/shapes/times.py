"""Instants and spans of time, as Go's standard library and Docker's units print them."""

from __future__ import annotations

import time

NEVER = "0001-01-01T00:00:00Z"  # Go's zero time

_SECOND = 10**9
_HOUR = 3600
_DAY = 24 * _HOUR


def rfc3339(nanoseconds: int) -> str:
    """An instant in UTC with as many decimals as it needs; 0 is Go's zero time."""
    if not nanoseconds:
        return NEVER
    seconds, fraction = divmod(nanoseconds, _SECOND)
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + decimals + "Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """The same with all nine decimals: the time stamps of `logs --timestamps`."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def human_duration(nanoseconds: int) -> str:
    """A span in one unit, rounded as in Docker's units.HumanDuration: "5 seconds", "About a minute", "2 weeks"."""
    seconds = max(nanoseconds, 0) // _SECOND
    if seconds < 60:
        return "Less than a second" if seconds < 1 else "1 second" if seconds == 1 else f"{seconds} seconds"
    if seconds < _HOUR:
        return "About a minute" if seconds < 120 else f"{seconds // 60} minutes"
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, size, unit in ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months")):
        if hours < limit:
            return f"{hours // size} {unit}"
    return f"{seconds // (_DAY * 365)} years"
