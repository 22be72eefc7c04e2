"""pyke, docker and podman in turn, on this machine, in one run: `python -m tests.bench [--only ps,exec] [--rounds 5]`.

Rounds are interleaved, so that what else the machine does hits all alike; the table, which docs/performance.md holds, shows medians and
ratios. Needs root; engines that are not installed are left out. The exit status is 1 when a budget is exceeded or a work failed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import images
from tests.bench.engines import Engine, Failed, Pyke, started
from tests.bench.measures import CROWD, LINES, Line, Measure, crowd, run_bridge, run_none, start_engine

from pyke.testing.images import busybox_image

SCALE = {"ms": 1e3, "MB": 1 / (1 << 20)}
HEAD = "| work | pyke | docker | podman | ratio | against | at most | then |\n|---|---|---|---|---|---|---|---|\n"
ARCHIVE = "busybox.tar"
ALONE = "none of them"
CROWDED = [
    ("run --rm busybox true, none", run_none, (1.2, 1.0)),
    ("start of the engine", start_engine, (2.0, 1.2)),
]
CROWD_ROUNDS = 25
IMAGE_ROUNDS = 5
CPU_MARGIN = 1.5  # time of processors is not what a user waits for: it is shown to tell a busy machine from a slow engine


def main() -> int:
    arguments = _arguments()
    if os.geteuid() != 0:
        sys.exit("the engines need root")
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # through all that removes what was started
    directory = Path(tempfile.mkdtemp(prefix="pyke-bench."))
    try:
        with started(directory, arguments.engines.split(",")) as engines:
            _prepare(directory, engines)
            sys.stdout.write(HEAD)
            kept = [_line(line, engines, arguments.rounds) for line in LINES if _wanted(line.work, arguments.only)]
            if _wanted(CROWD, arguments.only) and "pyke" in engines:
                kept += _crowded(directory, engines["pyke"], arguments.rounds or CROWD_ROUNDS)
        if any(_wanted(work.title, arguments.only) for work in images.WORKS):
            kept += _images(directory / "images", arguments)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    sys.stderr.write(f"measured in {time.monotonic() - begun:.0f} s\n")
    return 0 if all(kept) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure pyke against docker and podman.")
    parser.add_argument("--engines", default="pyke,docker,podman", help="which engines, separated by commas")
    parser.add_argument("--only", default="", help="parts of the names of works, separated by commas")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each work, in place of its own number")
    return parser.parse_args()


def _wanted(work: str, only: str) -> bool:
    return not only or any(part in work for part in only.split(","))


def _prepare(directory: Path, engines: dict[str, Engine]) -> None:
    """Load the image and warm everything up once."""
    archive = directory / ARCHIVE
    archive.write_bytes(busybox_image())
    for engine in engines.values():
        engine.run("load", "-i", str(archive))
        for measure in (run_none, run_bridge):
            measure(engine)


def _line(line: Line, engines: dict[str, Engine], rounds: int) -> bool:
    """Measure one work and print its line. An engine that cannot do it is told of and left out of it."""
    competing = {name: engine for name, engine in engines.items() if name not in line.without}
    values: dict[str, list[float]] = {name: [] for name in competing}
    for _ in range(rounds or line.rounds):
        for name, engine in list(competing.items()):
            try:
                values[name].append(line.measure(engine))
            except Failed as failure:
                sys.stderr.write(f"{line.work}: {failure}\n")
                del competing[name]
    for engine in engines.values():
        engine.remove_all()
    medians = {name: statistics.median(values[name]) for name in competing}
    return _print(line.work, medians, line.against, line.budget, line.goal, line.unit) and len(competing) == len(values)


def _crowded(directory: Path, empty: Engine, rounds: int) -> list[bool]:
    """Cost grows with the work, not with what exists: an engine that has much, and one that has nothing, in turn."""
    with contextlib.closing(Pyke(directory / "crowded")) as crowded:
        crowded.run("load", "-i", str(directory / ARCHIVE))
        crowd(crowded)
        return [_beside(work, measure, budget, crowded, empty, rounds) for work, measure, budget in CROWDED]


def _images(directory: Path, arguments: argparse.Namespace) -> list[bool]:
    """Large images: engines of their own, which reach a registry on this machine's loopback."""
    directory.mkdir()
    works = [work for work in images.WORKS if _wanted(work.title, arguments.only)]
    costs = {work.name: {name: images.Cost() for name in arguments.engines.split(",")} for work in works}
    with started(directory, arguments.engines.split(","), share_network=True) as engines, images.rounds(directory / "rounds") as next_round:
        for engine in engines.values():
            engine.run("ps")
        for _ in range(arguments.rounds or IMAGE_ROUNDS):
            of = next_round()
            for work, (name, engine) in itertools.product(works, engines.items()):
                images.measure(work, of, engine, costs[work.name][name])
    return [kept for work in works for kept in _costs(work, costs[work.name])]


def _costs(work: images.Work, costs: dict[str, images.Cost]) -> list[bool]:
    wall, cpu = images.medians(costs, lambda cost: cost.wall), images.medians(costs, lambda cost: cost.cpu)
    memory = images.medians(costs, lambda cost: cost.memory)
    memory = {name: memory[name] for name in memory if name != "podman"} | {images.ALLOWED: float(images.MOST_MEMORY)}
    return [
        _print(work.title, wall, images.BETTER, work.budget, work.goal, "ms"),
        _print(f"processors' time of that {work.name}", cpu, images.BETTER, work.budget * CPU_MARGIN, work.goal, "ms"),
        _print(f"most memory of that {work.name}", memory, images.ALLOWED, 1.0, 0.7, "MB"),
    ]


def _beside(work: str, measure: Measure, budget: tuple[float, float], crowded: Engine, empty: Engine, rounds: int) -> bool:
    pairs = [(measure(crowded), measure(empty)) for _ in range(rounds)]
    beside, alone = (statistics.median(each) for each in zip(*pairs, strict=True))
    return _print(f"{work}, {CROWD}", {"pyke": beside, ALONE: alone}, ALONE, *budget, "ms")


def _print(work: str, medians: dict[str, float], against: str, budget: float, goal: float, unit: str) -> bool:
    shown = [f"{medians[name] * SCALE[unit]:.1f} {unit}" if name in medians else "" for name in ("pyke", "docker", "podman")]
    is_known = "pyke" in medians and against in medians
    ratio = medians["pyke"] / medians[against] if is_known else 0.0
    mark = "" if not is_known or ratio <= budget else " **over**"
    sys.stdout.write(f"| {work} | {' | '.join(shown)} | {f'{ratio:.2f}' if is_known else ''}{mark} | {against} | {budget:.4g} | {goal} |\n")
    sys.stdout.flush()
    return not mark


if __name__ == "__main__":
    sys.exit(main())
