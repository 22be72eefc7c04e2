"""A crowd of clients does to containers all that one can, while engines are killed beside it; then records, events and the host agree.

It is small as it stands. PYKE_SOAK_CONTAINERS, PYKE_SOAK_SECONDS and PYKE_SOAK_INTERVAL raise it: 500, 300 and 10 are the full size.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pyke.testing import agreement
from pyke.testing.chronicle import Chronicle
from pyke.testing.crowd import NETWORK, Crowd
from pyke.testing.engine import TestEngine
from pyke.testing.patience import remaining

CLIENTS = 8
CONTAINERS = int(os.environ.get("PYKE_SOAK_CONTAINERS", "64"))
SECONDS = float(os.environ.get("PYKE_SOAK_SECONDS", "15"))
INTERVAL = float(os.environ.get("PYKE_SOAK_INTERVAL", "1.5"))  # seconds between two deaths of the engine
SETTLING = 30.0  # seconds in which restarts that are due happen


@pytest.mark.timeout(int(600 + 4 * SECONDS))
def test_a_crowd_outlives_its_engines(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("network", "create", NETWORK)
    crowd, deaths = Crowd(engine, CLIENTS, CONTAINERS), []
    with Chronicle(engine) as chronicle:
        with _killing(crowd, deaths):
            crowd.run(time.monotonic() + SECONDS)
        wrong = agreement.disagreements(engine, SETTLING)
        wrong += remaining(lambda: chronicle.contradictions(_states(engine)), within=SETTLING)  # some end between two looks
        records = agreement.inspected(engine)
    wrong += crowd.broken_promises({record["Name"].lstrip("/"): record["State"]["Status"] for record in records.values()})
    wrong += crowd.complaints(deaths)
    sys.stderr.write(f"{len(crowd.told)} commands, {len(deaths)} deaths, {len(records)} containers, {len(chronicle.events)} events\n")
    if records:
        engine.ok("rm", "-f", "-v", *records, timeout=300)
    wrong += agreement.leftovers(engine)
    assert not wrong, "\n".join(wrong)


def _states(engine: TestEngine) -> dict[str, str]:
    """The state of each container, by its ID."""
    return {id: record["State"]["Status"] for id, record in agreement.inspected(engine).items()}


@contextmanager
def _killing(crowd: Crowd, deaths: list[float]) -> Iterator[None]:
    """Kill the engine again and again, and now and then the spawner, for the length of the block."""
    over = threading.Event()

    def kill() -> None:
        dice = random.Random(7)
        while not over.wait(INTERVAL * dice.uniform(0.7, 1.3)):
            if dice.random() < 0.2 and (spawner := crowd.engine.spawner_pid()):
                subprocess.run(["kill", "-9", str(spawner)], check=False)
            crowd.engine.stop(signal.SIGKILL)
            deaths.append(time.monotonic())
            _wait_until_served(crowd, deaths[-1], over)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait_until_served(crowd: Crowd, since: float, over: threading.Event) -> None:
    """An engine is not killed before it has been of use to anybody: a machine that is slow enough would never see one otherwise."""
    while not crowd.has_been_served(since) and not over.wait(0.05):
        pass
