"""The real command, in a process of its own, against an engine in memory behind the real API."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.http.server import Server
from pyke.testing.memory import MemoryEngine, busybox

Pyke = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    root = tempfile.mkdtemp(prefix="pyke-cli-")
    engine = MemoryEngine(Path(root))
    image = busybox()
    engine.images.records[image.id] = image
    server = Server(engine)
    server.start()
    yield engine
    server.stop(grace=2)
    engine.state.close()
    shutil.rmtree(root)


@pytest.fixture
def pyke(engine: MemoryEngine) -> Pyke:
    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pyke.cli.main", "--root", engine.layout.root, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    return run
