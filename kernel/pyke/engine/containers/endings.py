"""The facts of an end, kept with the container: who asked for it, how the process died, and what was decided then.

`pyke why` tells them; Docker's `inspect` has no place for most of them.
"""

from __future__ import annotations

import time

from pyke.engine.containers.exit_records import ExitRecord
from pyke.errors import PykeError
from pyke.model import Caller, Container, Ending, Request

KILLED = 137  # as a shell says SIGKILL
NAME_LIMIT = 16  # TASK_COMM_LEN


def asked(action: str, signal: int, caller: Caller) -> Request:
    """A request to end a container, with the name of the program that made it, as long as that can still be read."""
    return Request(action, signal, uid=caller.uid, pid=caller.pid, program=_program(caller.pid), time=time.time_ns())


def _program(pid: int) -> str:
    """The name that the kernel has for a process; "" for one that has ended. Anybody may choose it: control characters are left out."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return "".join(filter(str.isprintable, file.read(NAME_LIMIT).strip()))
    except OSError:
        return ""


def of_run(container: Container, record: ExitRecord, finished_at: int) -> Ending:
    """How a run ended; what is decided then is added later."""
    return Ending(
        exit_code=record.code,
        signal=record.signal,
        started_at=container.state.started_at,
        finished_at=finished_at,
        error=reason(container, record),
        oom_killed=record.oom_killed,
        memory_limit=container.spec.limits.memory,
        is_lost=record.lost,
        request=container.state.request,
        health=container.state.health,
    )


def of_failed_start(container: Container, error: PykeError, exit_code: int) -> Ending:
    """That a run never began."""
    return Ending(
        exit_code=exit_code,
        finished_at=time.time_ns(),
        error=error.message,
        hint=error.hint,
        memory_limit=container.spec.limits.memory,
        verdict="it could not be started",
    )


def reason(container: Container, record: ExitRecord) -> str:
    """What `inspect` says under Error, and `run` on its standard error, beside the exit code: "" for an ordinary end."""
    if record.oom_killed and record.code == KILLED:
        limit = container.spec.limits.memory
        return f"killed by its {size(limit)} memory limit" if limit else "killed because the host's memory was exhausted"
    return record.error


def size(count: int) -> str:
    """Bytes as people give limits: 64 MB for 64m."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count} B"
