"""An engine in memory, for tests of what speaks to an engine: the facade of `pyke.http.facade`, without processes or disks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyke.drivers import RouteReply, RouteRequest
from pyke.engine.events import Events
from pyke.engine.identifiers import new_id
from pyke.engine.state import State
from pyke.errors import (
    NotInstalled,
)
from pyke.model import (
    HistoryEntry,
    Image,
    ImageConfig,
    Layer,
)  # fmt: skip
from pyke.paths import Layout
from pyke.testing.memory.containers import MemoryContainers
from pyke.testing.memory.files import MemoryFiles
from pyke.testing.memory.stores import MemoryImages, MemoryNetworks, MemoryRegistries, MemoryVolumes


class MemoryPlugins:
    def report(self) -> Sequence[Any]:
        drivers = {"network": ("bridge", "none"), "storage": ("memory",), "route": ("greet", "crash", "liar")}
        broken = SimpleNamespace(name="bad", version="1", drivers={}, problem="Traceback: no")
        return [SimpleNamespace(name="good", version="1.0", drivers=drivers, problem=""), broken]

    def target(self, family: str, name: str) -> Callable[[RouteRequest], Any]:
        routes: dict[str, Callable[[RouteRequest], Any]] = {"greet": _greet, "crash": _crash, "liar": lambda request: {"status": 200}}
        if name not in routes:
            raise NotInstalled(f"no API route '{name}' is installed", hint="pyke plugin ls")
        return routes[name]


def _greet(request: RouteRequest) -> RouteReply:
    return RouteReply(json.dumps([request.method, request.path, dict(request.query), request.body.decode()]).encode(), 201)


def _crash(request: RouteRequest) -> RouteReply:
    raise ValueError("a secret of the inside")


class MemoryEngine:
    def __init__(self, root: Path) -> None:
        self.layout = Layout(str(root))
        self.state = State(str(root / "state.db"))
        self.id = new_id()
        self.events = Events(self.state)
        self.images = MemoryImages()
        self.registries = MemoryRegistries()
        self.networks = MemoryNetworks(self)
        self.volumes = MemoryVolumes()
        self.containers = MemoryContainers(self)
        self.files = MemoryFiles(self)
        self.plugins = MemoryPlugins()


def busybox() -> Image:
    digest = "sha256:" + hashlib.sha256(b"busybox").hexdigest()
    config = ImageConfig(("PATH=/bin",), None, ("sh",), labels={"from": "image"}, exposed_ports=("80/tcp",), volumes=("/data",))
    history = (HistoryEntry("2026-01-01T00:00:00Z", "ADD file"), HistoryEntry("2026-01-02T00:00:00Z", 'CMD ["sh"]', empty_layer=True))
    return Image(
        digest, digest, ("docker.io/library/busybox:latest",), (), "2026-01-02T00:00:00Z", "amd64", "", "linux", "me", "a comment", config,
        (Layer(digest, digest, digest, 1234),), history, size=1234,
    )  # fmt: skip
