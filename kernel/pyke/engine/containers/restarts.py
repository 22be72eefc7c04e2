"""Restart policies: whether a container that ended starts again, and when."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.containers import unhealthy
from pyke.engine.containers.waits import Exit
from pyke.errors import PykeError
from pyke.model import Container, ContainerState, Ending, Request

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.restarts")

FIRST_DELAY = 0.1  # seconds, doubled at each restart, as Docker does
LONGEST_DELAY = 60.0
GOOD_RUN = 10.0  # a container that ran this long starts again with the first delay


def decide(engine: Engine, container: Container) -> Container:
    """What becomes of a container that has ended: it is "restarting" from now on, or stays as it is. The verdict is put on record."""
    is_wanted, why = judge(container)
    state = container.state
    ending = replace(state.ending or Ending(), is_restarted=is_wanted, verdict=why)
    if not is_wanted:
        return engine.containers.put_state(container, ending=ending)
    return engine.containers.put_state(container, status="restarting", ending=ending, backoff=next_delay(state))


def needs_engine(container: Container) -> bool:
    """Whether its end calls for an engine at once: to remove it, or to start it again."""
    return container.spec.auto_remove or container.spec.restart.name not in ("", "no") or unhealthy.wish(container) == "restart"


def judge(container: Container) -> tuple[bool, str]:
    """Whether a container that has ended is to start again, and why, in words that go on after "because"."""
    policy, state = container.spec.restart, container.state
    if state.request and state.request.action == "unhealthy" and unhealthy.wish(container) == "restart":
        return True, f"it was unhealthy, and its label {unhealthy.LABEL} asks for a restart"
    if state.manually_stopped:
        return False, "it was stopped on request"
    if policy.name == "on-failure":
        return _judge_failure(container)
    if policy.name in ("always", "unless-stopped"):
        return True, f"its restart policy is {policy.name}"
    return False, "it has no restart policy"


def _judge_failure(container: Container) -> tuple[bool, str]:
    policy, state = container.spec.restart, container.state
    if state.exit_code == 0:
        return False, "its restart policy is on-failure, and it ended with status 0"
    if policy.maximum_retries and state.restart_count >= policy.maximum_retries:
        times = "once" if state.restart_count == 1 else f"{state.restart_count} times"
        return False, f"its restart policy is on-failure:{policy.maximum_retries}, and it has been restarted {times}"
    return True, f"its restart policy is on-failure, and it ended with status {state.exit_code}"


def next_delay(state: ContainerState) -> float:
    """Seconds until the restart: doubled each time, as Docker does, until the container has run for a while."""
    if not state.backoff or state.finished_at - state.started_at > GOOD_RUN * 1e9:
        return FIRST_DELAY
    return min(state.backoff * 2, LONGEST_DELAY)


def schedule(engine: Engine, container: Container, noted: Callable[[], None] = lambda: None) -> None:
    """Start a container that is "restarting" when its time comes, and call `noted` then. The record says so, too: another engine takes
    over if this one dies, and is woken for it by the monitor, which waits for `noted`."""
    if container.id in engine.awaited_restarts:
        return noted()
    engine.awaited_restarts.add(container.id)
    passed = (time.time_ns() - container.state.finished_at) / 1e9
    timer = threading.Timer(max(0.0, container.state.backoff - max(0.0, passed)), _restart, (engine, container.id, noted))
    timer.daemon = True
    timer.start()


def _restart(engine: Engine, id: str, noted: Callable[[], None]) -> None:
    try:
        _restart_now(engine, id)
    finally:
        noted()


def _restart_now(engine: Engine, id: str) -> None:
    from pyke.engine.containers import start  # start tells of the first start and knows nothing of this room

    engine.awaited_restarts.discard(id)
    engine.ready()  # the networks may not be there yet, after the machine has come up
    with engine.locks.of("container", id):
        container = engine.state.containers.get(id)
        if container is None or container.state.status != "restarting" or engine.is_stopping:
            return
        container = engine.containers.put_state(container, restart_count=container.state.restart_count + 1)
        try:
            start.run(engine, container)
        except PykeError as error:
            log.error("container %s could not be restarted: %s", container.short_id, error.message)


def resume(engine: Engine) -> None:
    """Go on with the restarts that an earlier engine had in mind."""
    for container in engine.containers.all():
        if container.state.status == "restarting":
            schedule(engine, container)


def after_boot(engine: Engine) -> None:
    """The machine came up: what ran is being restarted by its policy already; `always` also means those that somebody had stopped."""
    for container in engine.containers.all():
        with engine.locks.of("container", container.id):
            container = engine.containers.get(container.id)
            if container.spec.restart.name == "always" and container.state.status == "exited" and container.state.started_at:
                engine.containers.put_state(container, status="restarting", manually_stopped=False, request=None, backoff=FIRST_DELAY)


def cancel(engine: Engine, container: Container, request: Request) -> Container:
    """Give up a restart that is waiting; the lock of the container is held."""
    ending = replace(container.state.ending or Ending(), request=request, is_restarted=False, verdict="it was stopped on request")
    container = engine.containers.put_state(container, status="exited", manually_stopped=True, request=request, ending=ending)
    engine.containers.waits.exited(container.id, Exit(container.state.exit_code, container.state.error))
    return container
