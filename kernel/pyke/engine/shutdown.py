"""The machine goes down: containers get their stop signal and the time that they have, before the init system ends whatever is left.

An engine that is stopped or restarted leaves containers alone, so the two have to be told apart: systemd is asked.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pyke.engine.containers import stop
from pyke.errors import PykeError
from pyke.model import Caller, Container

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.shutdown")

ASKING = 10.0  # seconds that systemd has for its answer
LONGEST_PATIENCE = 240  # seconds, also for a container that wants more: the unit's TimeoutStopSec is 300
INIT = Caller(0, 0, 1)  # who asks for it, as `pyke why` tells


def is_under_way() -> bool:
    """Whether systemd is shutting the machine down. Without systemd: no."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False, timeout=ASKING)
        return asked.stdout.strip() == "stopping"
    return False


def stop_containers(engine: Engine) -> None:
    """Stop all that runs, at once, and return when it has ended. Nobody has stopped them: what the restart policies want is on record,
    and the engine of the next boot does it."""
    engine.is_stopping = True
    running = [each for each in engine.containers.all() if _runs(engine, each)]
    log.info("the machine goes down: stopping %d containers", len(running))
    with ThreadPoolExecutor(max(1, len(running)), thread_name_prefix="pyke-shutdown") as threads:
        for container in running:
            threads.submit(_stop, engine, container)


def _runs(engine: Engine, container: Container) -> bool:
    """Also one that is being started just now: its lock is held as long as that takes."""
    with engine.locks.of("container", container.id):
        now = engine.state.containers.get(container.id)
        return now is not None and now.state.is_running


def _stop(engine: Engine, container: Container) -> None:
    try:
        stop.stop_for_shutdown(engine, container, LONGEST_PATIENCE, INIT)
    except PykeError as error:
        log.error("container %s: %s", container.short_id, error.message)
    except Exception:
        log.exception("container %s could not be stopped", container.short_id)
