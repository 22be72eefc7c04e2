"""What a container uses, as /containers/N/stats tells it."""

from __future__ import annotations

from typing import Any

from pyke.http.facade import Sample
from pyke.http.shapes.times import rfc3339
from pyke.model import Container

Json = dict[str, Any]

NO_CPU: Json = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}
OTHER_BLKIO = ("io_serviced", "io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors")


def stats(container: Container, found: Sample, before: Sample | None) -> Json:
    """One object of the stream; `before` is the sample from which a client tells how busy the container is."""
    return {
        "read": rfc3339(found.time),
        "preread": rfc3339(before.time if before else 0),
        "pids_stats": _pids(found),
        "blkio_stats": _blkio(found),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(found),
        "precpu_stats": _cpu(before) if before else NO_CPU,
        "memory_stats": _memory(found),
        "name": f"/{container.name}",
        "id": container.id,
        **({"networks": {name: dict(counters) for name, counters in found.networks.items()}} if found.networks else {}),
    }


def _cpu(found: Sample) -> Json:
    if not found.cgroup:
        return NO_CPU
    cpu = found.cgroup["cpu"]
    usage = {"total_usage": cpu["usage"], "usage_in_kernelmode": cpu["system"], "usage_in_usermode": cpu["user"]}
    if cpu["per_cpu"]:
        usage["percpu_usage"] = cpu["per_cpu"]
    return {
        "cpu_usage": usage,
        "system_cpu_usage": found.system,
        "online_cpus": found.processors,
        "throttling_data": cpu["throttling"],
    }


def _memory(found: Sample) -> Json:
    """A container without a limit of its own has the machine's."""
    if not found.cgroup:
        return {}
    memory = found.cgroup["memory"]
    limit = min(memory["limit"] or found.machine_memory, found.machine_memory)
    shaped = {"usage": memory["usage"], "max_usage": memory["max_usage"], "stats": dict(memory["stats"]), "limit": limit}
    return shaped | ({"failcnt": memory["failures"]} if memory["failures"] else {})


def _pids(found: Sample) -> Json:
    if not found.cgroup:
        return {}
    pids = found.cgroup["pids"]
    return {"current": pids["current"]} | ({"limit": pids["limit"]} if pids["limit"] else {})


def _blkio(found: Sample) -> Json:
    entries = found.cgroup["blkio"] if found.cgroup else None
    return {"io_service_bytes_recursive": entries, **{f"{name}_recursive": None for name in OTHER_BLKIO}}
