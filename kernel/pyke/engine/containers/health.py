"""Health checks: a command that is run inside a container again and again, and what its exit codes say of the container.

Each check is an exec like any other, with a monitor of its own. A thread for each container that has a check waits, probes and
records; the next engine goes on where the last one was, because what was found is in the container's record. The rules and the default
times are Docker's (moby daemon/health.go).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.containers import unhealthy
from pyke.errors import PykeError
from pyke.model import Container, ExecSpec, Health, HealthCheck, Probe

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.health")

DEFAULTS = HealthCheck(interval=30.0, timeout=30.0, retries=3, start_interval=5.0)
LOG_ENTRIES = 5
MAX_OUTPUT = 4096  # bytes of a probe's output that are kept
UNTOLD = -1  # the exit code of a probe that did not come to its end
SHELL = ("/bin/sh", "-c")


class HealthChecks:
    """All health checks of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._stops: dict[str, threading.Event] = {}

    def begin(self, container: Container, since: int = 0) -> None:
        """Check a running container from now on, if it has a health check: the next time an interval after the last probe, or after
        `since` (ns), if that was later. Idempotent."""
        if container.health_check is None:
            return
        with self._guard:
            if container.id in self._stops:
                return
            stop = self._stops[container.id] = threading.Event()
        name = f"pyke-health-{container.short_id}"
        threading.Thread(target=self._watch, args=(container.id, stop, since), name=name, daemon=True).start()

    def end(self, id: str) -> None:
        """Check it no more. Idempotent; a probe that is under way is not waited for, and its finding is dropped."""
        with self._guard:
            stop = self._stops.pop(id, None)
        if stop is not None:
            stop.set()

    def close(self) -> None:
        """Check nothing any more; the next engine goes on."""
        with self._guard:
            stops, self._stops = self._stops, {}
        for stop in stops.values():
            stop.set()

    def _watch(self, id: str, stop: threading.Event, since: int) -> None:
        while not stop.wait(self._pause(id, since)):
            container = self._engine.state.containers.get(id)
            check = container.health_check if container else None
            if container is None or check is None:
                return
            if container.state.status != "running":
                continue  # paused: nobody in there could answer
            probe = probed(self._engine, container, check.over(DEFAULTS))
            if not stop.is_set():
                self._take_note(id, probe)

    def _pause(self, id: str, since: int) -> float:
        """Seconds until the next probe, counted from the last one, or from the start, whichever engine saw them."""
        container = self._engine.state.containers.get(id)
        if container is None or container.health_check is None:
            return 0.0
        health, now = container.state.health or Health(), time.time_ns()
        last = max(health.log[-1].end if health.log else container.state.started_at, since)
        wanted = interval(container.health_check, health, (now - container.state.started_at) / 1e9)
        return min(max(wanted - (now - last) / 1e9, 0.0), wanted) if container.state.status == "running" else wanted

    def _take_note(self, id: str, probe: Probe) -> None:
        with self._engine.locks.of("container", id):
            container = self._engine.state.containers.get(id)
            if container is None or not container.state.is_running or container.health_check is None:
                return
            before = container.state.health or Health()
            after = judged(before, probe, container.health_check, (probe.start - container.state.started_at) / 1e9)
            container = self._engine.containers.put_state(container, health=after)
        if after.status != before.status:
            action = f"health_status: {after.status}"
            self._engine.events.publish("container", action, id, self._engine.attributes(container))
            if after.status == "unhealthy":
                unhealthy.act(self._engine, container)


def interval(check: HealthCheck, health: Health, age: float) -> float:
    """Seconds between two probes of a container that started `age` seconds ago: others while it is expected to be starting."""
    check = check.over(DEFAULTS)
    return check.start_interval if health.status == "starting" and age < check.start_period else check.interval


def judged(health: Health, probe: Probe, check: HealthCheck, age: float) -> Health:
    """What a probe makes of a container's health. Failures do not count while it is `starting` and younger than its start period."""
    check = check.over(DEFAULTS)
    entries = (*health.log, probe)[-LOG_ENTRIES:]
    if probe.exit_code == 0:
        return Health("healthy", 0, entries)
    if health.status == "starting" and age < check.start_period:
        return replace(health, log=entries)
    streak = health.failing_streak + 1
    return Health("unhealthy" if streak >= check.retries else health.status, streak, entries)


def probed(engine: Engine, container: Container, check: HealthCheck) -> Probe:
    """Run a check once. A probe that cannot be run is a failed one, and its output says why."""
    start = time.time_ns()
    try:
        code, output = _run(engine, container, check)
    except (PykeError, OSError) as error:
        code, output = UNTOLD, str(error)
    return Probe(start, time.time_ns(), code, output)


def _run(engine: Engine, container: Container, check: HealthCheck) -> tuple[int, str]:
    execs = engine.containers.execs
    id = execs.register(container, ExecSpec(command(container, check), attach_stdout=True, attach_stderr=True))
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            execs.run(id, theirs, framed=False)
        output, is_over = _read(ours, check.timeout)
    if not is_over:
        execs.kill(id)
        return UNTOLD, f"Health check exceeded timeout ({check.timeout:g}s){': ' if output else ''}{output}"
    return execs.wait(id), output


def command(container: Container, check: HealthCheck) -> tuple[str, ...]:
    """The words to be executed; CMD-SHELL gives them to the image's shell."""
    kind, *words = check.test
    return tuple(words) if kind == "CMD" else (container.image_config.shell or SHELL) + tuple(words[:1])


def _read(connection: socket.socket, timeout: float) -> tuple[str, bool]:
    """What a probe prints, cut after the first few KiB, and whether it ended in time."""
    output, deadline, is_over = b"", time.monotonic() + timeout, False
    while not is_over and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            data = connection.recv(65536)
        except TimeoutError:
            break
        is_over = not data
        output = (output + data)[: MAX_OUTPUT + 1]
    text = output[:MAX_OUTPUT].decode("utf-8", "replace")
    return (text + "..." if len(output) > MAX_OUTPUT else text), is_over
