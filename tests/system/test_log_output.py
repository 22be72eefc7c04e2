"""What containers have printed, asked for later and while they print: `pyke logs`."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from pyke.testing.engine import TestEngine

PATIENCE = 20.0  # seconds


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """One engine for all of these tests, warm: what it has on the host for all containers is there before the first test."""
    with TestEngine(tmp_path_factory.mktemp("logs") / "root") as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "busybox", "true")
        yield engine


@pytest.fixture
def warm(shared: TestEngine) -> Iterator[TestEngine]:
    """The shared engine; its containers are removed when the test ends."""
    yield shared
    if names := shared.ok("ps", "-aq").split():
        shared.ok("rm", "-fv", *names)


def ran(engine: TestEngine, script: str, *flags: str) -> None:
    """Run a script in the container `cc` and wait for its end."""
    engine.ok("run", "-d", "--name", "cc", *flags, "busybox", "sh", "-c", script)
    assert engine.ok("wait", "cc") == "0"


def test_followed_over_rotation(warm: TestEngine) -> None:
    script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); [ $((i % 20)) = 0 ] && sleep 0.02; done; exit 0"
    warm.ok("run", "-d", "--name", "cc", "--log-opt", "max-size=4k", "--log-opt", "max-file=3", "busybox", "sh", "-c", script)
    with warm.start("logs", "-f", "cc") as follower:
        output, _ = follower.communicate(timeout=PATIENCE)
    assert output.decode().splitlines() == [f"line {number}" for number in range(400)]
    kept = warm.ok("logs", "cc").splitlines()
    assert 40 < len(kept) < 400 and kept[-1] == "line 399", "the oldest file is gone"


def test_the_end_of_a_long_log_costs_little(warm: TestEngine) -> None:
    ran(warm, "seq 500000")
    begin = time.monotonic()
    assert warm.ok("logs", "--tail", "3", "cc") == "499998\n499999\n500000"
    assert warm.ok("logs", "-n", "0", "cc") == ""
    short = time.monotonic() - begin
    begin = time.monotonic()
    assert len(warm.ok("logs", "cc").splitlines()) == 500_000
    assert short < (time.monotonic() - begin) / 2


def test_times_and_details(warm: TestEngine) -> None:
    ran(
        warm,
        "echo one; sleep 1.1; echo two >&2",
        "--label",
        "shop=books",
        "-e",
        "PLACE=here",
        "--log-opt",
        "labels=shop",
        "--log-opt",
        "env=PLACE",
    )
    first, second = warm.pyke("logs", "-t", "cc").stdout, warm.pyke("logs", "-t", "cc").stderr
    moment, text = first.split()
    assert text == "one" and len(moment) == len("2026-01-02T03:04:05.123456789Z") and moment.endswith("Z")
    assert second.endswith("Z two\n")
    assert warm.ok("logs", "--details", "cc").splitlines()[0] == "PLACE=here,shop=books one"
    middle = f"{moment[:-1].partition('.')[0]}.999999999Z"
    assert warm.pyke("logs", "--until", middle, "cc").stdout == "one\n"
    assert (warm.pyke("logs", "--since", second.split()[0], "cc").stdout, warm.pyke("logs", "--since", second.split()[0], "cc").stderr) == (
        "",
        "two\n",
    )
    assert warm.ok("logs", "--since", "10m", "cc").startswith("one")
    assert warm.pyke("logs", "--since", "0.5s", "--until", "0.4s", "cc").stdout == ""


def test_lines_that_are_none(warm: TestEngine) -> None:
    ran(warm, r"head -c 50000 /dev/zero | tr '\000' x; echo; printf 'broken \377\376 byte\n'; printf 'no end'")
    with warm.start("logs", "cc") as reader:
        output, _ = reader.communicate(timeout=PATIENCE)
    assert output == b"x" * 50_000 + b"\n" + "broken \ufffd\ufffd byte\n".encode() + b"no end"
    stamped = warm.pyke("logs", "-t", "cc").stdout
    assert stamped.count("Z x") == 1, "a long line has one time, however many records it is kept in"


def test_a_full_disk_is_told_and_stalls_nobody(warm: TestEngine) -> None:
    id = warm.ok("create", "--name", "cc", "busybox", "sh", "-c", "seq 100000; echo last >&2; read never < /dev/zero & sleep 1000")
    directory = warm.layout.container_directory(id)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", directory], check=True)
    try:
        with warm.start("start", "-a", "cc") as client:
            assert client.stdout and client.stderr
            seen = [client.stdout.readline() for _ in range(100_000)]
            assert seen[-1] == b"100000\n" and client.stderr.readline() == b"last\n", "who is attached misses nothing"
            logged = warm.pyke("logs", "cc")
            assert "lines of this container's output were lost: No space left on device" in logged.stderr
            assert "cannot be logged and is lost: No space left on device" in warm.log_tail(50)
            warm.ok("kill", "cc")
            client.communicate(timeout=PATIENCE)
            assert client.returncode == 137
        assert warm.ok("inspect", "-f", "{{.State.ExitCode}}", "cc") == "137"
    finally:
        subprocess.run(["umount", directory], check=True)
    assert os.path.ismount(directory) is False
