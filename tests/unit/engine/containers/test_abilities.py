"""What the kernel lacks is left out of the limits, in Docker's words."""

from __future__ import annotations

import pytest

from pyke.engine.containers.abilities import kept
from pyke.errors import InvalidRequest
from pyke.model import Limits

WANTED = Limits(memory=64 << 20, memory_swappiness=0, blkio_weight=300, cpu_quota=5000, cpuset_cpus="0", cpuset_mems="0")


def test_nothing_is_said_where_all_can_be_kept() -> None:
    assert kept(WANTED, frozenset()) == (WANTED, ())
    assert kept(Limits(), frozenset(("memory", "memory_swap", "blkio_weight"))) == (Limits(), ())


def test_each_limit_that_is_left_out_is_told_once() -> None:
    limits, warnings = kept(WANTED, frozenset(("blkio_weight", "memory_swappiness", "cpuset_cpus", "cpuset_mems")))
    assert limits == Limits(memory=64 << 20, cpu_quota=5000)
    assert warnings == (
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
        "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    )


def test_memory_is_limited_without_swap() -> None:
    warning = "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
    limits, warnings = kept(Limits(memory=64 << 20, memory_swap=128 << 20), frozenset({"memory_swap"}))
    assert (limits, warnings) == (Limits(memory=64 << 20, memory_swap=-1), (warning,))
    assert kept(Limits(memory=64 << 20, memory_swap=-1), frozenset({"memory_swap"})) == (Limits(memory=64 << 20, memory_swap=-1), ())
    limits, warnings = kept(Limits(memory=64 << 20, memory_swap=128 << 20), frozenset({"memory", "memory_swap"}))
    assert limits == Limits() and len(warnings) == 1


def test_processors_that_cannot_be_given_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="NanoCPUs can not be set"):
        kept(Limits(nano_cpus=10**9), frozenset({"cpu_quota"}))
