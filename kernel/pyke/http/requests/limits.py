"""Resource limits of HostConfig (and of `update`) → `Limits`, with Docker's checks (daemon/daemon_unix.go's order)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.model import Limits

MINIMUM_MEMORY = 6 << 20
ULIMITS = ("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
           "sigpending", "stack")  # fmt: skip

NOT_ENFORCED = (
    "CpuRealtimePeriod", "CpuRealtimeRuntime", "KernelMemory", "KernelMemoryTCP", "StorageOpt",
)  # fmt: skip
THROTTLES = {  # what the API calls it, and what a specification does
    "BlkioDeviceReadBps": "read_bps", "BlkioDeviceWriteBps": "write_bps",
    "BlkioDeviceReadIOps": "read_iops", "BlkioDeviceWriteIOps": "write_iops",
}  # fmt: skip
NO_OOM_KILLER = (
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
)
NO_DEVICE_WEIGHTS = "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."


def limits(fields: Fields, *, is_update: bool = False) -> Limits:
    """All limits. Raises `InvalidRequest` for what Docker refuses. An update may name the limit of swap alone."""
    found = Limits(
        memory=fields.integer("Memory"),
        memory_swap=fields.integer("MemorySwap"),
        memory_reservation=fields.integer("MemoryReservation"),
        memory_swappiness=_swappiness(fields),
        oom_kill_disable=fields.flag("OomKillDisable"),
        nano_cpus=fields.integer("NanoCpus"),
        cpu_period=fields.integer("CpuPeriod"),
        cpu_quota=fields.integer("CpuQuota"),
        cpu_shares=fields.integer("CpuShares"),
        cpuset_cpus=fields.text("CpusetCpus"),
        cpuset_mems=fields.text("CpusetMems"),
        blkio_weight=fields.integer("BlkioWeight"),
        throttles=tuple(_throttles(fields)),
        pids=max(fields.integer("PidsLimit"), 0),
        ulimits=_ulimits(fields),
    )
    _check_memory(found, is_update)
    _check_cpu(found)
    if found.blkio_weight and not 10 <= found.blkio_weight <= 1000:
        raise InvalidRequest("Range of blkio weight is from 10 to 1000")
    return found


def warnings(fields: Fields) -> list[str]:
    """A line for each limit that was asked for and will not be kept."""
    found = [NO_DEVICE_WEIGHTS] if fields.is_set("BlkioWeightDevice") else []
    if fields.flag("OomKillDisable") and not fields.integer("Memory"):
        found.append(NO_OOM_KILLER)
    return [*found, *(f"pyke does not enforce {key}. Limitation discarded." for key in NOT_ENFORCED if fields.is_set(key))]


def _throttles(fields: Fields) -> Iterator[tuple[str, str, int]]:
    """How fast a container may read from and write to devices; a rate of 0 is none."""
    for key, what in THROTTLES.items():
        for each in fields.objects(key):
            if each.integer("Rate") < 0:
                raise InvalidRequest(f"invalid rate for device: {each.text('Path')}: {each.integer('Rate')}")
            yield what, each.text("Path"), each.integer("Rate")


def _swappiness(fields: Fields) -> int | None:
    value = fields.optional_integer("MemorySwappiness")
    if value is None or value == -1:
        return None
    if not 0 <= value <= 100:
        raise InvalidRequest(f"Invalid value: {value}, valid memory swappiness range is 0-100")
    return value


def _check_memory(found: Limits, is_update: bool) -> None:
    if found.memory < 0 or found.memory_reservation < 0 or found.memory_swap < -1:
        raise InvalidRequest("a memory limit cannot be negative")
    if 0 < found.memory < MINIMUM_MEMORY:
        raise InvalidRequest("Minimum memory limit allowed is 6MB")
    if found.memory_swap > 0 and not found.memory and not is_update:
        raise InvalidRequest("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < found.memory_swap < found.memory:
        raise InvalidRequest("Minimum memoryswap limit should be larger than memory limit, see usage")
    if 0 < found.memory_reservation < MINIMUM_MEMORY:
        raise InvalidRequest("Minimum memory reservation allowed is 6MB")
    if found.memory and found.memory_reservation > found.memory:
        raise InvalidRequest("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(found: Limits) -> None:
    available = os.cpu_count() or 1
    if found.nano_cpus and (found.cpu_period or found.cpu_quota):
        other = "CPU Period" if found.cpu_period else "CPU Quota"
        raise InvalidRequest(f"Conflicting options: Nano CPUs and {other} cannot both be set")
    if found.nano_cpus and not 10**7 <= found.nano_cpus <= available * 10**9:
        raise InvalidRequest(f"Range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available")
    if found.cpu_period and not 1000 <= found.cpu_period <= 1_000_000:
        raise InvalidRequest("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < found.cpu_quota < 1000:
        raise InvalidRequest("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if found.cpu_shares < 0:
        raise InvalidRequest(f"invalid CPU shares ({found.cpu_shares}): value must be a positive integer")
    _check_set(found.cpuset_cpus, "cpus", "CPUs", f"0-{available - 1}" if available > 1 else "0")
    _check_set(found.cpuset_mems, "mems", "memory nodes", _memory_nodes())


def _memory_nodes() -> str:
    """The numbers of this machine's nodes; one without NUMA has the node 0 alone, and may have no such file."""
    try:
        with open("/sys/devices/system/node/online", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "0"


def _check_set(text: str, what: str, name: str, available: str) -> None:
    """A list of numbers and ranges, as cpuset(7) has it: "0-2,7"."""
    if not text:
        return
    if (wanted := _numbers(text)) is None:
        raise InvalidRequest(f"Invalid value {text} for cpuset {what}: invalid format: {text}")
    if not wanted <= (_numbers(available) or set()):
        raise InvalidRequest(f"Requested {name} are not available - requested {text}, available: {available}")


def _numbers(text: str) -> set[int] | None:
    """What a list for cpuset(7) names; None if it is none."""
    if not re.fullmatch(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*", text):
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first):
            return None
        found.update(range(int(first), int(last or first) + 1))
    return found


def _ulimits(fields: Fields) -> tuple[tuple[str, int, int], ...]:
    found = tuple((each.text("Name").lower(), each.integer("Soft"), each.integer("Hard")) for each in fields.objects("Ulimits"))
    for name, soft, hard in found:
        if name not in ULIMITS:
            raise InvalidRequest(f"invalid ulimit type: {name}", hint="pyke run --help")
        if min(soft, hard) < -1 or (hard != -1 and (soft == -1 or soft > hard)):
            raise InvalidRequest(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return found
