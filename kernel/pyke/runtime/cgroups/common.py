"""What both versions of cgroups share: small files, and the killing of everything."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATIENCE = 5.0  # seconds until an emptied cgroup has to be gone, or a frozen one frozen


class Cgroup:
    """One container's cgroup. `path` is relative to the root of the hierarchy or of the hierarchies."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def directories(self) -> list[str]:
        """The directories that are this cgroup."""
        raise NotImplementedError

    def create(self, resources: dict[str, Any]) -> None:
        """Make it, with its parents; idempotent. `resources` are those of an OCI configuration; they may hold `devices`."""
        raise NotImplementedError

    def place(self, pid: int) -> None:
        """Move a process in."""
        for directory in self.directories():
            write(os.path.join(directory, "cgroup.procs"), str(pid))

    def open(self) -> int:
        """A descriptor for `linux.clone`, with which a child is born inside; -1 where it has to `enter`."""
        return -1

    def enter(self) -> None:
        """Move this process, which has one thread, in; nothing to do for one that was born inside."""

    def update(self, resources: dict[str, Any]) -> None:
        """Set the limits that `resources` names; leave the others."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop every process and return when they have stopped; idempotent."""
        raise NotImplementedError

    def is_frozen(self) -> bool:
        """Whether its processes are stopped, or are about to be."""
        raise NotImplementedError

    def thaw(self) -> None:
        """Let the processes run on; idempotent."""
        raise NotImplementedError

    def statistics(self) -> dict[str, Any]:
        """What it uses: {"memory": {"usage", "max_usage", "limit", "failures", "stats": {...}} (bytes),
        "cpu": {"usage", "user", "system", "per_cpu": [...]} (ns) and "throttling": {"periods", "throttled_periods", "throttled_time"},
        "pids": {"current", "limit"}, "blkio": [{"major", "minor", "op", "value"}] (bytes)}. A limit of 0 means none.
        """
        raise NotImplementedError

    def oom_events(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """All processes in it and in the cgroups below it."""
        found: list[int] = []
        for directory, _, _ in os.walk(self.directories()[0]):
            with contextlib.suppress(FileNotFoundError, OSError):
                found += [int(line) for line in read(os.path.join(directory, "cgroup.procs")).split()]
        return found

    def exists(self) -> bool:
        return os.path.isdir(self.directories()[0])

    def kill_all(self) -> None:
        """Send SIGKILL to every process, also to those that are born meanwhile; returns when none is left, or raises TimeoutError."""
        for _ in patiently(f"the processes of {self.path} do not end"):
            pids = self.pids()
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.thaw()  # a frozen process does not die in version 1

    def remove(self) -> None:
        """Kill what is left in it and remove it, with all that is below; idempotent."""
        self.kill_all()
        for directory in self.directories():
            remove_tree(directory)


def patiently(complaint: str):  # type: ignore[no-untyped-def]
    """Yield again and again, after growing pauses, until the patience is at its end: TimeoutError(complaint)."""
    deadline, pause = time.monotonic() + PATIENCE, 0.0005
    while True:
        yield
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, complaint)
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def remove_tree(directory: str) -> None:
    """Remove a cgroup and those below it; what has just been emptied may be busy for a moment."""
    for path, _, _ in os.walk(directory, topdown=False):
        for _ in patiently(f"the cgroup {path} cannot be removed: it is busy"):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno == errno.EBUSY:
                    continue
                raise
            break


def write(path: str, text: str) -> None:
    """Write a control file in one write, without creating it; the error names it and what was written."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (writing {text!r})", path) from error
    finally:
        os.close(fd)


def read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def number(path: str, default: int = 0) -> int:
    """The number in a control file; `default` where there is none ("max", or no such file)."""
    try:
        return int(read(path))
    except (OSError, ValueError):
        return default


def table(path: str) -> dict[str, int]:
    """A file of "name number" lines; empty where it is missing."""
    with contextlib.suppress(OSError):
        pairs = (line.split() for line in read(path).splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    return {}
