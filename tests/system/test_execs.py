"""Further commands in a running container: `pyke exec`."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.patience import PATIENCE, eventually


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """One engine for all of these tests, with a container `house` that sleeps."""
    with TestEngine(tmp_path_factory.mktemp("execs") / "root") as engine:
        engine.load_busybox()
        engine.ok("run", "-d", "--init", "--name", "house", "busybox", "sleep", "1000")
        yield engine


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["true"], 0, ""),
        (["sh", "-c", "exit 42"], 42, ""),
        (["nosuch"], 127, "executable file not found in $PATH"),
        (["/nosuch"], 127, "no such file or directory"),
        (["/etc/passwd"], 126, "permission denied"),
        (["sh", "-c", "kill -9 $$"], 137, ""),
        (["sh", "-c", "kill -TERM $$"], 143, ""),
    ],
)
def test_exit_statuses(shared: TestEngine, words: list[str], status: int, complaint: str) -> None:
    done = shared.pyke("exec", "house", *words)
    assert done.status == status
    assert complaint in done.stdout + done.stderr and bool(complaint) == bool(done.stdout + done.stderr)


def test_what_a_command_is_given(shared: TestEngine) -> None:
    script = "echo $PLACE $HOME $(pwd) $(id -u):$(id -g) $(grep CapEff /proc/self/status | cut -f2)"
    plain = shared.ok("exec", "house", "sh", "-c", script).split()
    assert plain[:3] == ["/root", "/", "0:0"]
    words = ["-e", "PLACE=attic", "-w", "/tmp", "-u", "nobody"]
    assert shared.ok("exec", *words, "house", "sh", "-c", script).split()[:4] == ["attic", "/home", "/tmp", "65534:65534"]
    powerful = shared.ok("exec", "--privileged", "house", "sh", "-c", script).split()
    assert int(powerful[-1], 16) > int(plain[-1], 16)


def test_detached(shared: TestEngine) -> None:
    assert shared.ok("exec", "-d", "house", "sh", "-c", "sleep 0.3; echo done > /tmp/made") == ""
    eventually(lambda: shared.pyke("exec", "house", "cat", "/tmp/made").stdout == "done\n")


def test_no_exec_where_nothing_runs(shared: TestEngine) -> None:
    shared.ok("create", "--name", "empty", "busybox", "true")
    shared.ok("pause", "house")
    try:
        paused = shared.pyke("exec", "house", "true")
        assert paused.status == 1 and "is paused, unpause the container before exec" in paused.stderr
        attached = shared.pyke("attach", "house")
        assert attached.status == 1 and "paused container" in attached.stderr
    finally:
        shared.ok("unpause", "house")
    stopped = shared.pyke("exec", "empty", "true")
    assert stopped.status == 1 and "is not running" in stopped.stderr
    shared.ok("rm", "empty")


def test_an_exec_ends_with_its_container(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "brief", "busybox", "sleep", "1000")
    with shared.start("exec", "brief", "sh", "-c", "echo up; sleep 1000") as client:
        assert client.stdout and client.stdout.readline() == b"up\n"
        shared.ok("kill", "brief")
        assert client.wait(PATIENCE) == 137
        client.communicate()
    shared.ok("rm", "brief")


def test_a_process_that_has_taken_the_number_is_not_joined(shared: TestEngine) -> None:
    with shared.start("exec", "house", "sh", "-c", "echo up; sleep 2") as client:
        assert client.stdout and client.stdout.readline() == b"up\n"
        id = shared.ok("inspect", "-f", "{{.Id}}", "house")
        directory = os.path.join(shared.layout.container_run_directory(id), "exec")
        newest = max(os.scandir(directory), key=lambda entry: entry.stat().st_ctime_ns)
        with open(os.path.join(newest.path, "bundle.json"), encoding="utf-8") as file:
            joined = json.load(file)["exec"]
        with open(f"/proc/{joined['pid']}/stat", encoding="ascii") as file:
            assert int(file.read().rpartition(")")[2].split()[19]) == joined["start_time"] > 0
        client.communicate(timeout=PATIENCE)


def test_execs_survive_the_engine(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-d", "--init", "--name", "house", "busybox", "sleep", "1000")
    script = "echo up; read line; echo got $line; exit {}"
    with (
        engine.start("exec", "-i", "house", "sh", "-c", script.format(5)) as first,
        engine.start("exec", "-i", "house", "sh", "-c", script.format(6)) as second,
    ):
        for client in (first, second):
            assert client.stdout and client.stdout.readline() == b"up\n"
        engine.stop(signal.SIGKILL)
        # The first one ends while no engine lives, the second after a new one has adopted it.
        assert first.communicate(b"one\n", timeout=PATIENCE) == (b"got one\n", b"")
        assert first.returncode == 5
        assert len(engine.ok("inspect", "-f", '{{join .ExecIDs " "}}', "house").split()) == 1
        engine.stop(signal.SIGKILL)
        engine.ok("ps")
        assert second.communicate(b"two\n", timeout=PATIENCE) == (b"got two\n", b"")
        assert second.returncode == 6
    deaths = engine.ok(
        "events", "--since", "1h", "--until", "0s", "--filter", "event=exec_die", "--format", "{{.Actor.Attributes.exitCode}}"
    )
    assert sorted(deaths.split()) == ["5", "6"], "each death is told once, however many engines saw it"


def test_waits_and_attached_clients_survive_engines(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("run", "-di", "--name", "reader", "busybox", "sh", "-c", "read line; echo got $line; exit 9")
    with engine.start("wait", "reader") as waiting, engine.start("attach", "reader") as early:
        time.sleep(0.5)
        for _ in range(2):
            engine.stop(signal.SIGKILL)
            time.sleep(0.5)
        engine.stop(signal.SIGKILL)
        with engine.start("attach", "reader") as late:
            time.sleep(0.5)
            assert late.stdin and late.stdout
            late.stdin.write(b"word\n")  # and not the end, which would be a farewell
            late.stdin.flush()
            assert late.stdout.readline() == b"got word\n"
            assert late.wait(PATIENCE) == 9
            late.communicate()
        assert early.communicate(timeout=PATIENCE) == (b"got word\n", b"")
        assert early.returncode == 9
        assert waiting.communicate(timeout=PATIENCE)[0] == b"9\n"
