"""A container goes: everything that it had is given back, and at last its record."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyke.engine.containers import attach, stop
from pyke.engine.containers.waits import Exit
from pyke.engine.filters import Filters, prune_filter
from pyke.errors import Conflict, NoSuchContainer, PykeError
from pyke.model import Caller, Container

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.remove")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune deleted, and how many bytes that freed."""

    deleted: tuple[str, ...]
    reclaimed: int = 0


def remove(engine: Engine, container: Container, *, force: bool, volumes: bool, caller: Caller) -> None:
    """Delete a container; one that runs only with `force`."""
    engine.ready()
    engine.authorize(caller, "container.remove", container.id, container.spec)
    if _is_forgotten(engine, container, volumes=volumes):
        return
    _end(engine, container, force=force)
    with contextlib.suppress(NoSuchContainer):  # it was started with --rm, and is gone as it has ended
        while not _is_forgotten(engine, container, volumes=volumes):  # somebody has started it again
            _end(engine, container, force=force)


def _is_forgotten(engine: Engine, container: Container, *, volumes: bool) -> bool:
    """Forget a container unless it has to be ended first."""
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if container.state.is_running or container.state.status == "restarting":
            return False
        forget(engine, container, volumes=volumes)
        return True


def _running(container: Container) -> str:
    paused = container.state.status == "paused"
    state, first = ("paused", "Unpause and then stop") if paused else (container.state.status, "Stop")
    return f"You cannot remove a {state} container {container.id}. {first} the container before attempting removal or force remove"


def _end(engine: Engine, container: Container, *, force: bool) -> None:
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if not container.state.is_running and container.state.status != "restarting":
            return  # it has ended meanwhile
        if not force:
            raise Conflict(_running(container), hint=f"pyke rm -f {container.name}")
        container = engine.containers.put_state(container, manually_stopped=True)
        if container.state.status == "restarting":
            engine.containers.put_state(container, status="exited")
            return
    if container.state.is_running:
        stop.end(engine, container, signal.SIGKILL, timeout=stop.KILL_AGAIN)


def after_exit(engine: Engine, container: Container) -> None:
    """What `--rm` asks for, once the process has ended."""
    try:
        with engine.locks.of("container", container.id):
            now = engine.state.containers.get(container.id)
            if now is not None and not now.state.is_running:
                forget(engine, now, volumes=True)
    except PykeError as error:
        log.error("container %s could not be removed: %s", container.short_id, error.message)


def forget(engine: Engine, container: Container, *, volumes: bool) -> None:
    """Give back all that a container that does not run still has; its lock is held. Done again after a crash, it goes on where it was."""
    with engine.state.intent("container.remove", container.id, volumes=volumes):
        attach.dismiss(engine, container)
        engine.networks.release(container)
        engine.plugins.call("storage", container.storage_driver, "remove", container.id)
        engine.volumes.release(container.id, remove_anonymous=volumes)
        shutil.rmtree(engine.layout.container_run_directory(container.id), ignore_errors=True)
        shutil.rmtree(engine.layout.container_directory(container.id), ignore_errors=True)
        with engine.state.transaction():
            engine.state.containers.delete(container.id)
            engine.state.after_commit(lambda: engine.containers.release_name(container.name))  # who hears of it may want the name
            engine.events.publish("container", "destroy", container.id, engine.attributes(container))
    engine.images.collect()
    engine.containers.waits.removed(container.id, Exit(container.state.exit_code, container.state.error))
    engine.hooks.container_removed(container)


def prune(engine: Engine, filters: Filters | None, *, caller: Caller) -> Pruned:
    """Delete every container that does not run and that the filters take."""
    wanted = prune_filter(filters)
    deleted, reclaimed = [], 0
    for container in engine.containers.all():
        if container.state.status not in ("created", "exited", "dead") or not wanted(container.spec.labels, container.created):
            continue
        try:
            size = engine.containers.size(container)[0]
            remove(engine, container, force=False, volumes=False, caller=caller)
        except (Conflict, NoSuchContainer):
            continue  # it was started or removed meanwhile
        deleted.append(container.id)
        reclaimed += size
    engine.events.publish("container", "prune", "", reclaimed=str(reclaimed))
    return Pruned(tuple(deleted), reclaimed)
