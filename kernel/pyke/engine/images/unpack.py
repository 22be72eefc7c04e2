"""A process that unpacks layers, so that the engine's interpreter does not: `python -m pyke.engine.images.unpack`.

It reads jobs from its standard input, one JSON object a line, and answers each with one on its standard output:

    {"driver": "module:Class", "home": {...}, "layer": {...}, "blob": PATH, "diff_id": DIGEST, "limits": {...}}
    {"size": BYTES}  or  {"error": "BadArchive", "message": TEXT, "hint": TEXT}

A blob that is a plain tar was hashed when it was received, and the driver reads it from its file; a compressed one is made plain and hashed
in a thread on its way through a pipe. It leaves when its standard input is closed: when the engine is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from pyke.archive.decompress import compression_of, plain
from pyke.archive.limits import ArchiveLimits
from pyke.codec import from_data
from pyke.drivers import DriverHome, LayerRequest, StorageDriver
from pyke.errors import BadArchive, PykeError

PIPE_SIZE = 1 << 20


def main() -> None:
    """Answer jobs until there are no more."""
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"size": unpack(job)}
    except PykeError as error:
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    except Exception as error:  # told to the engine, which reports the plugin
        return {"error": "", "message": f"{type(error).__name__}: {error}", "hint": ""}


def unpack(job: dict[str, Any]) -> int:
    """Give one layer to its storage driver; returns its size. `BadArchive` where its content is not what its diff ID says."""
    module, _, name = job["driver"].partition(":")
    driver: StorageDriver = getattr(importlib.import_module(module), name)(from_data(DriverHome, job["home"]))
    layer = from_data(LayerRequest, job["layer"])
    limits = from_data(ArchiveLimits, job["limits"])
    blob = os.open(job["blob"], os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not compression_of(os.pread(blob, 6, 0)):
            return driver.add_layer(layer, blob)
        return unpack_stream(driver, layer, plain(lambda size: os.read(blob, size), limits), job["diff_id"])
    finally:
        os.close(blob)


def unpack_stream(driver: StorageDriver, layer: LayerRequest, pieces: Iterator[bytes], diff_id: str) -> int:
    """Give a layer to its storage driver as its plain content comes; returns its size. `BadArchive` as for `unpack`."""
    try:
        with _Plain(pieces) as stream:
            size = driver.add_layer(layer, stream.descriptor)
        if stream.digest != diff_id:
            raise BadArchive(f"the layer {diff_id} has the content of {stream.digest}")
    except BaseException:
        driver.remove_layer(layer.chain_id)  # it may be listed: a stream that was cut short can look whole
        raise
    return size


class _Plain:
    """The plain content of a blob as a pipe that a thread fills."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._sha256 = hashlib.sha256()
        self._error: BaseException | None = None
        self.descriptor, self._end = os.pipe()
        with contextlib.suppress(OSError):  # as large as it may be: fewer switches between the two threads
            fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._thread = threading.Thread(target=self._fill, name="decompress")

    @property
    def digest(self) -> str:
        """Of the plain content, once it has been read to its end."""
        return "sha256:" + self._sha256.hexdigest()

    def __enter__(self) -> _Plain:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        os.close(self.descriptor)  # a driver that gave up must not leave the thread waiting
        self._thread.join()
        if self._error is not None and not isinstance(self._error, BrokenPipeError):
            raise self._error from error  # the cause: what the driver saw is a stream cut short

    def _fill(self) -> None:
        try:
            for piece in self._pieces:
                self._sha256.update(piece)
                self._write(piece)
        except BaseException as error:  # carried to the thread that waits
            self._error = error
        finally:
            os.close(self._end)

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._end, view) :]


if __name__ == "__main__":
    main()
