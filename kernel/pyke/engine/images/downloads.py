"""Layers on their way from registries: each once, whoever wants it, a few at a time, in processes of their own (fetch.py).

ROOT/oci/downloads/HEX      what has come of a blob. It outlives a pull that failed and an engine that died, and the next pull goes on
                            behind it; `image prune` deletes what nobody is fetching, and so does an engine that finds it too old.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyke.codec import to_data
from pyke.engine.images.layers import modules_of
from pyke.engine.images.nursery import Worker
from pyke.engine.images.progress import Tell, message
from pyke.engine.images.references import Digest
from pyke.errors import PykeError
from pyke.registries import Repository

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

PATIENCE = 5.0  # seconds that a download has to end in


@dataclass(frozen=True, slots=True)
class Remote:
    """A layer at registries: what it should be, and who has it."""

    diff_id: str
    chain_id: str
    parent: str  # chain ID
    digest: Digest  # of the blob
    size: int  # of the blob, in bytes
    client: str  # name of the registry client
    repositories: tuple[Repository, ...]  # mirrors first


class Downloads:
    """All downloads of an engine. Safe to use from every thread."""

    def __init__(self, engine: Engine, directory: str) -> None:
        self._engine, self.directory = engine, directory
        self._lock = threading.Lock()
        self._running: dict[str, Download] = {}  # by chain ID
        self._places = threading.BoundedSemaphore(max(1, engine.settings.registries.downloads))

    def path(self, digest: str) -> str:
        """Where a blob is, or what has come of it."""
        return os.path.join(self.directory, Digest(digest).hex)

    @contextlib.contextmanager
    def of(self, layers: Sequence[Remote], driver: str, tell: Tell) -> Iterator[list[Download]]:
        """Fetch these layers for the length of a block; whoever fetches one of them already is joined. Who leaves last ends it."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        different = {each.chain_id: each for each in layers}.values()
        for each in different:
            tell(message("Pulling fs layer", each.digest.short))
        largest_first = sorted(different, key=lambda each: -each.size)  # or the largest would be waited for in the end, alone
        joined = [self._join(each, driver, tell) for each in largest_first]
        try:
            yield joined
        finally:
            for download in joined:
                self._leave(download, tell)

    def _join(self, remote: Remote, driver: str, tell: Tell) -> Download:
        with self._lock:
            download = self._running.get(remote.chain_id)
            if download is None or download.is_cancelled:
                download = self._running[remote.chain_id] = Download(self._engine, self, remote, driver)
                download.watch(tell)
                threading.Thread(target=self._run, args=(download,), name="download", daemon=True).start()
            else:
                download.watch(tell)
            return download

    def _leave(self, download: Download, tell: Tell) -> None:
        with self._lock:
            if download.forget(tell):
                download.cancel()

    def _run(self, download: Download) -> None:
        try:
            download.run(self._places)
        finally:
            with self._lock:
                if self._running.get(download.remote.chain_id) is download:
                    del self._running[download.remote.chain_id]
            download.done.set()

    def clear(self, older_than: float = 0.0) -> int:
        """Delete what nobody fetches and is older than some seconds; returns the bytes that were freed."""
        freed = 0
        with self._lock, contextlib.suppress(FileNotFoundError):
            wanted = {download.remote.digest.hex for download in self._running.values()}
            for name in set(os.listdir(self.directory)) - wanted:
                path = os.path.join(self.directory, name)
                found = os.stat(path)
                if time.time() - found.st_mtime >= older_than:
                    freed += found.st_size
                    os.unlink(path)
        return freed

    def close(self) -> None:
        """End all downloads: what has come of them stays."""
        with self._lock:
            running = list(self._running.values())
        for download in running:
            download.cancel()
        for download in running:
            download.done.wait(PATIENCE)


class Download:
    """One layer on its way, and all who watch it."""

    def __init__(self, engine: Engine, downloads: Downloads, remote: Remote, driver: str) -> None:
        self._engine, self._downloads, self.remote, self._driver = engine, downloads, remote, driver
        self._watchers: list[Tell] = []
        self._last: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self.done = threading.Event()
        self.is_cancelled = False
        self.size = 0  # in the storage driver, when it is done
        self.error: BaseException | None = None

    # those who watch

    def watch(self, tell: Tell) -> None:
        """Tell somebody of the progress from now on, beginning with how it stands."""
        with self._lock:
            self._watchers.append(tell)
            if self._last:
                tell(self._last)

    def forget(self, tell: Tell) -> bool:
        """Tell somebody no more; returns whether nobody is left for whom it would go on."""
        with self._lock:
            self._watchers.remove(tell)
            return not self._watchers and not self.done.is_set()

    def _tell(self, status: str, current: int = 0) -> None:
        total = self.remote.size
        with self._lock:
            self._last = message(status, self.remote.digest.short, current=current, total=total)
            for tell in self._watchers:
                tell(self._last)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self.is_cancelled = True
            if self._worker is not None:
                self._worker.cancel()

    # the work

    def run(self, places: threading.BoundedSemaphore) -> None:
        """Fetch and unpack; `size` or `error` says how it went."""
        try:
            if not places.acquire(blocking=False):
                self._tell("Waiting")
                places.acquire()
            try:
                self._fetch()
            finally:
                places.release()
            self._tell("Pull complete")
        except BaseException as error:  # carried to those who wait
            self.error = error

    def _fetch(self) -> None:
        """The blob's lock is the outer one: two layers of one content share its file."""
        locks = self._engine.locks
        with locks.of("blob", self.remote.digest), locks.of("layer", self.remote.chain_id):
            known = self._engine.images.layers.known()
            has_layer = self._engine.plugins.call("storage", self._driver, "has_layer", self.remote.chain_id)
            is_there = bool(has_layer) and self.remote.chain_id in known
            if is_there and self._engine.images.content.has(self.remote.digest):
                self.size = known[self.remote.chain_id]
                return
            if self.is_cancelled:
                raise PykeError("context canceled")
            size = self._work(self._job(is_there))
            self.size = known[self.remote.chain_id] if is_there else size

    def _job(self, is_there: bool) -> dict[str, Any]:
        remote, settings = self.remote, self._engine.settings
        client = self._engine.plugins.driver("registry", remote.client)
        target = f"{type(client).__module__}:{type(client).__qualname__}"
        source = {"client": target, "home": to_data(client.home)}
        has_blob = self._engine.images.content.has(remote.digest)
        storage = None if is_there else self._engine.images.layers.storage_job(remote.chain_id, remote.parent, self._driver)
        return {
            "sources": [{**source, "repository": to_data(repository)} for repository in remote.repositories],
            "digest": remote.digest,
            "size": remote.size,
            "path": self._engine.images.content.path(remote.digest) if has_blob else self._downloads.path(remote.digest),
            "is_kept": has_blob,
            "attempts": settings.registries.attempts,
            "silence": settings.registries.silence,
            "diff_id": remote.diff_id,
            "limits": to_data(settings.archives.limits()),
            "storage": storage,
        }

    def _work(self, job: dict[str, Any]) -> int:
        with self._engine.images.nursery.worker("fetch", modules_of(job), job) as worker:
            with self._lock:
                self._worker = worker
            try:
                if self.is_cancelled:
                    self.cancel()
                return self._follow(worker)
            finally:
                with self._lock:
                    self._worker = None

    def _follow(self, worker: Worker) -> int:
        """What the worker says, until it says how it ended."""
        while "status" in (said := worker.answer(f"the fetching of {self.remote.digest}")):
            self._progress(said["status"], said.get("current", 0))
        worker.leave()
        return int(said["size"])

    def _progress(self, status: str, current: int) -> None:
        self._tell(status, current)
        if status == "Download complete":
            self._tell("Extracting", self.remote.size)
