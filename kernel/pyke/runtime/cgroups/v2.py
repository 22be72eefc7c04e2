"""Version 2: one directory, and processes in leaves alone. Source: Documentation/admin-guide/cgroup-v2.rst of Linux."""

from __future__ import annotations

import contextlib
import os

from pyke.runtime import linux
from pyke.runtime.cgroups import device_filter
from pyke.runtime.cgroups.common import Cgroup, number, patiently, read, table, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IO_LIMITS = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}


class CgroupV2(Cgroup):
    __slots__ = ("mount",)

    def __init__(self, path: str, mount: str) -> None:
        super().__init__(path)
        self.mount = mount

    def directories(self) -> list[str]:
        return [os.path.join(self.mount, self.path)]

    def file(self, name: str) -> str:
        return os.path.join(self.mount, self.path, name)

    def create(self, resources: dict[str, Any]) -> None:
        directory = self.mount
        for part in self.path.split("/"):
            _delegate(directory)
            directory = os.path.join(directory, part)
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, 0o755)
        self.update(resources)
        if "devices" in resources:
            self._filter_devices(resources["devices"])

    def open(self) -> int:
        return os.open(self.file(""), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def update(self, resources: dict[str, Any]) -> None:
        for name, value in settings(resources).items():
            if name != "memory.swap.max" or value != "max" or os.path.exists(self.file(name)):  # without accounting there is no limit
                write(self.file(name), value)
        if weight := (resources.get("blockIO") or {}).get("weight"):
            self._weigh(weight)
        for key, name in IO_LIMITS.items():
            for device in (resources.get("blockIO") or {}).get(key) or []:
                write(self.file("io.max"), f"{device['major']}:{device['minor']} {name}={device['rate']}")

    def _weigh(self, weight: int) -> None:
        """Give a share of the disks, of 10 to 1000. BFQ, once it is loaded, has a file of its own, and knows nothing of the general one."""
        if os.path.exists(self.file("io.bfq.weight")):
            write(self.file("io.bfq.weight"), str(weight))
        else:
            write(self.file("io.weight"), f"default {1 + (weight - 10) * 9999 // 990}")

    def _filter_devices(self, rules: list[dict[str, Any]]) -> None:
        """The program stays attached as long as the cgroup exists; the descriptors need not."""
        directory = self.open()
        program = linux.bpf_load(linux.BPF_PROG_TYPE_CGROUP_DEVICE, device_filter.assemble(rules))
        try:
            linux.bpf_attach(directory, program, linux.BPF_CGROUP_DEVICE, linux.BPF_F_ALLOW_MULTI)
        finally:
            os.close(program)
            os.close(directory)

    def freeze(self) -> None:
        write(self.file("cgroup.freeze"), "1")
        for _ in patiently(f"the processes of {self.path} do not stop"):
            if table(self.file("cgroup.events")).get("frozen"):
                return

    def is_frozen(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return read(self.file("cgroup.freeze")).strip() == "1"
        return False

    def thaw(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            write(self.file("cgroup.freeze"), "0")

    def kill_all(self) -> None:
        # Since Linux 5.14 the kernel does it, at once for all: no fork escapes.
        with contextlib.suppress(FileNotFoundError):
            write(self.file("cgroup.kill"), "1")
        super().kill_all()

    def oom_events(self) -> int:
        return table(self.file("memory.events")).get("oom_kill", 0)

    def statistics(self) -> dict[str, Any]:
        times = table(self.file("cpu.stat"))
        return {
            "memory": {
                "usage": number(self.file("memory.current")),
                "max_usage": number(self.file("memory.peak")),
                "limit": number(self.file("memory.max")),
                "failures": table(self.file("memory.events")).get("max", 0),
                "stats": table(self.file("memory.stat")),
            },
            "cpu": {
                "usage": times.get("usage_usec", 0) * 1000,
                "user": times.get("user_usec", 0) * 1000,
                "system": times.get("system_usec", 0) * 1000,
                "per_cpu": [],
                "throttling": {
                    "periods": times.get("nr_periods", 0),
                    "throttled_periods": times.get("nr_throttled", 0),
                    "throttled_time": times.get("throttled_usec", 0) * 1000,
                },
            },
            "pids": {"current": number(self.file("pids.current")), "limit": number(self.file("pids.max"))},
            "blkio": parse_io(read(self.file("io.stat"))) if os.path.exists(self.file("io.stat")) else [],
        }


def settings(resources: dict[str, Any]) -> dict[str, str]:
    """OCI resources, which speak version 1, as files of version 2 and what to write to them; but for those of disks."""
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    limit, swap = memory.get("limit"), memory.get("swap")
    pids = (resources.get("pids") or {}).get("limit")
    wanted = {
        "memory.max": _maximum(limit),
        # Version 1 limits memory plus swap, version 2 swap alone.
        "memory.swap.max": _maximum(swap if swap is None or swap < 0 or limit is None else swap - limit),
        "memory.low": _maximum(memory.get("reservation")),
        "cpu.weight": str(1 + (max(2, cpu["shares"]) - 2) * 9999 // 262142) if cpu.get("shares") else None,
        "cpu.max": _cpu_maximum(cpu),
        "cpuset.cpus": cpu.get("cpus") or None,
        "cpuset.mems": cpu.get("mems") or None,
        "pids.max": None if pids is None else str(pids) if pids > 0 else "max",
    }
    return {name: value for name, value in wanted.items() if value is not None}


def parse_io(text: str) -> list[dict[str, Any]]:
    """Turn io.stat ("8:0 rbytes=1 wbytes=2 ...") into Docker's entries."""
    entries = []
    for line in text.splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        major, minor = (int(each) for each in device.split(":"))
        for op, key in (("Read", "rbytes"), ("Write", "wbytes")):
            if key in values:
                entries.append({"major": major, "minor": minor, "op": op, "value": int(values[key])})
    return entries


def _maximum(value: int | None) -> str | None:
    return None if value is None else "max" if value < 0 else str(value)


def _cpu_maximum(cpu: dict[str, Any]) -> str | None:
    quota, period = cpu.get("quota"), cpu.get("period")
    if not quota and not period:
        return None
    return f"{quota if quota and quota > 0 else 'max'} {period or 100000}"


def _delegate(directory: str) -> None:
    """Let the children of `directory` use every controller that it has itself; one that it may not give on is left out."""
    available = read(os.path.join(directory, "cgroup.controllers")).split()
    enabled = read(os.path.join(directory, "cgroup.subtree_control")).split()
    for name in available:
        if name not in enabled:
            with contextlib.suppress(OSError):
                write(os.path.join(directory, "cgroup.subtree_control"), f"+{name}")
