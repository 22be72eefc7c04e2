"""What a container uses right now: its cgroup's counters, its interfaces', and the machine's clock to measure them by."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyke.model import Container
from pyke.runtime import cgroups

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # ns
BUSY_AND_IDLE = slice(1, 9)  # user to steal in proc_stat(5); guests are counted in user already
NETWORK_COUNTERS = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. Empty, with `time` 0, for a container that does not run."""

    time: int = 0  # ns since the epoch
    system: int = 0  # ns that all processors have spent, busy and idle, since boot
    processors: int = 0
    machine_memory: int = 0  # bytes
    cgroup: Mapping[str, Any] = field(default_factory=dict)  # as `Cgroup.statistics` has it
    networks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # counters by interface


def sample(engine: Engine, container: Container) -> Sample:
    """Look at a container."""
    if not container.state.is_running:
        return Sample()
    try:
        found = cgroups.at(engine.cgroup_path(container)).statistics()
    except OSError:  # it ends just now, or this system lacks a controller
        return Sample()
    return Sample(
        time=time.time_ns(),
        system=system_time(_read("/proc/stat")),
        processors=os.sysconf("SC_NPROCESSORS_ONLN"),
        machine_memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cgroup=found,
        networks={} if engine.networks.shares_host_namespace(container.spec) else _networks(container.state.pid),
    )


def system_time(stat: str) -> int:
    """Nanoseconds of all processors together, from the first line of /proc/stat."""
    return sum(int(each) for each in stat.split("\n", 1)[0].split()[BUSY_AND_IDLE]) * TICK


def _networks(pid: int) -> dict[str, dict[str, int]]:
    with contextlib.suppress(OSError):
        return interface_counters(_read(f"/proc/{pid}/net/dev"))
    return {}


def interface_counters(text: str) -> dict[str, dict[str, int]]:
    """The counters of /proc/PID/net/dev (proc_pid_net(5)), without those of the loopback."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        columns = [int(each) for each in numbers.split()]
        if name.strip() != "lo" and len(columns) >= 12:
            found[name.strip()] = dict(zip(NETWORK_COUNTERS, (*columns[0:4], *columns[8:12]), strict=True))
    return found


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
