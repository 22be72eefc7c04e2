"""A container's process has ended: the one fact from which `--rm`, restart policies, events and `wait` follow."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.containers import endings, remove, restarts
from pyke.engine.containers.waits import Exit
from pyke.errors import PykeError
from pyke.model import Container

if TYPE_CHECKING:
    from pyke.engine.containers.monitors import ExitRecord
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.exits")


def handle(engine: Engine, id: str, record: ExitRecord) -> None:
    """Take note of an end that a monitor told. Idempotent: the same end may be told by a monitor and found again by the next engine."""
    with engine.locks.of("container", id):
        container = engine.state.containers.get(id)
        if container is None or not container.state.is_running:
            return
        with engine.state.intent("container.exit", id):
            container = _settle(engine, container, record)
        container = restarts.decide(engine, container)
    _tell(engine, container, record)
    if container.state.status == "restarting":
        restarts.schedule(engine, container)
    elif container.spec.auto_remove:
        remove.after_exit(engine, container)


def _settle(engine: Engine, container: Container, record: ExitRecord) -> Container:
    """Give back what only a running container holds, and record how it ended."""
    engine.containers.monitors.pop(container.id, None)
    engine.containers.execs.container_ended(container.id)
    engine.health.end(container.id)
    try:
        engine.networks.detach(container)
    except PykeError as error:
        log.error("container %s: %s", container.short_id, error.message)
    engine.volumes.unmount(container.id)
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


def _tell(engine: Engine, container: Container, record: ExitRecord) -> None:
    attributes = engine.attributes(container)
    if record.oom_killed:
        engine.events.publish("container", "oom", container.id, **attributes)
    engine.events.publish("container", "die", container.id, **attributes, exitCode=str(record.code))
    engine.hooks.container_exited(container)
    engine.containers.waits.exited(container.id, Exit(record.code, container.state.error))


def handle_logged(engine: Engine, id: str, record: ExitRecord) -> None:
    """`handle`, where nobody waits for the outcome."""
    try:
        handle(engine, id, record)
    except Exception:
        log.exception("the end of container %s could not be taken note of", id[:12])
