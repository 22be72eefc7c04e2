"""What containers have printed, asked for later and while they print: `pyke logs`."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from pyke.testing.engine import TestEngine

PATIENCE = 20.0  # seconds


def ran(engine: TestEngine, script: str, *flags: str) -> None:
    """Run a script in the container `cc` and wait for its end."""
    engine.ok("run", "-d", "--name", "cc", *flags, "busybox", "sh", "-c", script)
    assert engine.ok("wait", "cc") == "0"


def test_followed_over_rotation(shared: TestEngine) -> None:
    script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); [ $((i % 20)) = 0 ] && sleep 0.02; done; exit 0"
    shared.ok("run", "-d", "--name", "cc", "--log-opt", "max-size=4k", "--log-opt", "max-file=3", "busybox", "sh", "-c", script)
    with shared.start("logs", "-f", "cc") as follower:
        output, _ = follower.communicate(timeout=PATIENCE)
    assert output.decode().splitlines() == [f"line {number}" for number in range(400)]
    kept = shared.ok("logs", "cc").splitlines()
    assert 40 < len(kept) < 400 and kept[-1] == "line 399", "the oldest file is gone"


def test_the_end_of_a_long_log_costs_little(shared: TestEngine) -> None:
    ran(shared, "seq 500000", "--log-opt", "max-size=-1")
    begin = time.monotonic()
    assert shared.ok("logs", "--tail", "3", "cc") == "499998\n499999\n500000"
    assert shared.ok("logs", "-n", "0", "cc") == ""
    short = time.monotonic() - begin
    begin = time.monotonic()
    assert len(shared.ok("logs", "cc").splitlines()) == 500_000
    assert short < (time.monotonic() - begin) / 2


def test_times_and_details(shared: TestEngine) -> None:
    ran(
        shared,
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
    first, second = shared.pyke("logs", "-t", "cc").stdout, shared.pyke("logs", "-t", "cc").stderr
    moment, text = first.split()
    assert text == "one" and len(moment) == len("2026-01-02T03:04:05.123456789Z") and moment.endswith("Z")
    assert second.endswith("Z two\n")
    assert shared.ok("logs", "--details", "cc").splitlines()[0] == "PLACE=here,shop=books one"
    middle = f"{moment[:-1].partition('.')[0]}.999999999Z"
    assert shared.pyke("logs", "--until", middle, "cc").stdout == "one\n"
    assert (
        shared.pyke("logs", "--since", second.split()[0], "cc").stdout,
        shared.pyke("logs", "--since", second.split()[0], "cc").stderr,
    ) == (
        "",
        "two\n",
    )
    assert shared.ok("logs", "--since", "10m", "cc").startswith("one")
    assert shared.pyke("logs", "--since", "0.5s", "--until", "0.4s", "cc").stdout == ""


def test_lines_that_are_none(shared: TestEngine) -> None:
    ran(shared, r"head -c 50000 /dev/zero | tr '\000' x; echo; printf 'broken \377\376 byte\n'; printf 'no end'")
    with shared.start("logs", "cc") as reader:
        output, _ = reader.communicate(timeout=PATIENCE)
    assert output == b"x" * 50_000 + b"\n" + "broken \ufffd\ufffd byte\n".encode() + b"no end"
    stamped = shared.pyke("logs", "-t", "cc").stdout
    assert stamped.count("Z x") == 1, "a long line has one time, however many records it is kept in"


def test_a_full_disk_is_told_and_stalls_nobody(shared: TestEngine) -> None:
    id = shared.ok("create", "--name", "cc", "busybox", "sh", "-c", "seq 100000; echo last >&2; read never < /dev/zero & sleep 1000")
    directory = shared.layout.container_directory(id)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", directory], check=True)
    try:
        with shared.start("start", "-a", "cc") as client:
            assert client.stdout and client.stderr
            seen = [client.stdout.readline() for _ in range(100_000)]
            assert seen[-1] == b"100000\n" and client.stderr.readline() == b"last\n", "who is attached misses nothing"
            logged = shared.pyke("logs", "cc")
            assert "lines of this container's output were lost: No space left on device" in logged.stderr
            assert "cannot be logged and is lost: No space left on device" in shared.log_tail(50)
            shared.ok("kill", "cc")
            client.communicate(timeout=PATIENCE)
            assert client.returncode == 137
        assert shared.ok("inspect", "-f", "{{.State.ExitCode}}", "cc") == "137"
    finally:
        subprocess.run(["umount", directory], check=True)
    assert os.path.ismount(directory) is False


def test_a_full_disk_and_a_reader_that_has_stopped_stall_nobody_for_good(shared: TestEngine) -> None:
    """What the reader misses has no room on the disk, and so it is cut off, and told when it reads on."""
    id = shared.ok("create", "-i", "--name", "cc", "busybox", "sh", "-c", "read go; seq 500000")
    directory = shared.layout.container_directory(id)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", directory], check=True)
    try:
        with shared.start("start", "-ai", "cc") as reader:
            assert reader.stdin and reader.stdout and reader.stderr
            reader.stdin.write(b"go\n")
            reader.stdin.flush()
            seen = reader.stdout.readline()
            reader.send_signal(signal.SIGSTOP)
            assert shared.ok("wait", "cc") == "0"
            reader.send_signal(signal.SIGCONT)
            seen += reader.stdout.read()
            assert b"pyke: the output is cut off here" in reader.stderr.read()
        assert 1 << 20 < len(seen) < 3 << 20
        assert b"".join(b"%d\n" % number for number in range(1, 500_001)).startswith(seen)
    finally:
        subprocess.run(["umount", directory], check=True)
