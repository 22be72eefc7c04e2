"""Instants: what `--since` may be, and how the API's are shown."""

from __future__ import annotations

import time

from pyke.cli import units

_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def api_timestamp(text: str, now: float | None = None) -> str:
    """Turn what a user may give for `--since` and `--until` into the API's "SECONDS.NANOSECONDS".

    Accepted, as by Docker: seconds since the epoch, a duration before now ("10m"), RFC 3339 with or without zone and time.
    ValueError if it is none of these.
    """
    if text.replace(".", "", 1).isdigit():
        return text
    try:
        before = units.parse_duration(text)
    except ValueError:
        return _plain(parse(text))
    return _plain(int((time.time() if now is None else now) * units.SECOND) - before)


def _plain(nanoseconds: int) -> str:
    return f"{nanoseconds // units.SECOND}.{nanoseconds % units.SECOND:09d}"


def parse(text: str) -> int:
    """Read RFC 3339 and its shorter forms; nanoseconds since the epoch. Without a zone it is local time."""
    moment, offset = _split_zone(text)
    moment, _, fraction = moment.partition(".")
    for form in _FORMS:
        try:
            fields = time.strptime(moment, form)
        except ValueError:
            continue
        seconds = int(time.mktime(fields)) if offset is None else _utc_seconds(fields) - offset
        return seconds * units.SECOND + int(fraction[:9].ljust(9, "0") or "0")
    raise ValueError(f'failed to parse value as time or duration: "{text}"')


def _split_zone(text: str) -> tuple[str, int | None]:
    """Take a zone off the end of an instant: the rest, and its offset from UTC in seconds (None where there is none)."""
    if text.endswith(("Z", "z")):
        return text[:-1], 0
    if len(text) > 16 and text[-6] in "+-" and text[-3] == ":" and (text[-5:-3] + text[-2:]).isdigit():
        return text[:-6], (int(text[-5:-3]) * 3600 + int(text[-2:]) * 60) * (-1 if text[-6] == "-" else 1)
    return text, None


def _utc_seconds(fields: time.struct_time) -> int:
    from datetime import datetime, timezone

    return int(datetime(*fields[:6], tzinfo=timezone.utc).timestamp())  # noqa: UP017


def ago(seconds: float, now: float | None = None) -> str:
    """Say how long an instant (seconds since the epoch) is ago: "2 minutes ago"; "N/A" for the zero of Go's time."""
    if seconds <= 0:
        return "N/A"
    return units.human_duration(max(0.0, (time.time() if now is None else now) - seconds)) + " ago"


def local(seconds: int) -> str:
    """Write an instant as Docker's CreatedAt: "2026-11-24 03:01:53 +0000 UTC"."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def rfc3339_nano(nanoseconds: int) -> str:
    """Write an instant in local time with nine digits: "2026-11-24T03:27:55.551114202+00:00"."""
    seconds, rest = divmod(nanoseconds, units.SECOND)
    zone = time.strftime("%z", time.localtime(seconds))
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) + f".{rest:09d}{zone[:3]}:{zone[3:]}"


def rfc3339(seconds: int) -> str:
    """Write an instant (seconds since the epoch) in UTC: "2026-11-24T03:01:53Z"."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
