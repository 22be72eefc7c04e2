"""Storage drivers for test_nursery.py: they only read a layer, each with a fault of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pyke.drivers import DriverHome, LayerRequest, LayerStream
from pyke.errors import BadArchive


class Counting:
    """Reads all of a layer, and says how much that was."""

    def __init__(self, home: DriverHome) -> None:
        self.home = Path(home.directory)

    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        with (self.home / "pids").open("a") as file:
            file.write(f"{os.getpid()}\n")
        size = 0
        while piece := stream.read(1 << 18):
            size += len(piece)
        return size

    def remove_layer(self, chain_id: str) -> None:
        pass


class Waiting(Counting):
    """Waits until a file is there."""

    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        size = super().add_layer(layer, stream)
        while not (self.home / "go").exists():
            time.sleep(0.01)
        return size


class Refusing(Counting):
    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        raise BadArchive("its own words")


class Failing(Counting):
    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        return 1 // 0


class Dying(Counting):
    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


class Own(BadArchive):
    """An error that no engine knows."""


class Special(Counting):
    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        raise Own("special")
