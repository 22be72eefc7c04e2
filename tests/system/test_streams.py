"""Bytes in and out of containers: none lost, none invented, and nobody stalls anybody for good."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.patience import PATIENCE, eventually

LARGE = 100 << 20  # bytes
BLOCK = 1 << 20
UNLIMITED = ("--log-opt", "max-size=-1")


@pytest.fixture
def house(shared: TestEngine) -> TestEngine:
    """The shared engine with a container `house` that sleeps."""
    shared.ok("run", "-d", "--init", "--name", "house", "busybox", "sleep", "1000")
    return shared


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 MB that are no text, with every byte in it."""
    path = tmp_path_factory.mktemp("large") / "file"
    with open(path, "wb") as file:
        for number in range(LARGE // BLOCK):
            file.write(hashlib.shake_128(bytes([number])).digest(BLOCK))
    return path


def digest(stream: io.BufferedReader) -> str:
    found = hashlib.sha256()
    while block := stream.read(BLOCK):
        found.update(block)
    return found.hexdigest()


def digest_of(path: Path) -> str:
    with open(path, "rb") as file:
        return digest(file)


def through(engine: TestEngine, *arguments: str, source: Path | None = None) -> str:
    """The digest of what `pyke ARGUMENTS` prints, with a file as its stdin."""
    with open(source or os.devnull, "rb") as stdin:
        process = subprocess.Popen(engine.argv(*arguments), stdin=stdin, stdout=subprocess.PIPE, env=engine.environment)
    assert process.stdout
    found = digest(process.stdout)
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    return found


# --- every byte ------------------------------------------------------------------------------------------------------


def test_a_large_file_through_a_container(shared: TestEngine, large: Path) -> None:
    assert through(shared, "run", "-i", "--rm", "--log-driver", "none", "busybox", "cat", source=large) == digest_of(large)


def test_a_large_file_through_exec(house: TestEngine, large: Path) -> None:
    assert through(house, "exec", "-i", "house", "cat", source=large) == digest_of(large)
    assert through(house, "exec", "-i", "house", "sh", "-c", "cat > /copy", source=large) == hashlib.sha256().hexdigest()
    assert house.ok("exec", "house", "sha256sum", "/copy").split()[0] == digest_of(large)


def test_a_large_text_through_log_and_attach(shared: TestEngine) -> None:
    expected = hashlib.sha256("".join(f"{number} some words of a line\n" for number in range(300_000)).encode()).hexdigest()
    script = "seq 0 299999 | sed 's/$/ some words of a line/'"
    assert through(shared, "run", "--name", "writer", *UNLIMITED, "busybox", "sh", "-c", script) == expected
    assert through(shared, "logs", "writer") == expected


def test_tar_both_ways(house: TestEngine) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in range(50):
            entry = tarfile.TarInfo(f"tree/{number}")
            entry.size = 10_000 + number
            tar.addfile(entry, io.BytesIO(bytes([number]) * entry.size))
    with house.start("exec", "-i", "house", "tar", "-xf", "-", "-C", "/tmp") as inwards:
        assert inwards.communicate(archive.getvalue(), timeout=PATIENCE) == (b"", b"")
    with house.start("exec", "house", "tar", "-cf", "-", "-C", "/tmp", "tree") as outwards:
        packed, _ = outwards.communicate(timeout=PATIENCE)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
        assert {name: file.read() for name, file in files.items() if file} == {
            f"tree/{number}": bytes([number]) * (10_000 + number) for number in range(50)
        }


def test_streams_stay_apart(shared: TestEngine) -> None:
    done = shared.pyke("run", "--name", "both", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    logged = shared.pyke("logs", "both")
    assert (logged.stdout, logged.stderr) == ("out\n", "err\n")
    inside = shared.pyke("run", "--rm", "-a", "stderr", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (inside.stdout, inside.stderr) == ("", "err\n")


# --- ends of streams -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("run", "-i", "--rm", "busybox"), ("exec", "-i", "house")])
def test_the_end_of_stdin_is_not_the_end(house: TestEngine, words: tuple[str, ...]) -> None:
    done = house.pyke(*words, "sh", "-c", "cat; echo and the rest; exit 3", input="x\n")
    assert (done.status, done.stdout) == (3, "x\nand the rest\n")


@pytest.mark.parametrize("words", [("run", "-i", "--rm", "busybox"), ("exec", "-i", "house")])
def test_a_command_that_ends_while_we_still_type(house: TestEngine, words: tuple[str, ...]) -> None:
    with house.start(*words, "head", "-c", "3") as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"abcdef")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 0, "it does not wait for our stdin to end"
        assert process.stdout.read() == b"abc"


def test_a_reader_that_leaves_early(house: TestEngine) -> None:
    line = " ".join(house.argv("exec", "house", "yes"))
    done = subprocess.run(["sh", "-c", f"{line} | head -n 2"], capture_output=True, timeout=PATIENCE, check=True, env=house.environment)
    assert (done.stdout, done.stderr) == (b"y\ny\n", b"")
    assert house.ok("exec", "house", "echo", "well") == "well"


def test_a_client_that_is_killed_leaves_the_container_alone(shared: TestEngine) -> None:
    client = shared.start("run", "-i", "--name", "clock", "busybox", "sh", "-c", "while sleep 0.1; do echo tick; done")
    assert client.stdout and client.stdout.readline() == b"tick\n"
    client.kill()
    client.communicate()
    assert shared.ok("inspect", "-f", "{{.State.Running}}", "clock") == "true"
    before = len(shared.ok("logs", "clock"))
    eventually(lambda: len(shared.ok("logs", "clock")) > before)


def test_attach_without_stdin_and_without_signals(shared: TestEngine) -> None:
    shared.ok(
        "run", "-di", "--name", "cat", "busybox", "sh", "-c", "trap 'echo caught' INT; while :; do read -t 0.2 line && echo got $line; done"
    )
    mute = shared.start("attach", "--no-stdin", "--sig-proxy=false", "cat")
    speaking = shared.start("attach", "cat")
    assert mute.stdin and mute.stdout and speaking.stdin and speaking.stdout
    mute.stdin.write(b"unheard\n")
    mute.stdin.close()
    mute.stdin = None
    time.sleep(0.3)
    speaking.stdin.write(b"heard\n")
    speaking.stdin.flush()
    assert speaking.stdout.readline() == mute.stdout.readline() == b"got heard\n"
    mute.send_signal(signal.SIGINT)
    assert mute.wait(PATIENCE) == 130, "it is its own signal"
    speaking.send_signal(signal.SIGINT)
    assert speaking.stdout.readline() == b"caught\n"
    shared.ok("kill", "cat")
    assert speaking.wait(PATIENCE) == 137
    for client in (mute, speaking):
        client.communicate()


# --- slow readers ----------------------------------------------------------------------------------------------------


def test_a_paused_reader_stalls_nobody_and_loses_nothing(shared: TestEngine) -> None:
    with shared.start("run", "--name", "writer", *UNLIMITED, "busybox", "seq", "700000") as paused:
        assert paused.stdout
        begun = paused.stdout.read(10)
        paused.send_signal(signal.SIGSTOP)
        attached = shared.start("attach", "writer") if shared.ok("inspect", "-f", "{{.State.Running}}", "writer") == "true" else None
        assert shared.ok("wait", "writer") == "0"
        if attached:
            attached.communicate(timeout=PATIENCE)
        time.sleep(2)
        shared.ok("rm", "writer")
        paused.send_signal(signal.SIGCONT)
        found = begun + paused.stdout.read()
        assert paused.wait(PATIENCE) == 0
    assert found == b"".join(b"%d\n" % number for number in range(1, 700_001))


def test_an_exec_waits_for_its_reader(house: TestEngine) -> None:
    with house.start("exec", "house", "seq", "700000") as paused:
        assert paused.stdout
        begun = paused.stdout.read(10)
        paused.send_signal(signal.SIGSTOP)
        time.sleep(2)
        assert "seq" in house.ok("top", "house", "-eo", "pid,comm").split()
        paused.send_signal(signal.SIGCONT)
        found = begun + paused.stdout.read()
        assert paused.wait(PATIENCE) == 0
    assert found.endswith(b"699999\n700000\n") and len(found) == sum(len(str(number)) + 1 for number in range(1, 700_001))


def test_a_paused_reader_of_logs(shared: TestEngine) -> None:
    shared.ok("run", "--name", "writer", *UNLIMITED, "busybox", "seq", "200000")
    with shared.start("logs", "-f", "writer") as paused:
        assert paused.stdout
        begun = paused.stdout.read(10)
        paused.send_signal(signal.SIGSTOP)
        time.sleep(1)
        paused.send_signal(signal.SIGCONT)
        found = begun + paused.stdout.read()
        assert paused.wait(PATIENCE) == 0
    assert found == b"".join(b"%d\n" % number for number in range(1, 200_001))
