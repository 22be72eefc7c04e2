"""How a process ended, as its monitor tells it or has written it down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How a process ended. `signal`: by which, 0 if it exited. `lost`: its monitor was killed, so that nobody saw the end."""

    code: int
    oom_killed: bool = False
    time: int = 0  # ns
    error: str = ""
    lost: bool = False
    signal: int = 0
    started: int = 0  # ns; 0: not known


def read_exit_record(path: str) -> ExitRecord | None:
    """What a monitor left at `path`; None if nothing, or nothing that makes sense."""
    try:
        with open(path, encoding="utf-8") as file:
            return exit_record(json.load(file))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def exit_record(data: dict[str, Any]) -> ExitRecord:
    """A monitor's words as a record."""
    code, signal, started = int(data["exit_code"]), int(data.get("signal", 0)), int(data.get("started", 0))
    return ExitRecord(code, bool(data["oom_killed"]), int(data["time"]), str(data.get("message", "")), signal=signal, started=started)
