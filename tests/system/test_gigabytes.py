"""Every stream carries as much as one likes, byte for byte, and none of our processes grows with it.

16 MB each; PYKE_TEST_STREAM_MB says another size: 1024 is what a release is tried with, and takes minutes and 6 GB of disk.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine

MEGABYTES = int(os.environ.get("PYKE_TEST_STREAM_MB", "16"))
SIZE = MEGABYTES << 20  # bytes
BLOCK = 1 << 20
PATIENCE = 60.0 + MEGABYTES  # seconds
FLAT = 64 << 20  # bytes that a process may have, or grow by, whatever passes through it
UNLIMITED = ("--log-opt", "max-size=-1")
SHORT = "yes 'a line as most of them are'"
LONG = "while :; do head -c 100000 /dev/zero | tr '\\000' x; echo; done"

pytestmark = pytest.mark.timeout(10 * PATIENCE)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random bytes."""
    path = tmp_path_factory.mktemp("large") / "file"
    with open(path, "wb") as file:
        for _ in range(MEGABYTES):
            file.write(os.urandom(BLOCK))
    return path


@pytest.fixture
def house(shared: TestEngine) -> TestEngine:
    """The shared engine with a container `house` that sleeps."""
    shared.ok("run", "-d", "--init", "--name", "house", "busybox", "sleep", "10000")
    return shared


def digest_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def peak(pid: int) -> int:
    """The most bytes that a process has ever had in memory, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def through(engine: TestEngine, *arguments: str, source: Path | None = None, typed: bytes = b"", monitor_of: str = "") -> str:
    """The digest of what `pyke ARGUMENTS` prints, to which `typed` is typed and nothing more, or `source` sent. Neither it, nor the engine,
    nor the monitor of a container may grow."""
    watched = [engine.engine_pid(), *([monitor(engine, monitor_of)] if monitor_of else [])]
    before = list(map(peak, watched))
    with open(source or os.devnull, "rb") as stdin:
        client = subprocess.Popen(
            engine.argv(*arguments),
            stdin=subprocess.PIPE if typed else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=engine.environment,
        )
    try:
        found, highest = _read_out(client, typed, watched)
        assert client.wait(PATIENCE) == 0
    finally:
        client.kill()  # one that is left would be in the way of what is cleared up next
        client.wait()
        for pipe in filter(None, (client.stdin, client.stdout)):
            pipe.close()
    assert highest[0] < FLAT and all(now - then < FLAT for now, then in zip(highest[1:], before, strict=True)), (highest, before)
    return found


def _read_out(client: subprocess.Popen[bytes], typed: bytes, watched: list[int]) -> tuple[str, list[int]]:
    """The digest of all that a client prints, and the peaks of it and of those that are watched meanwhile."""
    assert client.stdout
    if client.stdin:
        client.stdin.write(typed)
        client.stdin.flush()
    found, highest = hashlib.sha256(), [0] * (len(watched) + 1)
    while block := client.stdout.read(BLOCK):
        found.update(block)
        highest = list(map(max, highest, map(peak, (client.pid, *watched))))
    return found.hexdigest(), highest


def monitor(engine: TestEngine, container: str) -> int:
    pid = engine.ok("inspect", "-f", "{{.State.Pid}}", container)
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


@pytest.mark.parametrize("where", ["", " >&2"], ids=["stdout", "stderr"])
@pytest.mark.parametrize("lines", [SHORT, LONG], ids=["short", "long"])
def test_attach_and_logs(shared: TestEngine, lines: str, where: str) -> None:
    printing = f"({lines}) 2>/dev/null | head -c {SIZE}"
    command = ["busybox", "sh", "-c", f"{printing} | sha256sum"]
    expected = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    script = f"read go; ({printing}){where}"  # whoever types this is attached
    shared.ok("run", "-d", "-i", "--name", "writer", *UNLIMITED, "busybox", "sh", "-c", script)
    assert through(shared, "attach", "writer", typed=b"go\n", monitor_of="writer") == expected
    assert through(shared, "logs", "writer") == expected
    assert through(shared, "logs", "-f", "writer") == expected


def test_run_and_exec_carry_bytes_both_ways_at_once(house: TestEngine, large: Path) -> None:
    expected = digest_of(large)
    assert through(house, "exec", "-i", "house", "cat", source=large, monitor_of="house") == expected
    assert through(house, "run", "-i", "--rm", "--log-driver", "none", "busybox", "cat", source=large) == expected


def test_cp_both_ways_and_export_and_import(house: TestEngine, large: Path, tmp_path: Path) -> None:
    expected, before = digest_of(large), peak(house.engine_pid())
    house.ok("cp", str(large), "house:/large", timeout=PATIENCE)
    house.ok("cp", "house:/large", str(tmp_path / "back"), timeout=PATIENCE)
    assert digest_of(tmp_path / "back") == expected
    (tmp_path / "back").unlink()
    pipe = f"{' '.join(house.argv('export', 'house'))} | {' '.join(house.argv('import', '-', 'flat:1'))}"
    subprocess.run(["sh", "-c", pipe], check=True, stdout=subprocess.DEVNULL, env=house.environment, timeout=PATIENCE)
    assert house.ok("run", "--rm", "flat:1", "sha256sum", "/large", timeout=PATIENCE).split()[0] == expected
    house.ok("rmi", "flat:1")
    assert peak(house.engine_pid()) - before < FLAT
