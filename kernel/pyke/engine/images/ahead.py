"""Layers that are unpacked while the archive they are in is still being received.

An archive of `docker save` says at its end which of its files are layers, and of which image. But what is called as layers are called, and
does not look like a document, is one; so a worker reads it from the file it is written to, as far as that has come, and gives it to the
storage driver under a name that is nobody's. When the layer's own name is known, it is renamed. What nobody wanted is removed in the
end, and after a crash by the driver's `reconcile`, since no image stands on it. A driver that cannot rename layers (`RenamesLayers`)
gets them when all is received. See docs/decisions/0107-a-load-unpacks-while-it-receives.md
"""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pyke.drivers import RenamesLayers
from pyke.engine.images.layers import AT_ONCE, Wanted, modules_of, seconds_for
from pyke.engine.images.nursery import Worker
from pyke.engine.images.references import Digest
from pyke.errors import BadArchive, PykeError
from pyke.model import Layer

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

LAYER = re.compile(r"(?:.*/)?layer\.tar|blobs/sha256/[0-9a-f]{64}|[0-9a-f]{64}\.tar")  # of Docker, OCI, and skopeo
DIGEST = re.compile(r"(?<=\Ablobs/sha256/)[0-9a-f]{64}|\A[0-9a-f]{64}(?=\.tar)")
DOCUMENT = re.compile(rb"[\s{\[]")
MOST = 128  # layers of one archive: more than an image may have, and no number of processes that could do harm
STEP = 1 << 20  # bytes between two words to a worker that there is more


class Ahead:
    """The layers of one archive. To be closed, which removes what was not taken."""

    def __init__(self, engine: Engine, driver: str) -> None:
        self._engine, self._driver = engine, driver
        self._pool = ThreadPoolExecutor(AT_ONCE, "ahead")
        self._guesses: list[Guess] = []
        self._lock = threading.Lock()
        self._can_rename = engine.plugins.implements("storage", driver, RenamesLayers)
        if self._can_rename:
            engine.images.nursery.warm_up([type(engine.plugins.driver("storage", driver)).__module__])

    def guess(self, name: str, size: int) -> Guess | None:
        """Follow a file of the archive, where it is likely to be a layer that is not here yet."""
        if not self._can_rename or len(self._guesses) >= MOST or not LAYER.fullmatch(name) or self._is_known(name, size):
            return None
        self._guesses.append(Guess(self._engine, self._driver, size, self._pool))
        return self._guesses[-1]

    def take(self, wanted: Wanted) -> int | None:
        """Let what was unpacked be this layer; returns its size in bytes. None where nobody has guessed it, or it could not be done."""
        with self._lock:
            guess = next((each for each in self._guesses if each.path == wanted.blob), None)
            if guess is None:
                return None
            self._guesses.remove(guess)
        with contextlib.suppress(PykeError, OSError):  # who unpacks it anew will meet the error, if it is one of the layer
            return guess.become(wanted)
        guess.leave()
        return None

    def close(self) -> None:
        for guess in self._guesses:
            guess.cancel()
        self._pool.shutdown(cancel_futures=True)
        for guess in self._guesses:
            guess.leave()

    def _is_known(self, name: str, size: int) -> bool:
        """Whether an image that is here has a layer like that: by the digest in its name, or, where there is none in it, by its size."""
        found = DIGEST.search(name)
        return found[0] in self._known if found else size in self._known_sizes

    @functools.cached_property
    def _known(self) -> set[str]:
        return {Digest(each).hex for layer in self._layers for each in (layer.blob, layer.diff_id)}

    @functools.cached_property
    def _known_sizes(self) -> set[int]:
        content = self._engine.images.content
        return {content.size(layer.blob) for layer in self._layers if content.has(layer.blob)}

    @property
    def _layers(self) -> Iterator[Layer]:
        return (layer for image in self._engine.images.all() for layer in image.layers)


class Guess:
    """A file that is likely to be a layer: written by one thread, and unpacked by a worker that another one waits for."""

    def __init__(self, engine: Engine, driver: str, size: int, pool: ThreadPoolExecutor) -> None:
        self._engine, self._driver, self._size, self._pool = engine, driver, size, pool
        self._name = "sha256:" + secrets.token_hex(32)  # nobody's
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._is_cancelled = False
        self._whole = threading.Event()
        self._unpacking: Future[dict[str, Any]] | None = None
        self._grown = self._told = 0
        self.path = ""

    # for whoever writes the file

    def begin(self, path: str) -> None:
        """It will be written here."""
        self.path = path

    def grow(self, piece: bytes | memoryview) -> None:
        """These bytes were appended."""
        if not self._grown and not DOCUMENT.match(piece):
            self._unpacking = self._pool.submit(self._unpack)
        self._grown += len(piece)
        if self._grown - self._told >= STEP:
            self._told = self._grown
            self._tell()
        if self._grown == self._size:
            self._whole.set()

    def _tell(self) -> None:
        """Wake the worker up, where it waits. One that has not heard the last words yet will look at the file after this, anyway."""
        with self._lock:
            if self._worker is not None:
                self._worker.mention({})

    # for whoever wants the layer

    def become(self, wanted: Wanted) -> int:
        """Be this layer; returns its size in bytes. `PykeError` where that cannot be."""
        if self._unpacking is None or self._unpacking.cancel():
            raise BadArchive("nobody has begun to unpack it")
        said = self._unpacking.result()
        if said["diff_id"] not in ("", wanted.diff_id):  # what came plain was hashed by whoever wrote it
            raise BadArchive(f"the layer {wanted.diff_id} has the content of {said['diff_id']}")
        self._engine.plugins.call("storage", self._driver, "rename_layer", self._name, wanted.chain_id, wanted.parent)
        return int(said["size"])

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._worker is not None:
                self._worker.cancel()
        self._whole.set()

    def leave(self) -> None:
        """Remove what was unpacked."""
        if self._unpacking is not None:
            with contextlib.suppress(PykeError):
                self._engine.plugins.call("storage", self._driver, "remove_layer", self._name)

    # the work

    def _unpack(self) -> dict[str, Any]:
        wanted = Wanted("", self._name, "", self.path)
        job = {**self._engine.images.layers.job(wanted, self._driver), "size": self._size}
        with self._engine.images.layers.place_ahead(), self._engine.images.nursery.worker("unpack", modules_of(job), job) as worker:
            self._follow(worker)
            self._whole.wait()
            worker.mention({})
            return worker.answer(f"the storage driver {self._driver!r}", seconds_for(self._size))

    def _follow(self, worker: Worker) -> None:
        with self._lock:
            self._worker = worker
            if self._is_cancelled:
                worker.cancel()
