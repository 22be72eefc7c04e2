"""`pyke stats`: numbers of the API as Docker's columns."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from pyke.cli.containers.stats import block, cpu_percent, memory, network

Pyke = Callable[..., subprocess.CompletedProcess[str]]


def row(used: int, passed: int, processors: int = 2) -> dict[str, Any]:
    before = {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000}
    now = {"cpu_usage": {"total_usage": 100 + used}, "system_cpu_usage": 1000 + passed, "online_cpus": processors}
    return {"cpu_stats": now, "precpu_stats": before}


@pytest.mark.parametrize(
    ("found", "percent"), [(row(50, 200), 50), (row(200, 200), 200), (row(0, 200), 0), (row(50, 0), 0), (row(-5, 9), 0)]
)
def test_a_busy_processor_is_a_hundred_percent(found: dict[str, Any], percent: float) -> None:
    assert cpu_percent(found) == percent


@pytest.mark.parametrize(
    ("details", "usage"), [({"total_inactive_file": 30}, 70), ({"inactive_file": 20}, 80), ({"inactive_file": 200}, 100), ({}, 100)]
)
def test_what_the_cache_would_give_back_is_not_used(details: dict[str, int], usage: int) -> None:
    assert memory({"memory_stats": {"usage": 100, "limit": 1000, "stats": details}}) == (usage, 1000)


def test_all_interfaces_and_devices_are_added_up() -> None:
    assert network({"networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}}}) == (11, 22)
    entries = [{"op": "Read", "value": 1}, {"op": "write", "value": 2}, {"op": "Read", "value": 4}, {"op": "Total", "value": 7}]
    assert block({"blkio_stats": {"io_service_bytes_recursive": entries}}) == (5, 2)


def test_the_table_is_docker_s(pyke: Pyke) -> None:
    assert pyke("run", "-d", "--name", "web", "busybox", "sleep", "100").returncode == 0
    title, line = pyke("stats", "--no-stream").stdout.splitlines()
    assert title == "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O     BLOCK I/O   PIDS"
    assert line[15:] == "web       0.00%     2MiB / 64MiB        3.12%     1kB / 1kB   2kB / 0B    2"


def test_a_template_has_its_fields(pyke: Pyke) -> None:
    pyke("create", "--name", "web", "busybox")
    done = pyke("stats", "--no-stream", "--format", "{{.Container}} {{.Name}} {{.MemPerc}} {{.NetIO}} {{.PIDs}}", "web")
    assert done.stdout == "web web 0.00% 0B / 0B 0\n"
    done = pyke("stats", "--no-stream", "nosuch")
    assert (done.returncode, done.stdout) == (1, "") and "No such container: nosuch" in done.stderr


def test_why_prints_the_story_and_goes_on_after_one_that_is_not_there(pyke: Pyke) -> None:
    pyke("create", "--name", "web", "busybox")
    done = pyke("why", "nosuch", "web")
    assert done.returncode == 1 and "No such container: nosuch" in done.stderr
    assert done.stdout.splitlines()[1:] == ["  next: pyke start web"]
