"""What is measured: one function for each line of the table. A value is seconds, or bytes where it says so."""

from __future__ import annotations

import io
import json
import os
import random
import statistics
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bench.engines import Engine

MANY, AT_ONCE = 40, 8
PEOPLE = 20  # containers among which memory is shared when it is measured
CROWD = "beside 300 containers and 60 networks"
LOG = ("--log-opt", "max-size=10m", "--log-opt", "max-file=3")  # pyke's own default; without it Docker would fill the disk

Measure = Callable[[Engine], float]


@dataclass(frozen=True)
class Line:
    """A line of the table: the work, whom it is compared with, and the ratio that it may have."""

    work: str
    measure: Measure
    against: str
    budget: float
    goal: float
    rounds: int  # the default; a slow work has fewer
    unit: str = "ms"
    without: tuple[str, ...] = ()  # engines that have nothing to compare


def run_bridge(engine: Engine) -> float:
    return engine.timed("run", "--rm", "busybox", "true")


def run_none(engine: Engine) -> float:
    return engine.timed("run", "--rm", "--network", "none", "busybox", "true")


def execute(engine: Engine) -> float:
    if not engine.run("ps", "-q", "--filter", "name=sleeper"):
        engine.run("run", "-d", "--name", "sleeper", "--network", "none", "busybox", "sleep", "10000")
    return engine.timed("exec", "sleeper", "true")


def list_containers(engine: Engine) -> float:
    return engine.timed("ps")


def forty(engine: Engine) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: engine.run("run", "-d", "busybox", "sleep", "10000"), range(MANY)))
    taken = time.perf_counter() - started
    engine.remove_all()
    return taken


def print_long_lines(engine: Engine) -> float:
    """Seconds for a container that prints 256 MB in lines of 100 bytes, all of which are logged."""
    return _printed(
        engine,
        "yes 'somebody asked for /index.html, and was given it within a millisecond or two, as everybody is here' | head -c 268435456",
    )


def print_short_lines(engine: Engine) -> float:
    """Seconds for a container that prints four million lines of one letter."""
    return _printed(engine, "yes | head -c 8388608")


def print_data(engine: Engine) -> float:
    """Seconds for a container that prints 64 MB of random bytes, half of which belong to no character."""
    return _printed(engine, "head -c 67108864 /dev/urandom")


def _printed(engine: Engine, script: str) -> float:
    started = time.perf_counter()
    container = engine.run("run", "-d", "--network", "none", *LOG, "busybox", "sh", "-c", script)
    engine.run("wait", container)
    taken = time.perf_counter() - started
    engine.run("rm", container)
    return taken


def read_log(engine: Engine) -> float:
    """Seconds for `logs` of 256 MB in lines of 100 bytes."""
    return _read_back(engine, "writer", f"yes '{'a line of the length that many have, ' * 3:.99}' | head -c 268435456")


def read_json_log(engine: Engine) -> float:
    """Seconds for `logs` of 64 MB of JSON, whose every quotation mark was escaped."""
    line = '{"level":"info","time":"2026-01-02T03:04:05Z","msg":"a request was answered","status":200,"bytes":12345}'
    return _read_back(engine, "jsonwriter", f"yes '{line}' | head -c 67108864")


def _read_back(engine: Engine, name: str, script: str) -> float:
    if not engine.run("ps", "-aq", "--filter", f"name=^/?{name}$"):
        engine.run("run", "--name", name, "-d", "--network", "none", "--log-opt", "max-size=1g", "busybox", "sh", "-c", script)
        engine.run("wait", name)
    return engine.timed("logs", name)


def copy_in(engine: Engine) -> float:
    """Seconds to copy 500 MB in 4,000 files into a container that runs."""
    return engine.timed("cp", str(_tree(engine)), f"{_store(engine)}:/tree{random.randrange(1 << 30)}")


def copy_out(engine: Engine) -> float:
    """Seconds to copy them back out of it."""
    store = _store(engine)
    if not engine.run("exec", store, "sh", "-c", "ls -d /tree || true"):
        engine.run("cp", str(_tree(engine)), f"{store}:/tree")
    return engine.timed("cp", f"{store}:/tree", str(engine.directory / f"back{random.randrange(1 << 30)}"))


def _store(engine: Engine) -> str:
    if not engine.run("ps", "-q", "--filter", "name=store"):
        engine.run("run", "-d", "--name", "store", "--network", "none", "busybox", "sleep", "10000")
    return "store"


def _tree(engine: Engine) -> Path:
    """A directory that all engines copy."""
    tree = engine.directory / "tree"
    if not tree.exists():
        write_tree(tree)
    return tree


def write_tree(tree: Path, files: int = 4000, size: int = 125 << 10) -> None:
    """Random files, fifty to a directory."""
    for number in range(files):
        directory = tree / f"directory{number // 50}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file{number}").write_bytes(os.urandom(size))


def memory_of_a_monitor(engine: Engine) -> float:
    """Bytes (PSS) of the process that keeps a container, the mean of twenty that run at one time."""
    names = [engine.run("run", "-d", "--network", "none", "busybox", "sleep", "10000") for _ in range(PEOPLE)]
    value = statistics.mean(_pss(engine.monitor_of(name)) for name in names)
    engine.remove_all()
    return value


def start_engine(engine: Engine) -> float:
    """Seconds from no engine to the answer of a first command."""
    engine.stop()
    return engine.timed("ps")


def memory_at_rest(engine: Engine) -> float:
    """Bytes (PSS) of what is there while no container runs."""
    engine.remove_all()
    return float(sum(map(_pss, engine.resident())))


def load(engine: Engine) -> float:
    """An archive of five layers that no other round has: a file system remembers what was deleted on it, and slows down."""
    archive = engine.directory / "big.tar"
    write_archive(archive, seed=random.randrange(1 << 30))
    taken = engine.timed("load", "-i", str(archive))
    archive.unlink()
    return taken


def write_archive(path: Path, seed: int, layers: int = 5, files: int = 800, size: int = 16 << 10) -> None:
    """An image in the format of `docker save`, of `layers` layers with `files` random files of `size` bytes each."""
    import hashlib

    source = random.Random(seed)
    with tarfile.open(path, "w") as archive:
        names, digests = [], []
        for number in range(layers):
            data = _layer(source, number, files, size)
            names.append(f"{seed}-{number}/layer.tar")
            digests.append("sha256:" + hashlib.sha256(data).hexdigest())
            _add(archive, names[-1], data)
        rootfs = {"type": "layers", "diff_ids": digests}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]}, "rootfs": rootfs}).encode()
        name = hashlib.sha256(config).hexdigest() + ".json"
        _add(archive, name, config)
        _add(archive, "manifest.json", json.dumps([{"Config": name, "RepoTags": [f"big:{seed}"], "Layers": names}]).encode())


def _layer(source: random.Random, number: int, files: int, size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for index in range(files):
            _add(layer, f"layer{number}/directory{index // 50}/file{index}", source.randbytes(size))
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"process {pid} has no PSS")


def crowd(engine: Engine, containers: int = 300, networks: int = 60) -> None:
    """Fill an engine with what exists and does nothing."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda _: engine.run("create", "--network", "none", "busybox", "true"), range(containers)))
    for number in range(networks):  # more than the default pools have room for
        engine.run("network", "create", "--subnet", f"10.213.{number}.0/24", f"crowd{number}")


LINES = [
    Line("run --rm busybox true, bridge", run_bridge, "docker", 0.25, 0.15, 15),
    Line("run --rm busybox true, none", run_none, "podman", 0.5, 0.3, 15),
    Line("exec C true", execute, "docker", 0.5, 0.3, 15),
    Line("ps", list_containers, "docker", 1.2, 0.9, 25),
    Line("40 x run -d, 8 at a time", forty, "docker", 0.25, 0.12, 15),
    Line("load, 5 layers, 64 MB, 4,000 files", load, "docker", 0.35, 0.22, 5),
    Line("256 MB to stdout, lines of 100 bytes", print_long_lines, "docker", 0.5, 0.3, 3, without=("podman",)),
    Line("8 MB to stdout, lines of one letter", print_short_lines, "docker", 0.5, 0.3, 3, without=("podman",)),
    Line("64 MB of random bytes to stdout", print_data, "docker", 1.0, 0.5, 3, without=("podman",)),
    Line("logs of 256 MB, lines of 100 bytes", read_log, "docker", 0.8, 0.3, 3, without=("podman",)),
    Line("logs of 64 MB, lines of JSON", read_json_log, "docker", 0.8, 0.3, 3, without=("podman",)),
    Line("cp of 500 MB, 4,000 files, into a container", copy_in, "docker", 0.8, 0.5, 3, without=("podman",)),
    Line("cp of the same out of it", copy_out, "docker", 0.8, 0.5, 3, without=("podman",)),
    Line("PSS of a container's monitor", memory_of_a_monitor, "docker", 0.5, 0.25, 1, "MB"),
    Line("PSS at rest", memory_at_rest, "docker", 0.6, 0.4, 1, "MB", without=("podman",)),
]
