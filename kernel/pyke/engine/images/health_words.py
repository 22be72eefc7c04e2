"""HEALTHCHECK, as a Dockerfile has it, into the Healthcheck of an image's configuration (moby image-spec v1.2; nanoseconds)."""

from __future__ import annotations

import json
import re
from typing import Any

from pyke.errors import InvalidRequest

TIMES = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval"}
SHORTEST = 1_000_000  # ns
_OPTION = re.compile(r"--([a-z-]+)=(\S+)\s+")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse(text: str) -> dict[str, Any]:
    """What stands behind HEALTHCHECK: `NONE`, or options and `CMD` with a command. `InvalidRequest` says what is wrong."""
    options: dict[str, Any] = {}
    while found := _OPTION.match(text):
        options |= _option(*found.groups())
        text = text[found.end() :]
    kind, _, rest = text.partition(" ")
    if kind.upper() == "NONE" and not options and not rest.strip():
        return {"Test": ["NONE"]}
    if kind.upper() != "CMD":
        raise InvalidRequest(f"Unknown type {kind[:80]!r} in HEALTHCHECK (try CMD)")
    if not rest.strip():
        raise InvalidRequest("Missing command after HEALTHCHECK CMD")
    return {"Test": _test(rest.strip()), **options}


def _option(name: str, value: str) -> dict[str, int]:
    if name == "retries":
        if not value.isdecimal() or not 0 < int(value[:6]) < 10**5:
            raise InvalidRequest(f"--retries must be at least 1 (not {value[:40]})")
        return {"Retries": int(value)}
    if name not in TIMES:
        raise InvalidRequest(f"Unknown flag: {name[:40]}", hint="pyke run --help")
    return {TIMES[name]: _duration(name, value)}


def _duration(name: str, value: str) -> int:
    """A Go duration ("1m30s") in nanoseconds."""
    parts = _PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise InvalidRequest(f"--{name}: invalid duration {value[:40]!r}")
    nanoseconds = round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
    if 0 < nanoseconds < SHORTEST:
        raise InvalidRequest(f"Interval {name!r} cannot be less than 1ms")
    return nanoseconds


def _test(command: str) -> list[str]:
    """The JSON form is executed as it stands, anything else by the image's shell."""
    try:
        words = json.loads(command) if command.startswith("[") else None
    except ValueError:
        words = None
    is_words = isinstance(words, list) and all(isinstance(word, str) for word in words)
    return ["CMD", *words] if is_words and words else ["CMD-SHELL", command]
