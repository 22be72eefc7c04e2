"""Which limits a kernel can keep: it was built, or booted, with or without the control files that they need."""

from __future__ import annotations

import os

#: By limit: the controller, its files in version 1, those in version 2 (one of them is enough; () where version 2 has no such limit).
FILES = {
    "memory": ("memory", ("memory.limit_in_bytes",), ("memory.max",)),
    "memory_swap": ("memory", ("memory.memsw.limit_in_bytes",), ("memory.swap.max",)),
    "memory_reservation": ("memory", ("memory.soft_limit_in_bytes",), ("memory.low",)),
    "memory_swappiness": ("memory", ("memory.swappiness",), ()),
    "oom_kill_disable": ("memory", ("memory.oom_control",), ()),
    "cpu_shares": ("cpu", ("cpu.shares",), ("cpu.weight",)),
    "cpu_period": ("cpu", ("cpu.cfs_period_us",), ("cpu.max",)),
    "cpu_quota": ("cpu", ("cpu.cfs_quota_us",), ("cpu.max",)),
    "cpuset_cpus": ("cpuset", ("cpuset.cpus",), ("cpuset.cpus",)),
    "cpuset_mems": ("cpuset", ("cpuset.mems",), ("cpuset.mems",)),
    "pids": ("pids", ("pids.max",), ("pids.max",)),
    "blkio_weight": ("blkio", ("blkio.weight", "blkio.bfq.weight"), ("io.weight", "io.bfq.weight")),
}


def lacking(hierarchies: dict[tuple[str, ...], str]) -> frozenset[str]:
    """The limits that cannot be kept where cgroups are mounted so (see `cgroups.hierarchies`)."""
    mounts = {name: mount for names, mount in hierarchies.items() for name in names}
    return frozenset(limit for limit in FILES if not _can(limit, mounts, hierarchies.get((), "")))


def _can(limit: str, mounts: dict[str, str], unified: str) -> bool:
    controller, files, unified_files = FILES[limit]
    if not mounts:  # version 2 alone
        return bool(unified_files) and _offers(unified, unified_files)
    return controller in mounts and _offers(mounts[controller], files)


def _offers(mount: str, files: tuple[str, ...]) -> bool:
    """Whether one of these files is there. Some are in no root: where nothing is below that either, nobody can know, and it is tried."""
    try:
        below = [entry.path for entry in os.scandir(mount) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return False
    return not below or any(os.path.exists(os.path.join(directory, name)) for directory in (mount, *below) for name in files)
