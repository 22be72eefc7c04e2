"""`push`: an image goes to a registry. What is there already is not sent, and what another repository there has is mounted from it.

Blobs and manifest go as they are in the store, so that the image has the same digests everywhere; only layers that came plain are
compressed before (`image_packing`). Layers are sent a few at a time; the manifest goes last, when all that it points to has arrived.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.images import packing as image_packing
from pyke.engine.images.progress import Work, message
from pyke.engine.images.references import DEFAULT_TAG, Digest, Reference, parse
from pyke.engine.images.registries import Access
from pyke.engine.images.removal import collect_blobs
from pyke.errors import InvalidRequest, NotFound, PykeError, RegistryFailed
from pyke.model import Image, Layer
from pyke.registries import PushesImages, RegistryCredentials, Repository

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

TICK = 0.2  # seconds between two lines of progress
DEADLINE, SLOWEST = 300.0, 16 << 10  # seconds that an upload may take, and more for each so many bytes
MAX_SOURCES = 3  # repositories that are tried for a mount


def push(engine: Engine, reference: Reference, credentials: RegistryCredentials, work: Work) -> None:
    """Push an image; of a reference without a tag, all images that are here under its repository's name."""
    work.tell(message(f"The push refers to repository [{reference.repository}]"))
    named = _named(engine, reference)
    access = engine.registries.access(reference.domain, credentials)
    if not access.can(PushesImages):
        raise RegistryFailed(f"the registry client {access.client!r} cannot push", hint="pyke plugin ls")
    for name, image in named:
        Push(engine, access, name, image_packing.packed(engine, image), work).run()
    with engine.images.lock:
        collect_blobs(engine)  # of layers that were compressed


def _named(engine: Engine, reference: Reference) -> list[tuple[Reference, Image]]:
    if reference.digest:
        raise InvalidRequest("cannot push a digest reference", hint=f"pyke push {replace(reference, digest='').familiar}")
    prefix = str(reference) if reference.tag else f"{reference.repository}:"
    found = [
        (parse(tag), image)
        for image in engine.images.all()
        for tag in image.tags
        if (tag == prefix if reference.tag else tag.startswith(prefix))
    ]
    if not found:
        wanted = replace(reference, tag="" if reference.tag == DEFAULT_TAG else reference.tag).familiar
        raise NotFound(f"An image does not exist locally with the tag: {wanted}", hint=f"pyke tag IMAGE {reference.familiar}")
    return sorted(found, key=lambda each: each[0].tag)


class Push:
    """One image on its way."""

    def __init__(self, engine: Engine, access: Access, name: Reference, image: Image, work: Work) -> None:
        self._engine, self._access, self._name, self._image, self._work = engine, access, name, image, work
        self._repository = Repository(access.registry, name.path)
        self._lock = threading.Lock()
        self._sources: dict[str, tuple[int, int]] = {}  # of the layers that are being sent: descriptor and size, by short ID

    def run(self) -> None:
        """Push it, and remember that it is there."""
        content = self._engine.images.content
        blobs = [self._image.id, self._image.manifest, *(layer.blob for layer in self._image.layers)]
        with self._engine.images.blobs.held(blobs):
            self._layers()
            self._blob(Digest(self._image.id), "")
            manifest = content.read(self._image.manifest)
            media_type = content.media_type(self._image)
            self._access.ask("put_manifest", self._repository, self._name.tag, media_type, manifest)
        digest = Digest(self._image.manifest)
        self._engine.images.mark(self._image, self._name, digest)
        self._work.tell(message(f"{self._name.tag}: digest: {digest} size: {len(manifest)}"))
        self._work.tell({"progressDetail": {}, "aux": {"Tag": self._name.tag, "Digest": digest, "Size": len(manifest)}})
        self._engine.events.publish("image", "push", self._name.familiar, self._image.config.labels, name=self._name.familiar_repository)

    def _layers(self) -> None:
        layers = {layer.blob: layer for layer in reversed(self._image.layers)}.values()  # the topmost first, as Docker lists them
        for layer in layers:
            self._work.tell(message("Preparing", Digest(layer.diff_id).short))
        with ThreadPoolExecutor(max(1, self._engine.settings.registries.uploads), thread_name_prefix="push") as pool:
            futures = [pool.submit(self._layer, layer) for layer in layers]
            try:
                self._watch(futures)
            finally:
                for future in futures:
                    future.cancel()
                self._stop()

    def _watch(self, futures: list[Future[None]]) -> None:
        """Until all are sent or one has failed, with a line for each that is under way from time to time."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, TICK, FIRST_EXCEPTION)
            for future in done:
                future.result()
            if self._work.is_cancelled:
                raise PykeError("context canceled")
            with self._lock:
                for id, (source, size) in self._sources.items():
                    self._work.tell(message("Pushing", id, current=os.lseek(source, 0, os.SEEK_CUR), total=size))

    def _stop(self) -> None:
        """What is still being sent ends early: its file seems to."""
        with self._lock:
            for source, _ in self._sources.values():
                os.lseek(source, 0, os.SEEK_END)

    def _layer(self, layer: Layer) -> None:
        id = Digest(layer.diff_id).short
        self._work.tell(message(self._blob(Digest(layer.blob), id), id))

    def _blob(self, digest: Digest, id: str) -> str:
        """Let the repository have a blob; returns what became of it, in Docker's words."""
        if self._access.ask("has_blob", self._repository, digest):
            return "Layer already exists"
        for source in self._elsewhere(digest):
            if self._access.ask("mount_blob", self._repository, digest, source):
                return f"Mounted from {source}"
        size = self._engine.images.content.size(digest)
        with self._source(digest, id, size) as source_file:
            deadline = DEADLINE + size / SLOWEST
            self._access.ask("upload_blob", self._repository, digest, size, source_file, deadline=deadline)
        return "Pushed"

    @contextlib.contextmanager
    def _source(self, digest: Digest, id: str, size: int) -> Iterator[int]:
        """A blob's file, whose position is looked at while it is sent."""
        source = self._engine.images.content.open(digest)
        try:
            if id:
                with self._lock:
                    self._sources[id] = (source, size)
            yield source
        finally:
            with self._lock:
                self._sources.pop(id, None)
            os.close(source)

    def _elsewhere(self, digest: Digest) -> list[str]:
        """Repositories of the same registry from which, or to which, an image with this blob came."""
        found = {}
        for image in self._engine.images.all():
            if any(layer.blob == digest for layer in image.layers):
                for text in image.repo_digests:
                    known = parse(text)
                    if known.domain == self._name.domain and known.path != self._name.path:
                        found[known.path] = True
        return list(found)[:MAX_SOURCES]
