"""Stacks of layers to test a storage driver with, and a look into the file systems that they make."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import sys
import tempfile

from pyke.codec import to_data
from pyke.drivers import LayerRequest, StorageDriver
from pyke.engine.images.config import chain
from pyke.model import RootFilesystem
from pyke.testing.images import Tree, digest, layer

INSIDE = """
import json, os, sys
from pyke.runtime import linux
from pyke.runtime.rootfs import root_operation
rootfs, stand, code = json.loads(sys.argv[1])
linux.unshare(linux.CLONE_NEWNS)
linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
os.fchdir(root_operation(rootfs, stand).execute())
exec(code)
"""


def inside(rootfs: RootFilesystem, code: str) -> str:
    """Mount a file system in a namespace of its own, run Python code with it as the current directory, and return what it printed."""
    with tempfile.TemporaryDirectory() as stand:
        arguments = json.dumps([to_data(rootfs), stand, code])
        command = [sys.executable, "-c", f"import sys; sys.path = {sys.path!r}\n{INSIDE}", arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Cut(Exception):
    """What a stream says that cannot go on."""


class Pieces:
    """A layer that comes in small pieces, and ends with an error where there is one."""

    def __init__(self, archive: bytes, size: int, error: Exception | None = None) -> None:
        self._stream, self._size, self._error = io.BytesIO(archive), size, error

    def read(self, size: int) -> bytes:
        piece = self._stream.read(min(size, self._size))
        if not piece and self._error is not None:
            raise self._error
        return piece


class Stack:
    """Layers that a test puts one upon the other."""

    def __init__(self, driver: StorageDriver) -> None:
        self.driver = driver
        self.archives: list[bytes] = []

    @property
    def chain_ids(self) -> list[str]:
        return chain([digest(each) for each in self.archives])

    def add(self, tree: Tree | bytes, max_bytes: int = 0, max_entries: int = 0) -> int:
        """Put a layer on top, from files or from the bytes of an archive."""
        archive = tree if isinstance(tree, bytes) else layer(tree)
        self.archives.append(archive)
        parent, *_ = [*self.chain_ids[-2:-1], ""]
        return self.driver.add_layer(LayerRequest(self.chain_ids[-1], parent, max_bytes, max_entries), io.BytesIO(archive))

    def prepare(self) -> tuple[str, RootFilesystem]:
        """A snapshot over all layers."""
        snapshot = secrets.token_hex(32)
        return snapshot, self.driver.prepare(snapshot, self.chain_ids)
