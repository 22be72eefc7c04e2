"""What a worker does with a layer: hand it to its storage driver as a stream, hashed on the way. Its job and answer, on its channel:

    {"storage": {"driver": "module:Class", "home": {...}, "layer": {...}}, "blob": PATH, "diff_id": DIGEST, "limits": {...}, "size": BYTES}
    {"size": BYTES, "diff_id": DIGEST}  or an error (worker.py)

Where the job has a size, the blob may not be whole yet: it is read as far as it goes, and further at each word from the engine. Where it
has no diff ID, the answer has it, unless the blob is plain: then whoever wrote it knows.

A blob that is a plain tar was hashed when it was received, and is not hashed again; a compressed one is made plain and hashed between two
reads of the driver, in this one thread. See docs/decisions/0103-a-storage-driver-reads-a-layer-from-a-stream.md
"""

from __future__ import annotations

import contextlib
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
from pyke.engine.images.written import STEP
from pyke.errors import BadArchive, PykeError


def work(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Unpack the blob that lies at a path."""
    with contextlib.closing(Blob(job["blob"], job.get("size"), channel)) as blob:
        return unpack(job, blob.read, is_plain=not compression_of(blob.head(6)))


def unpack(job: dict[str, Any], read: Read, *, is_plain: bool = False) -> dict[str, Any]:
    """Give a layer, as it comes, to the job's storage driver; returns the answer. `BadArchive` where it is not what its diff ID says.

    What `is_plain` was hashed before.
    """
    storage = job["storage"]
    driver: StorageDriver = made(storage["driver"], storage["home"])
    layer = from_data(LayerRequest, storage["layer"])
    if is_plain:
        return {"size": driver.add_layer(layer, Plain(read)), "diff_id": ""}
    try:
        stream = Hashed(PlainReader(read, from_data(ArchiveLimits, job["limits"])).read)
        size = driver.add_layer(layer, stream)
        digest = stream.check(job["diff_id"])
    except BaseException:
        driver.remove_layer(layer.chain_id)  # it may be listed: a stream that was cut short can look whole
        raise
    return {"size": size, "diff_id": digest}


def check(job: dict[str, Any], read: Read) -> None:
    """Only see whether a layer, as it comes, is what its diff ID says: the storage driver has it already."""
    stream = Hashed(PlainReader(read, from_data(ArchiveLimits, job["limits"])).read)
    stream.check(job["diff_id"])


def made(target: str, home: dict[str, Any]) -> Any:
    """A driver, from "module:Class" and what it may call its own."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(from_data(DriverHome, home))


class Blob:
    """A file with a blob that somebody may still be writing; `size` is how large it will be, None: it is whole.

    What was read is wanted no more: its memory may go to what is unpacked, where it is on the disk already (see `written.Written`).
    """

    def __init__(self, path: str, size: int | None, channel: Channel) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._left = os.fstat(self._file).st_size if size is None else size
        self._channel = channel
        self._taken = self._dropped = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; waits for them where there will be more."""
        while not (piece := os.read(self._file, size)) and self._left:
            self._wait()
        self._left -= len(piece)
        self._taken += len(piece)
        if self._taken - self._dropped >= STEP:
            self._dropped = self._taken
            os.posix_fadvise(self._file, 0, self._taken, os.POSIX_FADV_DONTNEED)
        return piece

    def head(self, size: int) -> bytes:
        """The first bytes, without taking them."""
        while len(head := os.pread(self._file, size, 0)) < min(size, self._left):
            self._wait()
        return head

    def _wait(self) -> None:
        """Until the engine says that there is more. What it says is not believed, but looked at: it may say it late, or too often."""
        if self._channel.hear() is None:
            raise PykeError("context canceled")

    def close(self) -> None:
        os.close(self._file)


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

    def check(self, diff_id: str) -> str:
        """Read what is left, and return the digest of all; `BadArchive` unless it is this one, where one is given."""
        while self.read(1 << 18):
            pass
        digest = "sha256:" + self._sha256.hexdigest()
        if digest != diff_id and diff_id:
            raise BadArchive(f"the layer {diff_id} has the content of {digest}")
        return digest
