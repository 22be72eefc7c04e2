"""Restart policies: whether a container that ended starts again, and when."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from pyke.errors import PykeError
from pyke.model import Container

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.restarts")

FIRST_DELAY = 0.1  # seconds, doubled at each restart, as Docker does
LONGEST_DELAY = 60.0
GOOD_RUN = 10.0  # a container that ran this long starts again with the first delay


def decide(engine: Engine, container: Container) -> float | None:
    """Seconds until the restart, or None when the policy says to leave it."""
    policy, state = container.spec.restart, container.state
    if state.manually_stopped or engine.is_stopping:
        return None
    if policy.name == "on-failure":
        wanted = state.exit_code != 0 and (policy.maximum_retries == 0 or state.restart_count < policy.maximum_retries)
    else:
        wanted = policy.name in ("always", "unless-stopped")
    return _delay(container) if wanted else None


def _delay(container: Container) -> float:
    state = container.state
    if state.finished_at - state.started_at > GOOD_RUN * 1e9:
        return FIRST_DELAY
    return float(min(FIRST_DELAY * 2 ** min(state.restart_count, 30), LONGEST_DELAY))


def schedule(engine: Engine, id: str, delay: float) -> None:
    """Start the container again after a delay. The record says "restarting", so that another engine takes over if this one dies."""
    timer = threading.Timer(delay, _restart, (engine, id))
    timer.daemon = True
    timer.start()


def _restart(engine: Engine, id: str) -> None:
    from pyke.engine import start  # start tells of the first start and knows nothing of this room

    with engine.locks.of("container", id):
        container = engine.state.containers.get(id)
        if container is None or container.state.status != "restarting" or engine.is_stopping:
            return
        container = engine.containers.put_state(container, restart_count=container.state.restart_count + 1)
        try:
            start.run(engine, container)
        except PykeError as error:
            log.error("container %s could not be restarted: %s", container.short_id, error.message)


def after_boot(engine: Engine) -> None:
    """Start what should run after the machine or the engine came back: policies `always` and `unless-stopped`, and interrupted restarts."""
    for container in engine.containers.all():
        if container.state.status == "restarting":
            schedule(engine, container.id, max(0.0, _delay(container) - (time.time_ns() - container.state.finished_at) / 1e9))


def cancel(engine: Engine, container: Container) -> Container:
    """Give up a restart that is waiting; the lock of the container is held."""
    return engine.containers.put_state(container, status="exited", manually_stopped=True)
