"""Large images on their way: pull, load, save and push of five layers (large.py), with a real registry on loopback.

Every round has images of its own, and nothing is deleted before the last one. The disk is synced before each work, so that none pays for
what another has left to be written. Memory is the sum of the high-water marks of all processes of an engine that live at one time,
which counts what they share more than once: an upper bound.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.engines import Engine
from tests.bench.large import LargeImage, make_image

from pyke.testing.docker_registry import DockerRegistry

BETTER = "the better"
ALLOWED, MOST_MEMORY = "150 MB", 150 << 20
SAMPLE = 0.02  # seconds between two looks at the memory
CLOCK = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """What a work took in each round: seconds, seconds of processors, bytes of memory."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Round:
    """The images of one round: one in the registry, one in an archive."""

    remote: str
    local: LargeImage
    archive: Path
    registry: str
    directory: Path

    def pull(self, engine: Engine) -> None:
        engine.run("pull", "-q", *engine.insecure, self.remote)

    def load(self, engine: Engine) -> None:
        engine.run("load", "-q", "-i", str(self.archive))

    def save(self, engine: Engine) -> None:
        engine.run("save", "-o", str(self.directory / f"{engine.name}.tar"), engine.local(self.local.name))

    def push(self, engine: Engine) -> None:
        name = f"{self.registry}/{engine.name}/{self.local.name}"
        engine.run("tag", engine.local(self.local.name), name)
        engine.run("push", "-q", *engine.insecure, name)


@dataclass(frozen=True)
class Work:
    """A line of the table: what is done, and at most how long compared with the better of docker and podman."""

    name: str
    do: Callable[[Round, Engine], None]
    budget: float
    goal: float

    @property
    def title(self) -> str:
        return f"{self.name} of 5 layers, 450 MB, 22,000 entries"


WORKS = (
    Work("pull", Round.pull, 0.35, 0.22),
    Work("load", Round.load, 0.4, 0.22),
    Work("save", Round.save, 0.9, 0.4),
    Work("push", Round.push, 1.0, 0.4),
)


@contextlib.contextmanager
def rounds(directory: Path) -> Iterator[Callable[[], Round]]:
    """Makes a round after the other."""
    directory.mkdir()
    seeds = iter(range(int(time.time()) * 100, 1 << 62))
    with DockerRegistry(directory / "registry") as registry:

        def next_round() -> Round:
            place = directory / str(next(seeds))
            remote, local = make_image(place, next(seeds)), make_image(place, next(seeds))
            archive = place / "image.tar"
            local.write_archive(archive)
            return Round(remote.upload(registry.host), local, archive, registry.host, place)

        yield next_round


def measure(work: Work, of: Round, engine: Engine, cost: Cost) -> None:
    """Have an engine do a work once, and write down what it took."""
    os.sync()
    with _Watch(engine) as watch:
        before, begun = _cpu(engine), time.perf_counter()
        work.do(of, engine)
        cost.wall.append(time.perf_counter() - begun)
    cost.cpu.append(_cpu(engine) - before)
    cost.memory.append(watch.peak)


def medians(costs: dict[str, Cost], of: Callable[[Cost], list[float] | list[int]]) -> dict[str, float]:
    """The median of each engine, and of the better of docker and podman."""
    found = {name: float(statistics.median(of(cost))) for name, cost in costs.items() if of(cost)}
    others = [found[name] for name in ("docker", "podman") if name in found]
    return {**found, BETTER: min(others)} if others else found


def _cpu(engine: Engine) -> float:
    """Seconds of processors that the resident processes and their children, and all that have ended, have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = sum(sum(map(int, _stat(pid)[11:15])) for top in engine.resident() for pid in _family(top))
    return usage.ru_utime + usage.ru_stime + ticks / CLOCK


def _stat(pid: int) -> list[str]:
    """The fields of a process from its state on; zeros for one that has just ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return ["0"] * 15


class _Watch:
    """Looks at the memory of an engine's processes for the length of a block."""

    def __init__(self, engine: Engine) -> None:
        self._pids = engine.resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.peak = 0

    def __enter__(self) -> _Watch:
        for pid in self._pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # its high-water mark is of now (proc_pid_clear_refs(5))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE):
            self.peak = max(self.peak, sum(_high_water(pid) for top in self._pids for pid in _family(top)))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                yield from _family(int(child))


def _high_water(pid: int) -> int:
    """Bytes; 0 for a process that has just ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
