"""A new engine takes over: what runs is adopted, what was half done is finished or undone, what nobody owns is swept away."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.containers import copy_up, exits, pause, remove, restarts, start
from pyke.engine.containers.exit_records import ExitRecord, read_exit_record
from pyke.engine.identifiers import is_full_id
from pyke.engine.images import commit as image_commit
from pyke.engine.state import Intent
from pyke.errors import PykeError
from pyke.model import Container
from pyke.runtime import cgroups

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.recover")

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def adopt(engine: Engine) -> None:
    """Take over every container whose process may be alive. Quick: it is all that `ps` has to wait for."""
    starting = {intent.object for intent in engine.state.intents() if intent.kind == "container.start"}
    for container in engine.state.containers.all():
        if container.state.is_running or container.id in starting:
            _logged(f"container {container.short_id}", _adopt, engine, container)
    _logged("commands in containers", engine.containers.execs.adopt)


def _adopt(engine: Engine, container: Container) -> None:
    monitor = engine.monitors.adopt(container.id, engine.layout.container_run_directory(container.id))
    if monitor is None:
        _ended_meanwhile(engine, container)
        return
    condition = monitor.state()
    if condition["phase"] == "running":
        engine.containers.monitors[container.id] = monitor
        if not container.state.is_running:
            state = start.running_state(container, condition["pid"], condition["started"])
            container = start.record_start(engine, replace(container, state=state))
        pause.settle(engine, container)
        engine.watch(container.id, monitor)
        engine.health.begin(engine.containers.get(container.id))
    elif condition["phase"] == "ended":
        _has_run(engine, container, condition["started"])
        engine.watch(container.id, monitor)
    else:
        monitor.abort()
        _never_started(engine, container)


def _ended_meanwhile(engine: Engine, container: Container) -> None:
    """No monitor answers: the record that it left says how it ended. Without one, the machine or somebody killed it."""
    kept = (
        engine.layout.container_directory(container.id),
        engine.layout.container_run_directory(container.id),
    )  # the second, if the disk was full
    record = next(filter(None, (read_exit_record(os.path.join(directory, "exit.json")) for directory in kept)), None)
    if record is not None and record.time <= container.state.finished_at:
        record = None  # of the run before: the engine died before this one began
    if record is None and not container.state.is_running:
        _never_started(engine, container)
        return
    _has_run(engine, container, record.started if record else 0)
    exits.handle(
        engine, container.id, record or ExitRecord(code=255, error="the machine or the monitor of the container went down", lost=True)
    )


def _has_run(engine: Engine, container: Container, started: int) -> None:
    """The engine died before it had put a start on record, and the run has ended meanwhile: first things first."""
    if not container.state.is_running:
        start.record_start(engine, replace(container, state=start.running_state(container, 0, started)))


def _never_started(engine: Engine, container: Container) -> None:
    engine.networks.detach(container)
    engine.containers.put(replace(container, endpoints=engine.networks.released(container)))


def sweep(engine: Engine) -> None:
    """Finish or undo what was begun, make every driver's world agree with the records, and delete what nobody owns."""
    for intent in engine.state.intents():
        _logged(f"{intent.kind} of {intent.object[:12]}", _finish, engine, intent)
        engine.state.end(intent)
    steps: Iterable[tuple[str, Callable[[Engine], None]]] = (
        ("monitors", _sweep_monitors),
        ("run directories", _sweep_run_directories),
        ("container directories", _sweep_directories),
        ("cgroups", _sweep_cgroups),
        ("processes for layers", lambda engine: engine.images.nursery.await_orphans()),
        ("images", lambda engine: engine.images.recover()),
        ("networks", lambda engine: engine.networks.recover()),
        ("automatic removals", _sweep_auto_removed),
        ("restarts", _resume_restarts),
    )
    for name, step in steps:
        _logged(name, step, engine)


def _finish(engine: Engine, intent: Intent) -> None:
    container = engine.state.containers.get(intent.object)
    if intent.kind == "container.remove" and container is not None and not container.state.is_running:
        remove.forget(engine, container, volumes=bool(intent.data.get("volumes")))
    if intent.kind == image_commit.INTENT and container is not None:
        image_commit.resume(engine, container)
    if intent.kind == copy_up.INTENT and engine.state.volumes.get(intent.object) is not None:
        copy_up.empty(intent.object, engine.volumes.mount(intent.object, ""))


def _sweep_monitors(engine: Engine) -> None:
    """A monitor of a container that has no record belongs to a creation that was undone, or to a removal."""
    for id in _entries(engine.layout.container_runs):
        if engine.state.containers.get(id) is None:
            monitor = engine.monitors.adopt(id, engine.layout.container_run_directory(id))
            if monitor is not None:
                monitor.signal(signal.SIGKILL)


def _sweep_run_directories(engine: Engine) -> None:
    for id in _entries(engine.layout.container_runs):
        container = engine.state.containers.get(id)
        if container is None or not container.state.is_running:
            shutil.rmtree(engine.layout.container_run_directory(id), ignore_errors=True)


def _sweep_directories(engine: Engine) -> None:
    for id in _entries(engine.layout.containers):
        if engine.state.containers.get(id) is None:
            shutil.rmtree(engine.layout.container_directory(id), ignore_errors=True)


def _sweep_cgroups(engine: Engine) -> None:
    """Kill and remove every cgroup below the engine's own that no running container has."""
    for id in cgroups.children(f"/{engine.layout.cgroup}"):
        container = engine.state.containers.get(id)
        if container is None or not container.state.is_running:
            cgroups.at(f"/{engine.layout.cgroup}/{id}").remove()


def _sweep_auto_removed(engine: Engine) -> None:
    for container in engine.containers.all():
        if container.spec.auto_remove and container.state.status == "exited":
            remove.after_exit(engine, container)


def _resume_restarts(engine: Engine) -> None:
    """Start again what waits for it, and after a reboot what `always` asks for. A boot is told by the kernel's random ID of it."""
    with open(BOOT_ID, encoding="ascii") as file:
        boot = file.read().strip()
    if engine.state.fact("boot-id") not in (None, boot):
        restarts.after_boot(engine)
    engine.state.set_fact("boot-id", boot)
    restarts.resume(engine)


def _entries(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if is_full_id(name)]
    except FileNotFoundError:
        return []


def _logged(what: str, step: Callable[..., None], *arguments: object) -> None:
    """One thing that cannot be recovered must not keep the engine from the rest."""
    try:
        step(*arguments)
    except (PykeError, OSError) as error:
        log.error("recovery of %s failed: %s", what, error)
    except Exception:
        log.exception("recovery of %s failed", what)
