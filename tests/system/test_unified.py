"""An engine on a system with version 2 of cgroups alone, as most are; where version 1 is mounted beside it, in a namespace without that."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.runtime import cgroups
from pyke.testing.engine import TestEngine

#: The machine without its hierarchies of version 1, held by a process that reads from the test.
HOLD = """set -e
mount --bind {unified} /mnt
umount --recursive --lazy /sys/fs/cgroup
mount --move /mnt /sys/fs/cgroup
echo ready
exec cat"""


class UnifiedEngine(TestEngine):
    """An engine whose commands, and so itself, live in the namespace of `holder`."""

    def __init__(self, root: Path, holder: int) -> None:
        super().__init__(root)
        self.holder = holder

    def argv(self, *arguments: str) -> list[str]:
        return ["nsenter", "--mount", "--target", str(self.holder), "--", *super().argv(*arguments)]


@pytest.fixture(scope="module")
def unified() -> Iterator[int]:
    """A process that sees version 2 alone."""
    try:
        place = cgroups.unified()
    except FileNotFoundError:
        pytest.skip("version 2 is not mounted")
    script = HOLD.format(unified=shlex.quote(place)) if any(cgroups.hierarchies()) else "echo ready; exec cat"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "ready\n"
        yield holder.pid


@pytest.fixture
def engine(unified: int, tmp_path: Path) -> Iterator[TestEngine]:
    with UnifiedEngine(tmp_path / "root", unified) as engine:
        engine.load_busybox()
        yield engine


def test_an_exec_beside_nested_cgroups(engine: TestEngine) -> None:
    """Whose cgroup lets its children use controllers has no processes in it (no internal processes): an exec goes where init has gone."""
    controllers = Path(cgroups.unified(), "cgroup.controllers").read_text().split()
    if not controllers:
        pytest.skip("version 2 has no controllers on this machine")
    nest = f"cd /sys/fs/cgroup && mkdir inner && echo 1 >inner/cgroup.procs && echo +{controllers[-1]} >cgroup.subtree_control"
    engine.ok("run", "-d", "--privileged", "--network", "none", "--name", "nest", "busybox", "sh", "-ec", f"{nest}; sleep 1000")
    engine.ok("exec", "nest", "sh", "-c", "until grep . /sys/fs/cgroup/cgroup.subtree_control; do sleep 0.1; done")
    for options in ([], ["-t"]):
        places = engine.ok("exec", *options, "nest", "cat", "/proc/self/cgroup").splitlines()
        assert "0::/inner" in places
    assert len(engine.ok("top", "nest", "-eo", "pid,args").splitlines()) == 2
    engine.ok("pause", "nest")
    frozen = Path(cgroups.unified(), engine.layout.cgroup, engine.ok("inspect", "-f", "{{.Id}}", "nest"), "inner", "cgroup.events")
    assert "frozen 1" in frozen.read_text()
    engine.ok("rm", "-f", "nest")
    assert not frozen.parent.parent.exists()


def test_devices_are_what_a_program_in_the_kernel_lets_through(engine: TestEngine) -> None:
    read = "head -c1 /dev/zero >/dev/null && echo zero; mknod /tmp/none c 1 2 && head -c1 /tmp/none"  # a number that no device has
    done = engine.pyke("run", "--rm", "--network", "none", "busybox", "sh", "-c", read)
    assert done.stdout == "zero\n" and "Operation not permitted" in done.stderr
    done = engine.pyke("run", "--rm", "--network", "none", "--device-cgroup-rule", "c 1:2 r", "busybox", "sh", "-c", read)
    assert "No such device" in done.stderr
