"""Monitors, with real containers: from birth to exit status, and further commands inside."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from pyke.engine.containers.exit_records import read_exit_record
from pyke.errors import StartFailed
from pyke.testing.monitors import House, Terminal
from pyke.testing.patience import eventually
from pyke.testing.processes import is_alive


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 0), ("exit 255", 255)])
def test_exit_codes(house: House, script: str, code: int) -> None:
    # As process 1 of its namespace it cannot kill itself: the kernel shields it, as everywhere.
    record = house.run(script)
    assert (record.code, record.oom_killed, record.lost) == (code, False, False)
    assert read_exit_record(house.exit_record("a")) == record
    assert not os.path.exists(os.path.join(house.layout.container_run_directory("a"), "monitor.sock"))


def test_a_signal_counts_as_at_a_shell(house: House) -> None:
    monitor = house.start(house.bundle("a", "trap 'echo caught; exit 9' USR1; echo armed; while :; do sleep 0.05; done"))
    eventually(lambda: "armed" in house.output())
    monitor.signal(signal.SIGUSR1)
    assert house.ended("a").code == 9
    assert house.output() == "armed\ncaught\n"
    monitor = house.start(house.bundle("b", "sleep 1000"))
    monitor.signal(signal.SIGKILL)
    assert house.ended("b").code == 137


@pytest.mark.parametrize(
    ("args", "status", "word"),
    [(["/bin/nosuch"], 127, "no such file"), (["nosuch"], 127, "not found"), (["/tmp"], 126, "denied")],
)
def test_a_command_that_cannot_run_is_a_failure(house: House, args: list[str], status: int, word: str) -> None:
    monitor = house.monitors.launch(house.bundle("a", "", args=args))
    with pytest.raises(StartFailed) as failure:
        monitor.wait_ready()
        monitor.go()
        monitor.wait_started()
    assert failure.value.exit_status == status and word in failure.value.message.lower()
    monitor.abort()
    assert not os.path.exists(house.exit_record("a"))


def test_an_abort_leaves_nothing(house: House) -> None:
    monitor = house.monitors.launch(house.bundle("a", "true"))
    pid = monitor.wait_created()
    monitor.abort()
    monitor.abort()
    eventually(lambda: not is_alive(pid))  # it has left its cgroup, and may have a last step to go
    assert not list(Path("/sys/fs/cgroup").glob(f"*{house.cgroup('a')}"))


def test_an_engine_that_dies_before_go_takes_the_start_with_it(house: House) -> None:
    monitor = house.monitors.launch(house.bundle("a", "true"))
    pid = monitor.wait_created()
    monitor.wait_ready()
    monitor.close()
    eventually(lambda: not is_alive(pid))
    eventually(lambda: not os.path.exists(os.path.join(house.layout.container_run_directory("a"), "monitor.sock")))


def test_sigpipe_and_blocked_signals_are_a_programs_default(house: House) -> None:
    house.run("", args=["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])
    internal = 3 << 31  # glibc's posix_spawn(3) ignores the two signals that it keeps for itself, 32 and 33
    assert {int(line.split()[1], 16) & ~internal for line in house.output().splitlines()} == {0}


def test_no_descriptor_leaks(house: House) -> None:
    house.run("ls /proc/self/fd")
    assert house.output().split() == ["0", "1", "2", "3"]  # the last one is the listing's own


def test_all_that_was_printed_is_in_the_log(house: House) -> None:
    house.run("seq 200000; echo error >&2")
    lines = house.output().splitlines()
    assert len(lines) == 200_001 and sorted(lines[:-1] + lines[-1:], key=len)[0] == "1"


def test_leftovers_of_a_shared_pid_namespace_are_ended(house: House) -> None:
    begin = time.monotonic()
    record = house.run("sleep 777 & echo $!", host=("pid",))
    assert record.code == 0 and time.monotonic() - begin < 10
    assert not is_alive(int(house.output()))


def test_the_oom_killer_is_recognised(house: House) -> None:
    bundle = house.bundle("a", "x=0123456789abcdef; while :; do x=$x$x; done")
    bundle["oci"]["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    house.start(bundle)
    record = house.ended("a")
    assert (record.code, record.oom_killed) == (137, True)


def test_exec_runs_beside_the_first_process(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    pid = container.state()["pid"]
    client = Terminal(framed=False)
    house.start(house.exec_bundle(target, pid, "e1", "cat; ps -o args; exit 7", stdin=True), client.request)
    client.connection.sendall(b"typed\n")
    client.connection.shutdown(socket.SHUT_WR)
    seen = client.read_all()
    assert seen.startswith(b"typed\n") and b"sleep 1000" in seen
    assert house.ended("e1").code == 7
    house.start(house.exec_bundle(target, pid, "e2", "sleep 1000"))
    container.signal(signal.SIGKILL)
    assert house.ended("a").code == house.ended("e2").code == 137


def test_exec_has_a_terminal_of_its_own(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    client = Terminal(framed=False)
    bundle = house.exec_bundle(target, container.state()["pid"], "e", "stty size; tty", tty=True, stdin=True, rows=7, columns=70)
    house.start(bundle, client.request)
    assert client.read_all() == b"7 70\r\n/dev/pts/0\r\n"
    assert house.ended("e").code == 0
    container.signal(signal.SIGKILL)
    house.ended("a")


def test_exec_that_is_given_up_says_so_on_stderr(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    client = Terminal(framed=True)
    bundle = house.exec_bundle(target, container.state()["pid"], "e", "echo ran")
    monitor = house.monitors.launch(bundle, (client.request,))
    monitor.wait_ready()
    monitor.close()  # as when the engine is killed
    seen = client.read_all()
    words = seen[8:]
    assert seen[:8] == bytes((2, 0, 0, 0)) + len(words).to_bytes(4, "big")
    assert words.startswith(b"pyke: the command was not run: ") and b"\r\n  hint: pyke ps -a -f id=a\r\n" in words
    record = read_exit_record(bundle["exit_record"])
    assert record is not None and record.code == 125
    container.signal(signal.SIGKILL)
    house.ended("a")


def test_exec_of_a_command_that_is_missing(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    bundle = house.exec_bundle(target, container.state()["pid"], "e", "", args=["nosuch"])
    monitor = house.monitors.launch(bundle)
    monitor.wait_ready()
    with pytest.raises(StartFailed) as failure:
        monitor.go()
        monitor.wait_started()
    assert failure.value.exit_status == 127
    monitor.abort()
    record = read_exit_record(bundle["exit_record"])
    assert record is not None and record.code == 127
    container.signal(signal.SIGKILL)
    house.ended("a")
