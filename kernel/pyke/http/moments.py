"""Points in time as the API's parameters give them: `since` and `until` of logs and events."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pyke.errors import InvalidRequest

_UNIX = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?")
_FINE = re.compile(r"(\.\d{6})\d+")  # Python reads microseconds


def moment(text: str) -> int:
    """Nanoseconds since the epoch of "1136073845", "1136073845.000000001" or an RFC 3339 instant; 0 for ""."""
    if not text or text == "0":
        return 0
    match = _UNIX.fullmatch(text)
    if match:
        return int(match[1]) * 10**9 + int((match[2] or "0").ljust(9, "0"))
    try:
        instant = datetime.fromisoformat(_FINE.sub(r"\1", text))
    except ValueError:
        raise InvalidRequest(f"invalid time {text[:60]!r}", hint="pyke logs --since 2026-01-31T12:00:00Z CONTAINER") from None
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1_000_000) * 1000
