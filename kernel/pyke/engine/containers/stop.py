"""A container is asked to end, or made to."""

from __future__ import annotations

import contextlib
import signal as signals
from typing import TYPE_CHECKING

from pyke.engine.containers import endings, pause, restarts
from pyke.engine.containers.signals import signal_number, stop_signal
from pyke.errors import Conflict, NotModified, PykeError, StartFailed
from pyke.model import Caller, Container, Request

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

KILL_AGAIN = 10  # seconds after which SIGKILL is sent once more
KILL_TIMEOUT = 30.0  # seconds; a process that survives SIGKILL longer than this is stuck in the kernel


def stop(engine: Engine, container: Container, *, timeout: int | None, signal: str, caller: Caller, action: str = "stop") -> None:
    """Send the container's stop signal, wait, and kill it if that did not help. `NotModified` if it does not run."""
    engine.authorize(caller, "container.stop", container.id, container.spec)
    number = signal_number(signal) if signal else stop_signal(container)
    container = _mark(engine, container, endings.asked(action, number, caller))
    if container.state.is_running:
        _carry_out(engine, container, number, patience(engine, container) if timeout is None else timeout)


def stop_for_shutdown(engine: Engine, container: Container, longest: int, caller: Caller) -> None:
    """The same where the machine goes down, and so nobody has said that the container is to stay down; after `longest` seconds it is killed
    whatever it wants. One that does not run is left as it is."""
    number = stop_signal(container)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if not container.state.is_running:
            return
        container = engine.containers.put_state(container, request=endings.asked("shutdown", number, caller))
    wanted = patience(engine, container)
    _carry_out(engine, container, number, longest if wanted < 0 else min(wanted, longest))


def _carry_out(engine: Engine, container: Container, number: int, timeout: int) -> None:
    engine.hooks.container_stopping(container, number)
    end(engine, container, number, timeout)
    engine.events.publish("container", "stop", container.id, engine.attributes(container))


def patience(engine: Engine, container: Container) -> int:
    """Seconds that a container has to end by itself; -1: all the time that it wants."""
    return engine.settings.stop_timeout if container.spec.stop_timeout is None else container.spec.stop_timeout


def _mark(engine: Engine, container: Container, request: Request) -> Container:
    """Remember that somebody wants it to stay down, and who. Of one that is restarting, that is all there is to do."""
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if container.state.status == "restarting":
            return restarts.cancel(engine, container, request)
        if not container.state.is_running:
            raise NotModified(f"container {container.name} is not running")
        return engine.containers.put_state(container, manually_stopped=True, request=request)


def end(engine: Engine, container: Container, signal: int, timeout: int) -> None:
    """Signal a running container and see to it that it ends. The container's lock is not held: its end needs it."""
    wait = engine.containers.wait(container.id, "not-running")
    try:
        if not _deliver(engine, container, signal) or wait.result(None if timeout < 0 else timeout) is not None:
            return
        if _deliver(engine, container, signals.SIGKILL) and wait.result(KILL_TIMEOUT) is None:
            raise PykeError(
                f"container {container.name} did not end {KILL_TIMEOUT:.0f} s after SIGKILL: a process of it is stuck in the kernel",
                hint=f"cat /proc/{container.state.pid}/stack",
            )
    finally:
        wait.cancel()


def _deliver(engine: Engine, container: Container, signal: int) -> bool:
    """Send a signal, and thaw what is paused: a frozen process hears none, not even the last. After that one nobody freezes it again.

    False where the run that is meant has ended; another that somebody has begun meanwhile is let alone.
    """
    with engine.locks.of("container", container.id):
        now = engine.state.containers.get(container.id)
        if now is None or not now.state.is_running or now.state.started_at != container.state.started_at:
            return False
        send(engine, now, signal)
        if now.state.status == "paused":
            pause.thaw(engine, now)
        return True


def send(engine: Engine, container: Container, signal: int) -> None:
    """Send a signal through the monitor, which is the parent and so cannot hit another process. A container that is gone is fine."""
    monitor = engine.containers.monitors.get(container.id)
    if monitor is not None:
        engine.events.publish("container", "kill", container.id, engine.attributes(container), signal=str(signal))
        with contextlib.suppress(StartFailed):  # the monitor is gone, and so is its container: the end is on its way here
            monitor.signal(signal)


def kill(engine: Engine, container: Container, *, signal: str, caller: Caller) -> None:
    """Send a signal; after SIGKILL, wait for the end."""
    number = signal_number(signal)
    engine.authorize(caller, "container.kill", container.id, container.spec)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        if not container.state.is_running:
            raise Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")
        is_stopped = container.state.manually_stopped or number in (signals.SIGKILL, stop_signal(container))
        request = endings.asked("kill", number, caller)
        container = engine.containers.put_state(container, manually_stopped=is_stopped, request=request)
    if number == signals.SIGKILL:
        end(engine, container, number, timeout=KILL_AGAIN)
    else:
        send(engine, container, number)


def restart(engine: Engine, container: Container, *, timeout: int | None, signal: str, caller: Caller) -> None:
    """Stop the container if it runs, then start it."""
    from pyke.engine.containers import start

    try:
        with contextlib.suppress(NotModified):
            stop(engine, container, timeout=timeout, signal=signal, caller=caller, action="restart")
        with contextlib.suppress(NotModified):  # somebody else has started it meanwhile
            start.start(engine, engine.containers.get(container.id), caller=caller)
    except PykeError as error:
        error.message = f"Cannot restart container {container.name}: {error.message}"
        raise
    engine.events.publish("container", "restart", container.id, engine.attributes(container))
