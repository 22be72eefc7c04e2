"""Layers in the storage driver: which are there, who needs them, and how they get there, two at a time, outside of this interpreter."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyke.codec import to_data
from pyke.drivers import LayerRequest
from pyke.engine.images.pins import Pins
from pyke.engine.images.written import sync_file_system
from pyke.errors import PluginTimeout, PykeError

if TYPE_CHECKING:
    from pyke.engine.engine import Engine
    from pyke.engine.images.content import Content
    from pyke.model import Image

AT_ONCE = 2  # a third process brings nothing on two processors, and unpacking is bound by the disk beyond that
SECONDS, SECONDS_PER_MIB = 120.0, 1.0  # what unpacking may take


@dataclass(frozen=True, slots=True)
class Wanted:
    """A layer that an image needs: where its blob lies, and what it should be."""

    diff_id: str
    chain_id: str
    parent: str  # chain ID
    blob: str  # path


Take = Callable[[Wanted], int | None]


class Layers:
    """The layers of all images, in whatever storage driver the engine uses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pins = Pins()
        self._places, self._places_ahead = threading.BoundedSemaphore(AT_ONCE), threading.BoundedSemaphore(AT_ONCE)

    def pinned(self, chain_ids: Sequence[str]) -> contextlib.AbstractContextManager[None]:
        """Keep layers from being collected for the length of a block: an image or a snapshot is being made from them."""
        return self._pins.held(chain_ids)

    def needed(self) -> set[str]:
        """The chain IDs that an image, or something in the making, stands on."""
        return self._pins.names() | {layer.chain_id for image in self._engine.state.images.all() for layer in image.layers}

    def unneeded(self, candidates: Sequence[str]) -> list[str]:
        """Those of `candidates` that nothing needs, the topmost first."""
        needed = self.needed()
        return [chain_id for chain_id in reversed(candidates) if chain_id not in needed]

    def collect(self, candidates: Sequence[str], driver: str) -> None:
        """Delete those of `candidates` that nothing needs.

        Who wants one meanwhile pins it first and looks for it then, with its lock: it is found and kept, or missed and unpacked anew.
        """
        for chain_id in self.unneeded(candidates):
            with self._engine.locks.of("layer", chain_id):
                if chain_id not in self.needed():
                    self._engine.plugins.call("storage", driver, "remove_layer", chain_id)

    def known(self) -> dict[str, int]:
        """The sizes of all layers of images, in bytes, by chain ID."""
        return {layer.chain_id: layer.size for image in self._engine.state.images.all() for layer in image.layers}

    def storage_job(self, chain_id: str, parent: str, driver: str) -> dict[str, Any]:
        """What a worker process has to know to store a layer. One that a listed image lacks has to be on the disk before it is there."""
        instance = self._engine.plugins.driver("storage", driver)
        limits = self._engine.settings.archives.limits()
        request = LayerRequest(chain_id, parent, limits.max_bytes, limits.max_entries, durable=chain_id in self.known())
        target = f"{type(instance).__module__}:{type(instance).__qualname__}"
        return {"driver": target, "home": to_data(instance.home), "layer": to_data(request)}

    def job(self, wanted: Wanted, driver: str) -> dict[str, Any]:
        """What a worker process has to know to unpack a blob."""
        storage = self.storage_job(wanted.chain_id, wanted.parent, driver)
        limits = to_data(self._engine.settings.archives.limits())
        return {"storage": storage, "blob": wanted.blob, "diff_id": wanted.diff_id, "limits": limits}

    def place(self) -> contextlib.AbstractContextManager[object]:
        """Wait until one of the layers that are being unpacked is done, where there are as many as there may be."""
        return self._places

    @contextlib.contextmanager
    def place_ahead(self) -> Iterator[None]:
        """One of as many places again for what is still being received; `PykeError` where all are taken.

        They are others, for whoever sends may take a day; and nobody waits for one, for what finds none can as well be unpacked later.
        """
        if not self._places_ahead.acquire(blocking=False):
            raise PykeError("as many layers as may be are being unpacked while they are received")
        try:
            yield
        finally:
            self._places_ahead.release()

    def add(self, wanted: Sequence[Wanted], driver: str, take: Take | None = None) -> dict[str, int]:
        """See to it that all of these are in the storage driver; returns their sizes in bytes by chain ID.

        `take` may know of one that is unpacked already, and lets that be it. They may not be on the disk yet when it returns. The first
        error is raised when all have ended, and what they unpacked stays.
        """
        jobs = collections.deque(sorted({each.chain_id: each for each in wanted}.values(), key=_blob_size, reverse=True))
        effort = _Effort(self._engine, driver, jobs, self.known(), take)
        threads = [threading.Thread(target=effort.work, name="unpack") for _ in range(min(AT_ONCE, len(jobs)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if effort.error is not None:
            raise effort.error
        return effort.sizes

    def add_missing(self, image: Image, content: Content, driver: str) -> None:
        """Unpack an image's layers from its blobs where the storage driver does not have them.

        It came when another one was used, or the machine's power has taken them (durability.py).
        """
        if not image.layers or self._engine.plugins.call("storage", driver, "has_layer", image.chain_id):
            return
        parents = ["", *(layer.chain_id for layer in image.layers)]
        wanted = [
            Wanted(layer.diff_id, layer.chain_id, parent, content.path(layer.blob))
            for layer, parent in zip(image.layers, parents, strict=False)
        ]
        self.add(wanted, driver)

    def sync(self) -> None:
        """Wait until the layers of all storage drivers are on the disk."""
        for driver in self._engine.plugins.names("storage"):
            with contextlib.suppress(PykeError):  # a broken plugin keeps no layers that are worth waiting for
                home = self._engine.plugins.driver("storage", driver).home.directory
                if os.path.isdir(home):
                    sync_file_system(home)


class _Effort:
    """The work of adding several layers, shared by a few threads that each have a process."""

    def __init__(self, engine: Engine, driver: str, jobs: collections.deque[Wanted], known: dict[str, int], take: Take | None) -> None:
        self.engine, self.driver, self.jobs, self.known, self.take = engine, driver, jobs, known, take
        self.sizes: dict[str, int] = {}
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            while self.jobs and self.error is None:
                with contextlib.suppress(IndexError):  # another thread took the last one
                    self._do(self.jobs.popleft())
        except BaseException as error:  # carried to the thread that waits
            self.error = self.error or error

    def _do(self, wanted: Wanted) -> None:
        with self.engine.locks.of("layer", wanted.chain_id):
            is_there = self.engine.plugins.call("storage", self.driver, "has_layer", wanted.chain_id)
            if is_there and wanted.chain_id in self.known:
                self.sizes[wanted.chain_id] = self.known[wanted.chain_id]
                return
            size = self.take(wanted) if self.take and wanted.chain_id not in self.known else None
            self.sizes[wanted.chain_id] = self._unpack(wanted) if size is None else size

    def _unpack(self, wanted: Wanted) -> int:
        """Have one layer unpacked and return its size."""
        layers = self.engine.images.layers
        job, seconds = layers.job(wanted, self.driver), seconds_for(_blob_size(wanted))
        with layers.place(), self.engine.images.nursery.worker("unpack", modules_of(job), job) as worker:
            try:
                return int(worker.answer(f"the storage driver {self.driver!r}", seconds)["size"])
            except TimeoutError:
                message = f"the storage driver {self.driver!r} did not unpack {wanted.diff_id} within {seconds:.0f} s"
                raise PluginTimeout(message) from None


def seconds_for(size: int) -> float:
    """What the unpacking of a blob of so many bytes may take."""
    return SECONDS + SECONDS_PER_MIB * size / 2**20


def modules_of(job: dict[str, Any]) -> list[str]:
    """The modules of the drivers that a worker will need for a job."""
    targets = [each["client"] for each in job.get("sources", ())] + ([job["storage"]["driver"]] if job["storage"] else [])
    return sorted({target.partition(":")[0] for target in targets})


def _blob_size(wanted: Wanted) -> int:
    return os.stat(wanted.blob).st_size
