"""A container is frozen and thawed: its cgroup does it, and no process notices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyke.engine.borders import host_errors
from pyke.errors import Conflict, PykeError
from pyke.model import Caller, Container
from pyke.runtime import cgroups

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def pause(engine: Engine, container: Container, *, caller: Caller) -> None:
    """Freeze all processes of a running container."""
    engine.authorize(caller, "container.pause", container.id, container.spec)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if container.state.status == "paused":
            raise Conflict(f"Container {container.id} is already paused", hint=f"pyke unpause {container.name}")
        monitor = engine.containers.monitors.get(container.id)
        if monitor is None or monitor.is_killed or not container.state.is_running:
            raise _not_running(container)
        _freeze(engine, container)
        _record(engine, container, "pause", "paused")
        engine.health.end(container.id)  # a probe that is under way is frozen, too, and finds out nothing


def _freeze(engine: Engine, container: Container) -> None:
    """A container that ends in this moment has no cgroup any more, or none that stands still."""
    cgroup = cgroups.at(engine.cgroup_path(container))
    try:
        with host_errors(f"container {container.name} cannot be paused", cgroup.path):
            cgroup.freeze()
    except PykeError:
        cgroup.thaw()
        if not cgroup.pids():
            raise _not_running(container) from None
        raise


def _not_running(container: Container) -> Conflict:
    return Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")


def unpause(engine: Engine, container: Container, *, caller: Caller) -> None:
    """Let a paused container go on."""
    engine.authorize(caller, "container.unpause", container.id, container.spec)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if container.state.status != "paused":
            raise Conflict(f"Container {container.id} is not paused", hint=f"pyke pause {container.name}")
        thaw(engine, container)
        _record(engine, container, "unpause", "running")
        engine.health.begin(container, since=time.time_ns())


def _record(engine: Engine, container: Container, action: str, status: str) -> None:
    with engine.state.transaction():
        engine.containers.put_state(container, status=status)
        engine.events.publish("container", action, container.id, engine.attributes(container))


def settle(engine: Engine, container: Container) -> None:
    """An engine died between freezing (or thawing) and its record: what nobody was told of is undone, what was begun to be thawed runs."""
    cgroup = cgroups.at(engine.cgroup_path(container))
    if container.state.status == "running" and cgroup.is_frozen():
        thaw(engine, container)
    elif container.state.status == "paused" and not cgroup.is_frozen():
        _record(engine, container, "unpause", "running")


def thaw(engine: Engine, container: Container) -> None:
    """Let the processes run, whatever the record says."""
    cgroups.at(engine.cgroup_path(container)).thaw()
