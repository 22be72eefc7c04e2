"""The filters that prunes take: `label=K[=V]`, `label!=K[=V]`, `until=TIME`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pyke.errors import InvalidRequest

Filters = Mapping[str, Sequence[str]]
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def prune_filter(filters: Filters | None, allowed: tuple[str, ...] = ()) -> Callable[[Mapping[str, str], int], bool]:
    """A predicate over labels and the time of creation (ns); `allowed` are further keys, which the caller looks at itself."""
    filters = filters or {}
    for key in filters:
        if key not in ("label", "label!", "until", *allowed):
            raise InvalidRequest(f"Invalid filter '{key}'", hint="pyke system prune --filter until=24h")
    before = min((moment(text) for text in filters.get("until", ())), default=None)

    def wanted(labels: Mapping[str, str], created: int) -> bool:
        return (
            (before is None or created < before)
            and all(has_label(labels, text) for text in filters.get("label", ()))
            and not any(has_label(labels, text) for text in filters.get("label!", ()))
        )

    return wanted


def has_label(labels: Mapping[str, str], text: str) -> bool:
    """Whether the labels hold "KEY" or "KEY=VALUE"."""
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


def moment(text: str) -> int:
    """A point in time, ns since the epoch: "1700000000[.5]", an RFC 3339 instant, or a span before now ("90m", "1h30m")."""
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        pass
    span = _span(text)
    if span is not None:
        return time.time_ns() - int(span * 1e9)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f'failed to parse value as time or duration: "{text}"', hint="pyke system prune --filter until=24h") from error
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1e9)


def _span(text: str) -> float | None:
    """Seconds of a Go duration ("1h30m"), or None where the text is not one."""
    total, number = 0.0, ""
    for character in text:
        if character.isdigit() or character == ".":
            number += character
        elif character in UNITS and number and number.count(".") < 2 and number != ".":
            total, number = total + float(number) * UNITS[character], ""
        else:
            return None
    return None if number or not text else total
