"""Pulls, loads, saves and removals of overlapping images at once, and an engine that is killed in the midst of it, again and again.

PYKE_STORM_KILLS says how often (2). After each kill, what is listed is whole; in the end, nothing else is there.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing import store
from pyke.testing.engine import TestEngine
from pyke.testing.images import docker_archive, layer, oci_archive
from pyke.testing.patience import eventually
from pyke.testing.processes import is_alive, layer_workers
from pyke.testing.registry import Exchange, PlayRegistry
from pyke.testing.tricks import halting

KILLS = int(os.environ.get("PYKE_STORM_KILLS", "2"))
IMAGES = 10
SECONDS = 300.0  # for one command in the storm
pytestmark = pytest.mark.timeout(300 + 60 * KILLS)


class Storm:
    """The images, where they come from, and the commands that are all given at once."""

    def __init__(self, engine: TestEngine, registry: PlayRegistry, place: Path, seed: int) -> None:
        self.engine, self.registry, self.place = engine, registry, place
        self.random = random.Random(seed)
        base = [layer({f"base{number}": self.random.randbytes(400_000), "again": bytes([number])}) for number in range(3)]
        own = [layer({f"own{number}": self.random.randbytes(300_000)}) for number in range(IMAGES)]
        for number in range(IMAGES):
            registry.put_image("storm", str(number), [*base[: 1 + number % 3], own[number]])
        self.names = [f"{registry.host}/storm:{number}" for number in range(IMAGES)]
        self.archives = [place / "docker.tar", place / "oci.tar"]
        self.archives[0].write_bytes(docker_archive(["loaded/docker:1"], [*base, own[0]]))
        self.archives[1].write_bytes(oci_archive(["loaded/oci:1"], [*base[:2], own[1], own[2]]))

    def break_loose(self) -> list[subprocess.Popen[bytes]]:
        """Start it all: ten pulls, two loads, two saves, and removals of what the others want."""
        commands = [["pull", "-q", name] for name in self.names]
        commands += [["load", "-q", "-i", str(archive)] for archive in self.archives]
        commands += [["save", "-o", str(self.place / f"saved{number}.tar"), self.names[number]] for number in range(2)]
        commands += [["rmi", "-f", name] for name in self.random.sample(self.names, 4)]
        commands += [["image", "prune", "-f"], ["image", "prune", "-af"], ["rmi", "-f", "loaded/oci:1"]]
        self.random.shuffle(commands)
        return [self.engine.start(*command) for command in commands]

    def pull_all(self) -> None:
        for name in self.names:
            self.engine.ok("pull", "-q", name, timeout=SECONDS)


@pytest.fixture
def storm(engine: TestEngine, tmp_path: Path) -> Iterator[Storm]:
    with PlayRegistry() as registry:
        yield Storm(engine, registry, tmp_path, seed=int(os.environ.get("PYKE_STORM_SEED", "7")))


def over(commands: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all have ended, one way or another: but none with a defect of the engine's."""
    for command in commands:
        _, errors = command.communicate(timeout=SECONDS)
        assert b"Traceback" not in errors and b"defect" not in errors, errors.decode()


def at_rest(engine: TestEngine) -> list[str]:
    """The faults of the store, once what was removed is really gone and what nobody fetches any more is deleted."""
    deadline = time.monotonic() + 60
    engine.ok("image", "prune", "-f")
    while (found := store.faults(engine)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def test_a_storm_leaves_whole_images_and_nothing_else(storm: Storm) -> None:
    engine = storm.engine
    engine.ok("pull", "-q", storm.names[0])
    for _ in range(KILLS):
        commands = storm.break_loose()
        threading.Event().wait(storm.random.uniform(0.05, 3.0))  # any moment is the right one to die in
        engine.stop(signal.SIGKILL)
        over(commands)
        assert not at_rest(engine)
    over(storm.break_loose())
    assert not at_rest(engine)
    storm.pull_all()
    assert not at_rest(engine)
    assert {f"{name}" for name in storm.names} <= set(engine.ok("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines())
    engine.ok("rmi", "-f", *engine.ok("images", "-aq").split())
    assert not at_rest(engine) and not store.images(engine)


def test_what_is_saved_in_a_storm_is_whole(storm: Storm) -> None:
    """An image may be removed while it is saved: the archive has all of it."""
    engine = storm.engine
    for name in storm.names[:4]:
        engine.ok("pull", "-q", name)
        saved = storm.place / "saved.tar"
        saving = engine.start("save", "-o", str(saved), name)
        removing = engine.start("rmi", "-f", name)
        over([saving, removing])
        if saving.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(saved.read_bytes())) as tar:
                assert "manifest.json" in tar.getnames()
            engine.ok("load", "-q", "-i", str(saved))
        assert not at_rest(engine)


def test_what_works_for_an_engine_dies_with_it(storm: Storm) -> None:
    """Even where it was stopped when the engine died: it would take back a layer that it has not finished, and the next engine has."""
    engine, registry, name, goes_on = storm.engine, storm.registry, storm.names[0], threading.Event()

    def answer(exchange: Exchange) -> None:
        blob = registry.blobs.get(exchange.seen.path.rpartition("/")[2], b"")
        if len(blob) > 100_000:
            halting(exchange, blob[:50_000], len(blob), goes_on)

    engine.ok("ps")
    registry.answer = answer
    pull = engine.start("pull", "-q", name)
    eventually(lambda: len(layer_workers(engine.engine_pid())) == 2, "two layers are fetched")
    workers = layer_workers(engine.engine_pid())
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    engine.stop(signal.SIGKILL)
    registry.answer = None
    goes_on.set()
    over([pull])
    engine.ok("pull", "-q", name)
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    eventually(lambda: not any(map(is_alive, workers)), "they are gone")
    assert not at_rest(engine)


def test_who_removes_an_image_is_told_what_went_whenever_the_engine_dies(storm: Storm) -> None:
    engine, name = storm.engine, storm.names[2]
    engine.ok("pull", "-q", name)
    whole = engine.ok("rmi", name)
    assert whole.count("Untagged: ") == 2 and whole.count("Deleted: ") == 5
    for _ in range(2 * KILLS):
        engine.ok("pull", "-q", name)
        removing = engine.start("rmi", name)
        threading.Event().wait(storm.random.uniform(0.0, 0.2))  # any moment is the right one
        engine.stop(signal.SIGKILL)
        told, errors = removing.communicate(timeout=SECONDS)
        assert (told.decode().rstrip(), errors.decode()) == (whole, "")
        assert "No such image" in engine.pyke("rmi", name).stderr
        assert not at_rest(engine) and not store.images(engine)
