"""What an update makes of limits, and what it refuses: Docker's rules, as data."""

from __future__ import annotations

import pytest

from pyke.engine.containers.update import changes, conflict, merged
from pyke.model import Limits

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (Limits(nano_cpus=10**9), Limits(cpu_period=10_000), "CPU Period cannot be updated as NanoCPUs"),
        (Limits(nano_cpus=10**9), Limits(cpu_quota=10_000), "CPU Quota cannot be updated as NanoCPUs"),
        (Limits(cpu_period=10_000), Limits(nano_cpus=10**9), "Nano CPUs cannot be updated as CPU Period"),
        (Limits(cpu_quota=10_000), Limits(nano_cpus=10**9), "Nano CPUs cannot be updated as CPU Quota"),
        (Limits(memory=64 * MEGABYTE), Limits(memory=200 * MEGABYTE), "update the memoryswap at the same time"),
        (Limits(memory=64 * MEGABYTE), Limits(memory=128 * MEGABYTE), ""),
        (Limits(memory=64 * MEGABYTE, memory_swap=-1), Limits(memory=200 * MEGABYTE), ""),
        (Limits(), Limits(memory=200 * MEGABYTE), ""),
        (Limits(memory=64 * MEGABYTE), Limits(memory=200 * MEGABYTE, memory_swap=300 * MEGABYTE), ""),
    ],
)
def test_what_does_not_go_together_is_refused(old: Limits, new: Limits, words: str) -> None:
    assert words in conflict(old, new)
    assert bool(words) == bool(conflict(old, new))


def test_what_is_not_given_stays() -> None:
    old = Limits(memory=64 * MEGABYTE, cpu_shares=512, pids=5, cpuset_cpus="0")
    assert merged(old, Limits(cpu_shares=256)) == Limits(
        memory=64 * MEGABYTE, memory_swap=128 * MEGABYTE, cpu_shares=256, pids=5, cpuset_cpus="0"
    )


def test_a_limit_of_processes_can_be_taken_away() -> None:
    assert merged(Limits(pids=5), Limits(pids=-1)).pids == 0
    assert changes(Limits(), Limits(pids=-1)) == {"pids": {"limit": -1}}


def test_only_what_is_given_reaches_the_cgroup() -> None:
    after = merged(Limits(memory=64 * MEGABYTE, cpu_shares=512), Limits(memory=100 * MEGABYTE))
    assert changes(after, Limits(memory=100 * MEGABYTE)) == {"memory": {"limit": 100 * MEGABYTE, "swap": 128 * MEGABYTE}}
    assert changes(after, Limits(cpu_shares=256)) == {"cpu": {"shares": 256}}
