"""What a process holds, as the kernel counts it, and whose child it is."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

NURSERY = b"pyke.engine.images.worker"  # in its command line


@dataclass(frozen=True, slots=True)
class Holdings:
    """Bytes of memory, open descriptors and threads of a process."""

    memory: int
    descriptors: int
    threads: int


def holdings(pid: int) -> Holdings:
    """What a process holds now. OSError where there is none."""
    return Holdings(memory(pid), descriptors(pid), len(os.listdir(f"/proc/{pid}/task")))


def memory(pid: int) -> int:
    """Bytes of its memory that belong to no file, each page divided among those who share it. The pages of files that it maps are left
    out: its part of them changes as other processes of the same program come and go."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss_Anon:"))


def private_memory(pid: int) -> int:
    """Bytes that a process shares with nobody."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Private_"))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def parent(pid: int) -> int:
    """The parent of a process. OSError where there is none."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def children(pid: int) -> set[int]:
    """The processes whose parent it is, without those that have ended and are to be buried."""
    found = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),  # it ended meanwhile, and another thread has its children
            open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file,
        ):
            found |= {int(word) for word in file.read().split()}
    return {child for child in found if is_alive(child)}


def layer_workers(engine: int) -> set[int]:
    """The processes that fetch and unpack layers for an engine: children of the one that is there to fork them."""
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one of them ended meanwhile
        for child in children(engine):
            found |= children(child) if NURSERY in _command(child) else set()
    return found


def _command(pid: int) -> bytes:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


def family(pid: int) -> set[int]:
    """A process and all that descend from it; those that end meanwhile may be missing."""
    found = {pid}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in children(pid):
            found |= family(child)
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs: a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
