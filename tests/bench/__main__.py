"""pyke, docker and podman in turn, on this machine, in one run: `python -m tests.bench [--only ps,exec] [--engines pyke,docker]`.

Rounds are interleaved, so that what else the machine does hits all alike; the table shows medians and ratios. Needs root; engines that are
not installed are left out. docs: the budgets are those that pyke's design promises.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.engines import Engine, started
from tests.bench.measures import LINES, Line, crowd, run_bridge, run_none

from pyke.testing.images import busybox_image

SCALE = {"ms": 1e3, "MB": 1 / (1 << 20)}
HEAD = "| work | pyke | docker | podman | ratio | against | at most | then |\n|---|---|---|---|---|---|---|---|\n"


def main() -> int:
    arguments = _arguments()
    if os.geteuid() != 0:
        sys.exit("the engines need root")
    directory = Path(tempfile.mkdtemp(prefix="pyke-bench."))
    try:
        with started(directory, arguments.engines.split(",")) as engines:
            _prepare(directory, engines)
            sys.stdout.write(HEAD)
            kept = [_line(line, engines, arguments.rounds) for line in LINES if _wanted(line.work, arguments.only)]
            if _wanted("crowd", arguments.only) and "pyke" in engines:
                kept += _crowded(engines["pyke"])
    finally:
        shutil.rmtree(directory, ignore_errors=True)
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
    archive = directory / "busybox.tar"
    archive.write_bytes(busybox_image())
    for engine in engines.values():
        engine.run("load", "-i", str(archive))
        for measure in (run_none, run_bridge):
            measure(engine)


def _line(line: Line, engines: dict[str, Engine], rounds: int) -> bool:
    values: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds or line.rounds):
        for name, engine in engines.items():
            if line.unit == "MB" and name == "podman" and not engine.resident() and line.work.endswith("rest"):
                continue  # podman has no daemon
            values[name].append(line.measure(engine))
    medians = {name: statistics.median(each) for name, each in values.items() if each}
    for engine in engines.values():
        engine.remove_all()
    return _print(line.work, medians, line.against, line.budget, line.goal, line.unit)


def _crowded(engine: Engine) -> list[bool]:
    """Cost grows with the work, not with what exists."""
    before = statistics.median(run_none(engine) for _ in range(15))
    crowd(engine)
    after = statistics.median(run_none(engine) for _ in range(15))
    work = "run --network none, beside 300 containers and 60 networks"
    return [_print(work, {"pyke": after, "none of them": before}, "none of them", 1.15, 1.0, "ms")]


def _print(work: str, medians: dict[str, float], against: str, budget: float, goal: float, unit: str) -> bool:
    shown = [f"{medians[name] * SCALE[unit]:.1f} {unit}" if name in medians else "" for name in ("pyke", "docker", "podman")]
    known = "pyke" in medians and against in medians
    ratio = medians["pyke"] / medians[against] if known else 0.0
    mark = "" if not known else " ok" if ratio <= budget else " **over**"
    sys.stdout.write(f"| {work} | {' | '.join(shown)} | {f'{ratio:.2f}' if known else ''}{mark} | {against} | {budget} | {goal} |\n")
    sys.stdout.flush()
    return not known or ratio <= budget


if __name__ == "__main__":
    sys.exit(main())
