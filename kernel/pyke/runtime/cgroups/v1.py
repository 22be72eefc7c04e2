"""Version 1: one directory in each hierarchy. Source: Documentation/admin-guide/cgroup-v1 of Linux."""

from __future__ import annotations

import contextlib
import os

from pyke.runtime.cgroups.common import Cgroup, number, patiently, read, table, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_LIMIT = 1 << 62  # bytes; version 1 says "none" with the largest multiple of a page
NANOSECONDS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class CgroupV1(Cgroup):
    __slots__ = ("hierarchies",)

    def __init__(self, path: str, hierarchies: dict[tuple[str, ...], str]) -> None:
        super().__init__(path)
        self.hierarchies = hierarchies

    def directories(self) -> list[str]:
        return [os.path.join(mount, self.path) for mount in self.hierarchies.values()]

    def file(self, controller: str, name: str) -> str:
        """The path of a control file. Raises FileNotFoundError where the system does not mount the controller."""
        for names, mount in self.hierarchies.items():
            if controller in names:
                return os.path.join(mount, self.path, name)
        raise FileNotFoundError(2, f"the cgroup controller {controller} is not mounted", f"/sys/fs/cgroup/{controller}")

    def create(self, resources: dict[str, Any]) -> None:
        for names, mount in self.hierarchies.items():
            directory = mount
            for part in self.path.split("/"):
                parent, directory = directory, os.path.join(directory, part)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(directory, 0o755)
                if "cpuset" in names:
                    _inherit_cpuset(parent, directory)
        self.update(resources)

    def enter(self) -> None:
        # A thread that moves itself takes no lock; the move of a process, by anybody, waits 10 ms for RCU when it is the first for a while.
        for directory in self.directories():
            write(os.path.join(directory, "tasks"), "0")

    def update(self, resources: dict[str, Any]) -> None:
        self._limit_memory(resources.get("memory") or {})
        self._limit_cpu(resources.get("cpu") or {})
        self._limit_blkio(resources.get("blockIO") or {})
        pids = (resources.get("pids") or {}).get("limit")
        if pids is not None:
            write(self.file("pids", "pids.max"), str(pids) if pids > 0 else "max")
        for rule in resources.get("devices") or []:
            write(self.file("devices", "devices.allow" if rule["allow"] else "devices.deny"), _device(rule))

    def _limit_memory(self, memory: dict[str, Any]) -> None:
        limit, swap = memory.get("limit"), memory.get("swap")
        if swap == -1 and not os.path.exists(self.file("memory", "memory.memsw.limit_in_bytes")):
            swap = None  # a kernel that does not account for swap does not limit it
        settings = {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes": swap}
        # The limit may at no moment exceed that of memory plus swap: the one that grows goes first.
        if swap is not None and (swap < 0 or swap > number(self.file("memory", "memory.limit_in_bytes"))):
            settings = dict(reversed(settings.items()))
        settings["memory.soft_limit_in_bytes"] = memory.get("reservation")
        settings["memory.swappiness"] = memory.get("swappiness")
        if "disableOOMKiller" in memory:
            settings["memory.oom_control"] = int(memory["disableOOMKiller"])
        self._write("memory", settings)

    def _limit_cpu(self, cpu: dict[str, Any]) -> None:
        self._write("cpu", {"cpu.shares": cpu.get("shares"), "cpu.cfs_period_us": cpu.get("period"), "cpu.cfs_quota_us": cpu.get("quota")})
        self._write("cpuset", {"cpuset.cpus": cpu.get("cpus"), "cpuset.mems": cpu.get("mems")})

    def _limit_blkio(self, blkio: dict[str, Any]) -> None:
        weight = blkio.get("weight")
        if weight:
            file = self.file("blkio", "blkio.weight")
            write(file if os.path.exists(file) else self.file("blkio", "blkio.bfq.weight"), str(weight))
        for key, name in THROTTLES.items():
            for device in blkio.get(key) or []:
                write(self.file("blkio", f"blkio.throttle.{name}"), f"{device['major']}:{device['minor']} {device['rate']}")

    def _write(self, controller: str, settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            if value is not None and value != "":
                write(self.file(controller, name), str(value))

    def freeze(self) -> None:
        state = self.file("freezer", "freezer.state")
        for _ in patiently(f"the processes of {self.path} do not stop"):
            write(state, "FROZEN")  # again: a process that forks meanwhile escapes the first time
            if read(state).strip() == "FROZEN":
                return

    def is_frozen(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return read(self.file("freezer", "freezer.state")).strip() != "THAWED"
        return False

    def thaw(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            write(self.file("freezer", "freezer.state"), "THAWED")

    def oom_events(self) -> int:
        return table(self.file("memory", "memory.oom_control")).get("oom_kill", 0)

    def statistics(self) -> dict[str, Any]:
        return {"memory": self._memory(), "cpu": self._cpu(), "pids": self._pids(), "blkio": self._blkio()}

    def _memory(self) -> dict[str, Any]:
        limit = number(self.file("memory", "memory.limit_in_bytes"))
        return {
            "usage": number(self.file("memory", "memory.usage_in_bytes")),
            "max_usage": number(self.file("memory", "memory.max_usage_in_bytes")),
            "limit": limit if limit < NO_LIMIT else 0,
            "failures": number(self.file("memory", "memory.failcnt")),
            "stats": table(self.file("memory", "memory.stat")),
        }

    def _cpu(self) -> dict[str, Any]:
        times, throttling = table(self.file("cpuacct", "cpuacct.stat")), table(self.file("cpu", "cpu.stat"))
        return {
            "usage": number(self.file("cpuacct", "cpuacct.usage")),
            "user": times.get("user", 0) * NANOSECONDS_PER_TICK,
            "system": times.get("system", 0) * NANOSECONDS_PER_TICK,
            "per_cpu": [int(each) for each in read(self.file("cpuacct", "cpuacct.usage_percpu")).split()],
            "throttling": {
                "periods": throttling.get("nr_periods", 0),
                "throttled_periods": throttling.get("nr_throttled", 0),
                "throttled_time": throttling.get("throttled_time", 0),
            },
        }

    def _pids(self) -> dict[str, int]:
        return {"current": number(self.file("pids", "pids.current")), "limit": number(self.file("pids", "pids.max"))}

    def _blkio(self) -> list[dict[str, Any]]:
        lines: list[list[str]] = []
        for name in BLKIO_BYTES:
            with contextlib.suppress(OSError):
                lines = lines or [line.split() for line in read(self.file("blkio", name)).splitlines() if ":" in line]
        return [_blkio_entry(*line) for line in lines if len(line) == 3]


#: Where the bytes are counted depends on the scheduler and on the age of the kernel.
BLKIO_BYTES = (
    "blkio.bfq.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
)
THROTTLES = {
    "throttleReadBpsDevice": "read_bps_device",
    "throttleWriteBpsDevice": "write_bps_device",
    "throttleReadIOPSDevice": "read_iops_device",
    "throttleWriteIOPSDevice": "write_iops_device",
}


def _inherit_cpuset(parent: str, directory: str) -> None:
    """A new cpuset is empty, and takes no process before it has processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read(os.path.join(directory, name)).strip():
            write(os.path.join(directory, name), read(os.path.join(parent, name)).strip())


def _device(rule: dict[str, Any]) -> str:
    """A rule as devices.allow takes it: "c 1:3 rwm", or "a" for all."""
    if rule.get("type", "a") == "a":
        return "a"
    major, minor = ("*" if rule.get(key) in (None, -1) else rule[key] for key in ("major", "minor"))
    return f"{rule['type']} {major}:{minor} {rule.get('access', 'rwm')}"


def _blkio_entry(device: str, op: str, value: str) -> dict[str, Any]:
    major, minor = device.split(":")
    return {"major": int(major), "minor": int(minor), "op": op, "value": int(value)}
