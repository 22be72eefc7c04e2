"""A container's process has ended: the one fact from which `--rm`, restart policies, events and `wait` follow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.containers import endings, remove, restarts
from pyke.engine.containers.waits import Exit
from pyke.errors import PykeError
from pyke.model import Container

if TYPE_CHECKING:
    from pyke.engine.containers.exit_records import ExitRecord
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.exits")


def handle(engine: Engine, id: str, record: ExitRecord, noted: Callable[[], None] = lambda: None) -> None:
    """Take note of an end that a monitor told. Idempotent: the same end may be told by a monitor and found again by the next engine.

    `noted` is called when all that the end asks for has been done; until then the monitor wakes another engine should this one die.
    """
    with engine.locks.of("container", id):
        container = engine.state.containers.get(id)
        if container is None or not container.state.is_running:
            return noted()
        _give_back(engine, container)
        with engine.state.transaction():  # the end, what becomes of it and its events: all of them, or the next engine finds none
            container = restarts.decide(engine, _settle(engine, container, record))
            _publish(engine, container, record)
    engine.hooks.container_exited(container)
    engine.containers.waits.exited(container.id, Exit(record.code, container.state.error))
    if container.state.status == "restarting":
        return restarts.schedule(engine, container, noted)
    if container.spec.auto_remove:
        remove.after_exit(engine, container)
    noted()


def _give_back(engine: Engine, container: Container) -> None:
    """Give back what only a running container holds. Idempotent: an engine that dies here leaves a record that says it runs."""
    engine.containers.monitors.pop(container.id, None)
    engine.containers.execs.container_ended(container.id)
    engine.health.end(container.id)
    try:
        engine.networks.detach(container)
    except PykeError as error:
        log.error("container %s: %s", container.short_id, error.message)
    engine.volumes.unmount(container.id)


def _settle(engine: Engine, container: Container, record: ExitRecord) -> Container:
    """Record how it ended."""
    finished_at = record.time or time.time_ns()
    state = replace(
        container.state,
        status="exited",
        pid=0,
        exit_code=record.code,
        oom_killed=record.oom_killed,
        error=endings.reason(container, record),
        finished_at=finished_at,
        ending=endings.of_run(container, record, finished_at),
    )
    return engine.containers.put(replace(container, state=state, endpoints=engine.networks.released(container)))


def _publish(engine: Engine, container: Container, record: ExitRecord) -> None:
    attributes = engine.attributes(container)
    if record.oom_killed:
        engine.events.publish("container", "oom", container.id, attributes)
    engine.events.publish("container", "die", container.id, attributes, exitCode=str(record.code))
    engine.volumes.tell_unmounted(container)


def handle_logged(engine: Engine, id: str, record: ExitRecord, noted: Callable[[], None]) -> None:
    """`handle`, where nobody waits for the outcome."""
    try:
        handle(engine, id, record, noted)
    except Exception:
        noted()
        log.exception("the end of container %s could not be taken note of", id[:12])
