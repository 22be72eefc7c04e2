"""What a command follows goes on when the engine is killed: no line of a log and no event is lost or told twice."""

from __future__ import annotations

import signal
import subprocess
import time

from pyke.testing.engine import TestEngine

PATIENCE = 30.0  # seconds
KILLS = 3


def kill_again_and_again(engine: TestEngine, times: int = KILLS) -> None:
    for _ in range(times):
        time.sleep(0.4)
        engine.stop(signal.SIGKILL)


def test_a_followed_log_outlives_engines(busybox: TestEngine) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; [ $((i % 10)) = 0 ] && sleep 0.005; i=$((i+1)); done; exit 0"
    busybox.ok("run", "-d", "--name", "writer", "busybox", "sh", "-c", script)
    followers = [busybox.start("logs", "-f", *flags, "writer") for flags in ((), ("-t",), ("--tail", "0"))]
    kill_again_and_again(busybox)
    whole, stamped, late = (follower.communicate(timeout=PATIENCE)[0].decode().splitlines() for follower in followers)
    expected = [f"line {number}" for number in range(3000)]
    assert whole == expected
    assert [line.split(" ", 1)[1] for line in stamped] == expected
    assert late == expected[-len(late) :], "what came after the beginning, without a gap"
    assert [follower.returncode for follower in followers] == [0, 0, 0]


def test_lines_of_one_time_are_told_once(busybox: TestEngine) -> None:
    """A chunk that was printed at once has one time: 'the last second' is no place to go on from."""
    script = "seq 1 1000; seq 1 500 >&2; printf 'no end'; sleep 3; echo; seq 1001 1200"
    busybox.ok("run", "-d", "--name", "writer", "busybox", "sh", "-c", script)
    follower = busybox.start("logs", "-f", "writer")
    kill_again_and_again(busybox, 2)
    output, errors = follower.communicate(timeout=PATIENCE)
    assert output.decode().split("\n") == [*map(str, range(1, 1001)), "no end", *map(str, range(1001, 1201)), ""]
    assert errors.decode().split() == [*map(str, range(1, 501))]


def test_a_terminal_s_log_outlives_engines(busybox: TestEngine) -> None:
    busybox.ok("run", "-dt", "--name", "writer", "busybox", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.3; done")
    follower = busybox.start("logs", "-f", "writer")
    kill_again_and_again(busybox, 2)
    assert follower.communicate(timeout=PATIENCE)[0] == b"".join(b"%d\r\n" % number for number in range(1, 9))


def test_events_outlive_engines(busybox: TestEngine) -> None:
    filters = ("--filter", "type=container", "--filter", "event=create")
    with busybox.start("events", "--since", "1h", *filters, "--format", "{{.Actor.Attributes.name}}") as follower:
        assert follower.stdout
        busybox.ok("create", "--name", "first", "busybox")
        assert follower.stdout.readline() == b"first\n"
        for number in range(KILLS):
            busybox.stop(signal.SIGKILL)
            busybox.ok("create", "--name", f"next{number}", "busybox")
        assert [follower.stdout.readline() for _ in range(KILLS)] == [b"next%d\n" % number for number in range(KILLS)]
        follower.kill()


def test_those_who_wait_outlive_engines(busybox: TestEngine) -> None:
    busybox.ok("run", "-d", "--name", "sleeper", "busybox", "sh", "-c", "sleep 2; echo awake; exit 7")
    waiters = [busybox.start(*words, "sleeper") for words in (("wait",), ("attach", "--no-stdin"))]
    measuring = busybox.start("stats", "--format", "{{.Name}}", "sleeper")
    kill_again_and_again(busybox)
    waited, attached = (waiter.communicate(timeout=PATIENCE)[0] for waiter in waiters)
    assert (waited, attached, waiters[1].returncode) == (b"7\n", b"awake\n", 7)
    assert measuring.poll() is None, "the live figures go on"
    measuring.kill()
    assert measuring.communicate()[1] == b""


def test_a_command_is_executed_once_whenever_the_engine_dies(busybox: TestEngine) -> None:
    busybox.ok("run", "-d", "--init", "--name", "house", "busybox", "sleep", "1000")
    script = 'for i in $(seq 30); do {} exec house sh -c "echo $i >> /told" || echo failed $i; done'
    commands = subprocess.Popen(
        ["sh", "-c", script.format(" ".join(busybox.argv()))], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=busybox.environment
    )
    for pause in (0.5, 1.0, 0.8, 0.9, 0.7):  # longer than it takes to start an engine, or nobody would ever be served
        time.sleep(pause)
        busybox.stop(signal.SIGKILL)
    failed = [line.split()[-1] for line in commands.communicate()[0].decode().splitlines() if line.startswith("failed")]
    told = busybox.ok("exec", "house", "cat", "/told").split()
    assert len(told) == len(set(told)), "never twice"
    assert set(told) | set(failed) == set(map(str, range(1, 31))), "and never lost without an error"
