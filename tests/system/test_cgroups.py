"""Real cgroups: of whatever version this machine has, and version 2's where a tree of it is mounted."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from pyke.runtime import cgroups
from pyke.runtime.cgroups.common import Cgroup
from pyke.runtime.cgroups.v2 import CgroupV2

ALL = {"allow": True, "type": "a", "access": "rwm"}
NONE = {"allow": False, "type": "a", "access": "rwm"}
NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}


@pytest.fixture(params=["this machine's", "version 2"])
def group(request: pytest.FixtureRequest) -> Iterator[Cgroup]:
    parent = f"pyke-test-{os.getpid()}"
    if request.param == "version 2":
        try:
            group: Cgroup = CgroupV2(f"{parent}/child", cgroups.unified())
        except FileNotFoundError:
            pytest.skip("version 2 is not mounted")
        above: Cgroup = CgroupV2(parent, cgroups.unified())
    else:
        group, above = cgroups.at(f"/{parent}/child"), cgroups.at(parent)
    yield group
    group.remove()
    above.remove()


def start_inside(group: Cgroup, *command: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(["sh", "-c", 'read go; exec "$@"', "sh", *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    group.place(child.pid)
    assert child.stdin
    child.stdin.write(b"\n")
    child.stdin.close()
    return child


def test_processes_are_frozen_thawed_and_killed(group: Cgroup) -> None:
    group.create({})
    group.create({})  # idempotent
    child = start_inside(group, "sh", "-c", "while :; do sleep 0.01; done")
    group.freeze()
    group.freeze()
    assert child.pid in group.pids()
    group.thaw()
    group.freeze()
    group.kill_all()
    assert child.wait(5) == -signal.SIGKILL and group.pids() == []


def test_removing_ends_what_is_left_and_twice_succeeds(group: Cgroup) -> None:
    group.create({})
    child = start_inside(group, "sleep", "60")
    group.remove()
    group.remove()
    assert child.wait(5) == -signal.SIGKILL and not group.exists()


def test_device_rules(group: Cgroup) -> None:
    group.create({"devices": [NONE, NULL, {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "w"}]})
    script = "cat /dev/null && echo read; echo > /dev/null && echo written; cat /dev/zero | head -c1 && echo zero; true"
    child = start_inside(group, "bash", "-c", script) if os.path.exists("/bin/bash") else start_inside(group, "sh", "-c", script)
    assert child.wait(5) == 0 and child.stderr
    complaints = child.stderr.read()
    assert complaints.count(b"not permitted") == 2 and b"/dev/zero" in complaints


def test_all_devices(group: Cgroup) -> None:
    group.create({"devices": [NONE, ALL]})
    child = start_inside(group, "head", "-c1", "/dev/zero")
    assert child.wait(5) == 0


def test_statistics_and_limits_where_there_are_controllers() -> None:
    group = cgroups.at(f"/pyke-test-{os.getpid()}")
    try:
        group.create({"memory": {"limit": 64 << 20, "swap": 128 << 20}, "pids": {"limit": 9}})
        child = start_inside(group, "sleep", "60")
        time.sleep(0.1)
        found = group.statistics()
        assert found["memory"]["limit"] == 64 << 20 and found["memory"]["usage"] > 0
        assert found["pids"] == {"current": 1, "limit": 9} and found["cpu"]["usage"] > 0
        group.update({"memory": {"limit": 256 << 20, "swap": 512 << 20}, "pids": {"limit": -1}})
        assert group.statistics()["memory"]["limit"] == 256 << 20 and group.statistics()["pids"]["limit"] == 0
        group.update({"memory": {"limit": 32 << 20, "swap": 32 << 20}})
        assert group.oom_events() == 0 and cgroups.children("/").count(group.path) == 1
    finally:
        group.remove()
    assert child.wait(5) == -signal.SIGKILL


def test_a_path_cannot_leave_the_tree() -> None:
    with pytest.raises(ValueError, match="not the path"):
        cgroups.at("/pyke/../../etc")
