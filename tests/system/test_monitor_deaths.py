"""Everybody's sudden death: engines, monitors, spawners; and what they leave to the next."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pyke.engine.containers.exit_records import read_exit_record
from pyke.errors import PykeError
from pyke.testing.monitors import House, Terminal
from pyke.testing.patience import eventually
from pyke.testing.processes import is_alive, parent, private_memory


def test_the_next_engine_adopts(house: House) -> None:
    client = Terminal(framed=False)
    first = house.start(house.bundle("a", "read a; echo $a; exit 5", stdin=True), client.request)
    pid = first.state()["pid"]
    house.monitors.close()
    house.monitors = house.new_engine()
    monitor = house.monitors.adopt("a", house.layout.container_run_directory("a"))
    assert monitor is not None and monitor.state()["pid"] == pid and monitor.state()["phase"] == "running"
    house.monitors.watch("a", monitor)
    client.connection.sendall(b"still here\n")
    assert client.read_all() == b"still here\n"
    assert house.ended("a").code == 5


def test_an_end_that_nobody_heard_is_found_and_wakes_an_engine(house: House, tmp_path: Path) -> None:
    woken = tmp_path / "woken"
    bundle = house.bundle("a", "read a; exit 6", stdin=True, wake=["/bin/sh", "-c", f"echo woken > {woken}"])
    client = Terminal()
    monitor = house.monitors.launch(bundle, [client.request])
    monitor.wait_ready()
    monitor.go()
    monitor.wait_started()
    monitor.close()
    client.connection.sendall(b"\n")
    client.read_all()
    eventually(woken.exists)
    record = read_exit_record(house.exit_record("a"))
    assert record is not None and record.code == 6
    assert house.monitors.adopt("a", house.layout.container_run_directory("a")) is None


def test_an_engine_that_dies_after_it_was_told_of_an_end_is_replaced(house: House, tmp_path: Path) -> None:
    """It has heard of the end, and is killed before it has done anything about it."""
    woken = tmp_path / "woken"
    bundle = house.bundle("a", "exit 6", wake=["/bin/sh", "-c", f"echo woken > {woken}"])
    monitor = house.monitors.launch(bundle)
    monitor.wait_ready()
    monitor.go()
    eventually(lambda: monitor.listen() and monitor.end() is not None)
    assert not woken.exists()
    monitor.close()
    eventually(woken.exists)


def test_an_end_that_an_engine_has_seen_to_wakes_no_other(house: House, tmp_path: Path) -> None:
    woken = tmp_path / "woken"
    monitor = house.start(house.bundle("a", "read a; exit 6", stdin=True, wake=["/bin/sh", "-c", f"echo woken > {woken}"]))
    keeper = parent(monitor.state()["pid"])
    monitor.signal(signal.SIGKILL)
    house.ended("a")
    eventually(lambda: not is_alive(keeper))
    assert not woken.exists()


def test_a_container_outlives_an_engine_that_dies_as_it_starts_and_the_next(house: House) -> None:
    bundle = house.bundle("a", "sleep 1000")
    first = house.monitors.launch(bundle)
    first.wait_ready()
    first.go()
    first.close()  # before the monitor can say that it has started
    for _ in range(2):
        next_engine = house.adopted("a")
        assert next_engine.state()["phase"] == "running"
        next_engine.close()
    last = house.adopted("a")
    house.monitors.watch("a", last)
    last.signal(signal.SIGTERM)
    last.signal(signal.SIGKILL)
    assert house.ended("a").signal == signal.SIGKILL


def test_a_command_in_a_container_goes_on_when_its_engine_dies_as_it_starts(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    bundle = house.exec_bundle(target, container.state()["pid"], "e", "exit 7")
    monitor = house.monitors.launch(bundle)
    monitor.wait_ready()
    monitor.go()
    monitor.close()
    eventually(lambda: read_exit_record(bundle["exit_record"]) is not None)
    record = read_exit_record(bundle["exit_record"])
    assert record is not None and record.code == 7
    container.signal(signal.SIGKILL)
    house.ended("a")


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.003, 0.01, 0.03])
def test_a_start_that_is_asked_for_again_waits_until_the_first_has_been_cleared_up(house: House, pause: float) -> None:
    """An engine is killed in the middle of a start, and the next one is asked for it at once."""
    bundle = house.bundle("a", "sleep 1000")
    for _ in range(5):
        given_up = house.monitors.launch(bundle)
        time.sleep(pause)  # before the monitor is born, while it works, or when init is ready
        given_up.close()
        monitor = house.start(bundle)
        assert monitor.state()["phase"] == "running"
        monitor.signal(signal.SIGKILL)
        assert house.ended("a").code == 137


def test_a_monitor_that_is_killed_takes_its_container_along(house: House) -> None:
    pid = house.start(house.bundle("a", "sleep 1000")).state()["pid"]
    os.kill(parent(pid), signal.SIGKILL)
    record = house.ended("a")
    assert record.lost and record.code == 137
    eventually(lambda: not is_alive(pid))
    assert not list(Path("/sys/fs/cgroup").glob(f"*{house.cgroup('a')}"))


def test_a_detached_container_that_is_silent_costs_little_memory(house: House) -> None:
    """Its monitor has nothing of its own but what it has touched; what it is asked makes it a whole one."""
    monitor = house.start(house.bundle("a", "read x; echo heard $x", stdin=True))
    resting = parent(pid := int(monitor.wait_created()))
    eventually(lambda: private_memory(resting) < 1 << 20)
    before = private_memory(resting)
    assert monitor.state()["pid"] == pid
    assert private_memory(resting) > before
    monitor.signal(signal.SIGKILL)
    assert house.ended("a").code == 137


def test_nobody_is_attached_to_a_detached_container_before_it_runs(house: House) -> None:
    client = Terminal()
    monitor = house.monitors.launch(house.bundle("a", "sleep 1000"))
    monitor.wait_ready()
    with pytest.raises(PykeError, match="before it runs"):
        monitor.attach(client.request)
    monitor.go()
    monitor.wait_started()
    monitor.attach(client.request)
    monitor.abort()


def test_a_spawner_that_is_killed_is_replaced(house: House) -> None:
    monitor = house.start(house.bundle("a", "sleep 1000"))
    old = house.spawner()
    os.kill(old, signal.SIGKILL)
    eventually(lambda: not is_alive(old))
    assert house.run("echo hello", id="b").code == 0
    assert house.spawner() != old
    monitor.signal(signal.SIGKILL)
    assert house.ended("a").code == 137


def test_a_monitor_that_is_gone_says_so(house: House) -> None:
    monitor = house.start(house.bundle("a", "true"))
    house.ended("a")
    with pytest.raises(PykeError, match="gone"):
        monitor.resize(1, 2)


def test_a_full_disk_does_not_stop_a_container_and_keeps_its_status(house: House) -> None:
    kept = house.layout.container_directory("a")
    bundle = house.bundle("a", "seq 100000; exit 4")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", kept], check=True)
    try:
        with open(os.path.join(kept, "ballast"), "wb") as file, contextlib.suppress(OSError):
            file.write(bytes(1 << 20))
        house.start(bundle)
        assert house.ended("a").code == 4
        fallback = os.path.join(house.layout.container_run_directory("a"), "exit.json")
        found = read_exit_record(house.exit_record("a")) or read_exit_record(fallback)
        assert found is not None and found.code == 4
    finally:
        subprocess.run(["umount", kept], check=True)


def test_thirty_at_once(house: House) -> None:
    ids = [f"c{number}" for number in range(30)]
    threads = [threading.Thread(target=lambda id=id: house.start(house.bundle(id, "read x; exit 3", stdin=True))) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for id in ids:
        monitor = house.monitors.adopt(id, house.layout.container_run_directory(id))
        assert monitor is not None
        client = Terminal(early=b"\n")
        monitor.attach(client.request)
        client.request.client.close()
    assert {house.ended(id).code for id in ids} == {3}
