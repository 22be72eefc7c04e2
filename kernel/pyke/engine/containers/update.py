"""A container gets other limits or another restart policy; one that runs gets them at once."""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pyke import launch
from pyke.engine.containers import abilities, oci_resources, restarts
from pyke.errors import Conflict, PykeError
from pyke.model import Caller, Container, Limits, RestartPolicy
from pyke.runtime import cgroups

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

NO_LIMIT = -1  # of processes: as `docker update --pids-limit -1`


def update(engine: Engine, container: Container, limits: Limits, restart: RestartPolicy | None, *, caller: Caller) -> tuple[str, ...]:
    """Change what is given, which is not 0, and leave the rest; returns warnings. `pids` -1 takes the limit away. All or nothing."""
    limits, warnings = abilities.kept_here(limits)
    engine.authorize(caller, "container.update", container.id, container.spec)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        try:
            _check(container, limits, restart)
            updated = replace(container.spec, limits=merged(container.spec.limits, limits), restart=restart or container.spec.restart)
            if container.state.is_running and limits != Limits():
                cgroups.at(engine.cgroup_path(container)).update(changes(updated.limits, limits))
        except OSError as error:
            raise Conflict(
                f"Cannot update container {container.id}: {error.strerror or error}", hint=f"pyke stats --no-stream {container.name}"
            ) from error
        container = engine.containers.put(replace(container, spec=updated))
        _tell_monitor(engine, container)
    engine.events.publish("container", "update", container.id, engine.attributes(container))
    return warnings


def _check(container: Container, limits: Limits, restart: RestartPolicy | None) -> None:
    reason = conflict(container.spec.limits, limits)
    if restart is not None and restart.name != "no" and container.spec.auto_remove:
        reason = "Restart policy cannot be updated because AutoRemove is enabled for the container"
    if container.state.status in ("removing", "dead"):
        reason = "Container is marked for removal and cannot be updated"
    if reason:
        raise Conflict(f"Cannot update container {container.id}: {reason}", hint="pyke update --help")


def conflict(old: Limits, new: Limits) -> str:
    """Why `new` does not go with what `old` has already, in Docker's words (container/container_unix.go); "" if it does."""
    if new.cpu_period and old.nano_cpus:
        return "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"
    if new.cpu_quota and old.nano_cpus:
        return "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
    if new.nano_cpus and old.cpu_period:
        return "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"
    if new.nano_cpus and old.cpu_quota:
        return "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"
    if 0 < swap_in_force(old) < new.memory and not new.memory_swap:
        return "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
    return ""


def swap_in_force(limits: Limits) -> int:
    """The limit of memory and swap together: twice that of memory, where nothing else was asked for."""
    return limits.memory_swap or limits.memory * 2


def merged(old: Limits, new: Limits) -> Limits:
    """The limits as they are after the update. That of swap stays what it was, also where it was not asked for but followed."""
    given = {each.name: getattr(new, each.name) for each in fields(new) if getattr(new, each.name) != each.default}
    swap = new.memory_swap or swap_in_force(old)
    return replace(old, **(given | {"memory_swap": swap, "pids": max(given.get("pids", old.pids), 0)}))


def changes(after: Limits, given: Limits) -> dict[str, Any]:
    """The OCI resources to be set: with a limit of memory comes that of swap."""
    resources = oci_resources.limits(replace(given, memory_swap=after.memory_swap if given.memory or given.memory_swap else 0))
    return resources | ({"pids": {"limit": NO_LIMIT}} if given.pids < 0 else {})


def _tell_monitor(engine: Engine, container: Container) -> None:
    """Whether the monitor must start an engine at the end depends on the restart policy."""
    monitor = engine.containers.monitors.get(container.id)
    if monitor is not None:
        with contextlib.suppress(PykeError):  # one that is older than this request, or just gone
            monitor.wake_at_end(launch.engine_argv(engine.layout) if restarts.needs_engine(container) else None)
