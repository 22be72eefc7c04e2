"""What is done with a container that its health check found unhealthy: nothing, unless its user asked for something.

The label `pyke.health-on-failure` of the container (an image's does not count) says `none`, `kill`, `stop` or `restart`.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING

from pyke.engine.containers.signals import stop_signal
from pyke.errors import PykeError
from pyke.model import Container, Request

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.health")

LABEL = "pyke.health-on-failure"
ACTIONS = ("none", "kill", "stop", "restart")


def wish(container: Container) -> str:
    """What the user wants done with it: one of ACTIONS."""
    wanted = container.spec.labels.get(LABEL, "none")
    return wanted if wanted in ACTIONS else "none"


def act(engine: Engine, container: Container) -> None:
    """End an unhealthy container, if that is wished. What follows is the business of whoever takes note of its end."""
    from pyke.engine.containers import stop  # which asks restarts, which asks this room for the wish

    action = wish(container)
    if action == "none":
        return
    number = signal.SIGKILL if action == "kill" else stop_signal(container)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        request = Request("unhealthy", number, time=time.time_ns())
        container = engine.containers.put_state(container, request=request, manually_stopped=action == "stop")
    try:
        stop.end(engine, container, number, stop.patience(engine, container))
    except PykeError as error:
        log.error("unhealthy container %s: %s", container.short_id, error.message)
