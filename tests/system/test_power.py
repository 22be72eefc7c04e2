"""The power goes in the midst of pulls, loads and removals, or right after them: what is listed afterwards is whole and runs.

PYKE_POWER_CUTS says how often (2), PYKE_POWER_SEED when and what of.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing import store
from pyke.testing.disk import Disk
from pyke.testing.engine import TestEngine
from pyke.testing.images import busybox_tree, docker_archive, layer
from pyke.testing.patience import remaining
from pyke.testing.processes import family
from pyke.testing.registry import PlayRegistry

CUTS = int(os.environ.get("PYKE_POWER_CUTS", "2"))
SEED = int(os.environ.get("PYKE_POWER_SEED", "1"))
BOOT_ID = "/proc/sys/kernel/random/boot_id"
#: Becomes a command whose machine has another boot ID: no reboot without one.
IN_THIS_BOOT = ("unshare", "--mount", "sh", "-c", f'mount --bind "$0" {BOOT_ID} && exec "$@"')
LARGE, SMALL = 9 << 20, 20_000  # bytes: of a file that is synced by itself, on the way, and of one among many
pytestmark = pytest.mark.timeout(300 + 60 * CUTS)


class Machine(TestEngine):
    """An engine on a machine that can lose its power: its root is on a disk of its own, and each of its starts has another boot ID."""

    __test__ = False

    def __init__(self, disk: Disk, home: Path) -> None:
        super().__init__(disk.place / "root", {"HOME": str(home)})
        self._disk, self._boot = disk, home / "boot_id"
        self._start()

    def _start(self) -> None:
        self._boot.unlink(missing_ok=True)  # the old one stays what it was for whoever lives in the old boot
        self._boot.write_text(f"{uuid.uuid4()}\n")

    def argv(self, *arguments: str) -> list[str]:
        return [*IN_THIS_BOOT, str(self._boot), *super().argv(*arguments)]

    def loses_power(self) -> None:
        """And gets it back."""
        living = {each for pid in (self.engine_pid(), self.spawner_pid()) if pid for each in family(pid)}
        self._disk.cut(living)
        self._start()

    def syncs_another_file(self) -> None:
        """Which commits the file system's journal: what was created, renamed and deleted before is so for ever, whoever did it."""
        with (self._disk.place / "another").open("w") as file:
            file.write("written")
            file.flush()
            os.fsync(file.fileno())

    def images(self) -> set[str]:
        return set(self.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split())


class Supply:
    """Images that share their first layers, at a registry and in archives."""

    def __init__(self, registry: PlayRegistry, place: Path) -> None:
        self._registry, self._place, self._count = registry, place, 0
        self.random = random.Random(SEED)
        self._base = [layer(busybox_tree()), self._noise("base", 200)]

    def _noise(self, name: str, count: int, **others: bytes) -> bytes:
        return layer({**{f"{name}/{number}": self.random.randbytes(SMALL) for number in range(count)}, **others})

    def _layers(self) -> list[bytes]:
        self._count += 1
        return [*self._base, self._noise("own", 50), layer({"large": self.random.randbytes(LARGE), "number": str(self._count).encode()})]

    def at_registry(self) -> str:
        """The name of an image that can be pulled."""
        layers = self._layers()
        self._registry.put_image("app", str(self._count), layers)
        return f"{self._registry.host}/app:{self._count}"

    def in_archive(self) -> tuple[str, str]:
        """The name of an image that can be loaded, and the archive's."""
        layers, name = self._layers(), f"loaded:{self._count}"
        archive = self._place / f"{self._count}.tar"
        archive.write_bytes(docker_archive([name], layers))
        return name, str(archive)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this machine has no loop devices")
    with Disk(tmp_path) as disk:
        machine = Machine(disk, tmp_path)
        with machine:
            yield machine


@pytest.fixture
def supply(tmp_path: Path) -> Iterator[Supply]:
    with PlayRegistry() as registry:
        yield Supply(registry, tmp_path)


def assert_all_is_whole(machine: Machine) -> None:
    """Every listed image runs, for which its layers may have to be unpacked again; nothing else is there; and no command stumbles."""
    for name in machine.images():
        printed = machine.ok("run", "--rm", "--network", "none", name, "sh", "-c", "cat base/* own/* large | wc -c")
        assert int(printed) == 250 * SMALL + LARGE
    for command in (("ps", "-a"), ("system", "df"), ("image", "prune", "-f"), ("container", "prune", "-f")):
        machine.ok(*command)
    assert not remaining(lambda: store.faults(machine))


def test_what_was_pulled_is_there_when_the_power_is_back(machine: Machine, supply: Supply) -> None:
    names = set()
    for _ in range(2):  # the second stands on layers of the first, which are on the disk by then
        names.add(name := supply.at_registry())
        machine.ok("pull", "-q", name)
        machine.loses_power()
        assert machine.images() == names
        assert_all_is_whole(machine)


def test_what_was_loaded_is_there_and_what_was_removed_is_not_there_by_half(machine: Machine, supply: Supply) -> None:
    removed, first = supply.in_archive()
    machine.ok("load", "-q", "-i", first)
    name, archive = supply.in_archive()
    machine.ok("load", "-q", "-i", archive)
    machine.ok("rmi", removed)
    machine.syncs_another_file()
    machine.loses_power()
    assert name in machine.images()
    assert_all_is_whole(machine)


def test_the_power_may_go_at_any_moment(machine: Machine, supply: Supply) -> None:
    for _ in range(CUTS):
        _, archive = supply.in_archive()
        there = sorted(machine.images())
        commands = [["pull", "-q", supply.at_registry()], ["pull", "-q", supply.at_registry()], ["load", "-q", "-i", archive]]
        commands += [["rmi", each] for each in there[:2]]
        commands += [["run", "-d", "--network", "none", each, "sleep", "1000"] for each in there[2:]]
        running = [machine.start(*command) for command in commands]
        threading.Event().wait(supply.random.uniform(0.05, 3.0))  # any moment is the right one
        machine.loses_power()
        for each in running:
            _broken_off(each)
        assert_all_is_whole(machine)


def _broken_off(command: subprocess.Popen[bytes]) -> None:
    command.kill()
    command.communicate()
