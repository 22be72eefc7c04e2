"""What a worker does with a layer: hand it to its storage driver as a stream, hashed on the way. Its job and answer, on its channel:

    {"storage": {"driver": "module:Class", "home": {...}, "layer": {...}}, "blob": PATH, "diff_id": DIGEST, "limits": {...}}
    {"size": BYTES}  or an error (worker.py)

A blob that is a plain tar was hashed when it was received, and is not hashed again; a compressed one is made plain and hashed between two
reads of the driver, in this one thread. See docs/decisions/0103-a-storage-driver-reads-a-layer-from-a-stream.md
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable
from typing import Any

from pyke.archive.decompress import PlainReader, compression_of
from pyke.archive.limits import ArchiveLimits
from pyke.archive.source import Read
from pyke.codec import from_data
from pyke.drivers import DriverHome, LayerRequest, StorageDriver
from pyke.engine.images.channel import Channel
from pyke.errors import BadArchive


def work(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Unpack the blob that lies at a path."""
    blob = os.open(job["blob"], os.O_RDONLY | os.O_CLOEXEC)
    try:
        return {"size": unpack(job, lambda size: os.read(blob, size), is_plain=not compression_of(os.pread(blob, 6, 0)))}
    finally:
        os.close(blob)


def unpack(job: dict[str, Any], read: Read, *, is_plain: bool = False) -> int:
    """Give a layer, as it comes, to the job's storage driver; returns its size. `BadArchive` where it is not what its diff ID says.

    What `is_plain` was hashed before.
    """
    storage = job["storage"]
    driver: StorageDriver = made(storage["driver"], storage["home"])
    layer = from_data(LayerRequest, storage["layer"])
    if is_plain:
        return driver.add_layer(layer, Plain(read))
    try:
        stream = Hashed(PlainReader(read, from_data(ArchiveLimits, job["limits"])).read)
        size = driver.add_layer(layer, stream)
        stream.check(job["diff_id"])
    except BaseException:
        driver.remove_layer(layer.chain_id)  # it may be listed: a stream that was cut short can look whole
        raise
    return size


def check(job: dict[str, Any], read: Read) -> None:
    """Only see whether a layer, as it comes, is what its diff ID says: the storage driver has it already."""
    stream = Hashed(PlainReader(read, from_data(ArchiveLimits, job["limits"])).read)
    stream.check(job["diff_id"])


def made(target: str, home: dict[str, Any]) -> Any:
    """A driver, from "module:Class" and what it may call its own."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(from_data(DriverHome, home))


class Plain:
    """A layer for its driver (`pyke.drivers.LayerStream`), as it is."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


class Hashed:
    """A layer for its driver, hashed as it is read."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self._read(size)
        self._sha256.update(piece)
        return piece

    def check(self, diff_id: str) -> None:
        """Read what is left, and raise `BadArchive` unless all of it together has this digest."""
        while self.read(1 << 18):
            pass
        digest = "sha256:" + self._sha256.hexdigest()
        if digest != diff_id:
            raise BadArchive(f"the layer {diff_id} has the content of {digest}")
