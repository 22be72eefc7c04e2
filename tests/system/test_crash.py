"""The engine dies at any moment, and nothing is lost: what runs runs on, what was half done is finished or undone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyke.testing import agreement
from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually

COUNTING = "i=0; while [ $i -lt 100000 ]; do echo line $i; i=$((i+1)); sleep 0.02; done"
FLEET = 20
MOMENTS = int(os.environ.get("PYKE_CRASH_MOMENTS", "25"))


def test_containers_and_their_logs_survive_the_engine(busybox: TestEngine) -> None:
    engine = busybox
    names = [f"counter{number}" for number in range(FLEET)]
    for name in names:
        engine.ok("run", "-d", "--name", name, "busybox", "sh", "-c", COUNTING)
    first = engine.engine_pid()
    engine.stop(signal.SIGKILL)
    time.sleep(0.5)
    rows = engine.ok("ps", "--format", "{{.Names}} {{.State}}").splitlines()
    assert sorted(rows) == sorted(f"{name} running" for name in names)
    assert engine.engine_pid() not in (0, first)
    for name in names:
        lines = engine.ok("logs", name).splitlines()
        assert lines == [f"line {number}" for number in range(len(lines))], f"{name} lost a line"
        assert len(lines) > 10


def test_a_new_engine_follows_stops_and_waits(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-d", "--name", "trap", "busybox", "sh", "-c", "trap 'echo bye; exit 42' TERM; echo up; while :; do sleep 0.05; done")
    engine.ok("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 1; exit 7")
    engine.stop(signal.SIGKILL)
    follower = engine.start("logs", "-f", "trap")
    assert engine.ok("wait", "short") == "7"
    engine.ok("stop", "trap")
    output, _ = follower.communicate(timeout=20)
    assert output.decode().splitlines() == ["up", "bye"]
    assert engine.ok("inspect", "-f", "{{.State.ExitCode}}", "trap") == "42"


def test_what_ends_while_no_engine_lives_is_known_to_the_next(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 0.5; exit 3")
    engine.stop(signal.SIGKILL)
    time.sleep(1.5)
    assert engine.engine_pid() == 0, "an end that nobody has to act on wakes no engine"
    assert engine.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "short") == "exited 3"


def test_an_end_that_asks_for_action_wakes_an_engine(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1")
    engine.stop(signal.SIGKILL)
    eventually(engine.engine_pid)
    eventually(lambda: engine.ok("ps", "-aq") == "")


def test_an_attached_client_hears_on_while_the_engine_is_dead(busybox: TestEngine) -> None:
    engine = busybox
    client = engine.start("run", "--name", "talker", "busybox", "sh", "-c", "echo before; sleep 1.5; echo after; exit 5")
    assert client.stdout is not None
    assert client.stdout.readline() == b"before\n"
    engine.stop(signal.SIGKILL)
    output, errors = client.communicate(timeout=20)
    assert output == b"after\n"
    assert client.returncode == 5, errors.decode()


def test_a_killed_spawner_is_replaced(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-d", "--name", "old", "busybox", "sleep", "60")
    subprocess.run(["kill", "-9", str(engine.spawner_pid())], check=True)
    assert engine.ok("run", "--rm", "busybox", "echo", "new") == "new"
    assert engine.ok("ps", "--format", "{{.Names}}") == "old"


def test_a_killed_monitor_takes_its_container_along_and_is_told(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-d", "--name", "victim", "busybox", "sleep", "60")
    pid = engine.ok("inspect", "-f", "{{.State.Pid}}", "victim")
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        monitor = file.read().rpartition(")")[2].split()[1]
    subprocess.run(["kill", "-9", monitor], check=True)
    assert engine.ok("wait", "victim") == "137"


@pytest.mark.timeout(600)
def test_killed_at_random_moments_under_load(busybox: TestEngine) -> None:
    """The engine is killed at random moments while four clients create, start, stop and remove; then records and reality agree."""
    engine = busybox
    engine.ok("network", "create", "mine")
    ended = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        clients = [pool.submit(_live, engine, ended, number) for number in range(4)]
        dice = random.Random(20)
        for _ in range(MOMENTS):
            time.sleep(dice.uniform(0.05, 0.8))
            engine.stop(signal.SIGKILL)
        ended.set()
        for client in clients:
            client.result()
    assert agreement.disagreements(engine, patience=10) == []
    names = engine.ok("ps", "-aq").split()
    if names:
        engine.ok("rm", "-f", *names)
    assert agreement.leftovers(engine) == []


def _live(engine: TestEngine, ended: threading.Event, number: int) -> None:
    """Make and end containers, whatever becomes of each command."""
    count = 0
    while not ended.is_set():
        name = f"c{number}-{count}"
        count += 1
        network = "mine" if count % 2 else "none"
        engine.pyke("create", "--name", name, "--network", network, "busybox", "sleep", "30")
        engine.pyke("start", name)
        if count % 3:
            engine.pyke("stop", "-t", "0", name)
        engine.pyke("rm", "-f", name)
