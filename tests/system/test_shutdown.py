"""The machine goes down, which an engine that is told to end asks systemd about; here a program of the test's own answers in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually

OBEDIENT = "trap 'echo went in peace; exit 3' TERM; echo armed; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; echo armed; while :; do sleep 0.1; done"
NAMES = ("kept", "wanted", "mortal", "stubborn")


@contextmanager
def engine_under_systemd(engine: TestEngine, tools: Path, answer: str) -> Iterator[subprocess.Popen[bytes]]:
    """An engine in the foreground, as systemd starts it; `systemctl is-system-running` gives it this answer."""
    tools.mkdir(exist_ok=True)
    (tools / "systemctl").write_text(f'#!/bin/sh\ntest "$*" = is-system-running && echo {answer}\n')
    (tools / "systemctl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    engine.stop()
    with subprocess.Popen([sys.executable, "-m", "pyke.engine", "--root", engine.layout.root], env=environment) as process:
        eventually(lambda: engine.engine_pid() == process.pid)
        engine.ok("ps")  # it serves
        yield process
        process.terminate()
        assert process.wait(60) == 0


def states(engine: TestEngine) -> dict[str, tuple[str, int]]:
    """What `inspect` says of each container: its status and its exit code."""
    found = json.loads(engine.ok("inspect", *NAMES))
    return {each["Name"].strip("/"): (each["State"]["Status"], each["State"]["ExitCode"]) for each in found}


@pytest.fixture
def crowd(busybox: TestEngine) -> TestEngine:
    """Containers with and without a policy, one of them deaf."""
    run = ("run", "-d", "--network", "none")
    busybox.ok(*run, "--restart", "unless-stopped", "--name", "kept", "busybox", "sh", "-c", OBEDIENT)
    busybox.ok(*run, "--restart", "always", "--name", "wanted", "busybox", "sh", "-c", OBEDIENT)
    busybox.ok(*run, "--name", "mortal", "busybox", "sh", "-c", OBEDIENT)
    busybox.ok(*run, "--stop-timeout", "1", "--name", "stubborn", "busybox", "sh", "-c", STUBBORN)
    for name in NAMES:
        eventually(lambda name=name: "armed" in busybox.ok("logs", name))  # type: ignore[misc]
    return busybox


def test_containers_are_stopped_and_those_with_a_policy_come_back(crowd: TestEngine, tmp_path: Path) -> None:
    pids = {name: crowd.ok("inspect", "-f", "{{.State.Pid}}", name) for name in NAMES}
    with engine_under_systemd(crowd, tmp_path / "tools", "stopping"):
        assert states(crowd)["mortal"] == ("running", 0)
    assert [name for name in NAMES if Path(f"/proc/{pids[name]}").exists()] == []
    # The next engine is that of the next boot: what nobody had stopped, and is to run, runs again.
    eventually(lambda: [states(crowd)[name][0] for name in ("kept", "wanted")] == ["running", "running"])
    assert states(crowd)["mortal"] == ("exited", 3) and states(crowd)["stubborn"] == ("exited", 137)
    for name in ("kept", "wanted", "mortal"):
        assert "went in peace" in crowd.ok("logs", name)
    assert "`shutdown`, with SIGTERM" in crowd.ok("why", "mortal")


def test_an_engine_that_is_restarted_leaves_them_alone(crowd: TestEngine, tmp_path: Path) -> None:
    pids = {name: crowd.ok("inspect", "-f", "{{.State.Pid}}", name) for name in NAMES}
    with engine_under_systemd(crowd, tmp_path / "tools", "running"):
        pass
    assert {name: crowd.ok("inspect", "-f", "{{.State.Pid}}", name) for name in NAMES} == pids
    assert {state for state, _ in states(crowd).values()} == {"running"}
