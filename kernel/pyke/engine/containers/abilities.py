"""A limit that this machine's kernel cannot keep is left out, and the user is told so in Docker's words: the container runs without it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Any

from pyke.errors import InvalidRequest
from pyke.model import Limits
from pyke.runtime import cgroups

# What the kernel does not support, and what becomes of it.
CLAIMS = {
    "memory": "memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "memory_reservation": "memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
    "memory_swappiness": "memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    "oom_kill_disable": "OomKillDisable. OomKillDisable discarded.",
    "pids": "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    "cpu_shares": "CPU shares or the cgroup is not mounted. Shares discarded.",
    "cpu_period": "CPU CFS scheduler or the cgroup is not mounted. Period discarded.",
    "cpu_quota": "CPU CFS scheduler or the cgroup is not mounted. Quota discarded.",
    "cpuset_cpus": "cpuset or the cgroup is not mounted. Cpuset discarded.",
    "cpuset_mems": "cpuset or the cgroup is not mounted. Cpuset discarded.",
    "blkio_weight": "Block I/O weight or the cgroup is not mounted. Weight discarded.",
}
NO_SWAP = "swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
UNLIMITED = -1


def kept_here(wanted: Limits) -> tuple[Limits, tuple[str, ...]]:
    """`kept`, on this machine. Most containers want no limit, and nobody looks for its files then: it would cost every start."""
    return kept(wanted, cgroups.lacking()) if wanted != Limits() else (wanted, ())


def kept(wanted: Limits, lacking: Set[str]) -> tuple[Limits, tuple[str, ...]]:
    """The limits without those that are lacking, and a warning for each that was asked for. A refusal of `--cpus`, as Docker's."""
    if wanted.nano_cpus and lacking & {"cpu_period", "cpu_quota"}:
        raise InvalidRequest(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
            hint="pyke run --help",
        )
    nothing = Limits()
    asked = {name for name in CLAIMS if getattr(wanted, name) != getattr(nothing, name)}
    dropped: dict[str, Any] = {name: getattr(nothing, name) for name in CLAIMS if name in asked & lacking}
    told = [CLAIMS[name] for name in dropped]
    if "memory" in dropped:
        dropped["memory_swap"] = nothing.memory_swap
    elif wanted.memory and "memory_swap" in lacking and wanted.memory_swap != UNLIMITED:
        dropped["memory_swap"] = UNLIMITED
        told.append(NO_SWAP)
    return replace(wanted, **dropped), tuple(dict.fromkeys(f"Your kernel does not support {each}" for each in told))
