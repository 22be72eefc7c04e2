"""The engine's images: found by name, ID or prefix; loaded, imported, saved, tagged, removed."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BufferedIOBase
from typing import TYPE_CHECKING

from pyke.engine.containers.remove import Pruned
from pyke.engine.filters import Filters
from pyke.engine.images import imports as image_import
from pyke.engine.images import load as image_load
from pyke.engine.images import platforms
from pyke.engine.images import pull as image_pull
from pyke.engine.images import push as image_push
from pyke.engine.images import removal as image_removal
from pyke.engine.images import save as image_save
from pyke.engine.images.content import Content, Reception
from pyke.engine.images.credentials import credentials_of
from pyke.engine.images.downloads import Downloads
from pyke.engine.images.durability import Unsynced
from pyke.engine.images.layers import Layers
from pyke.engine.images.layout import Layout
from pyke.engine.images.nursery import Nursery
from pyke.engine.images.pins import Pins
from pyke.engine.images.progress import Work
from pyke.engine.images.references import Digest, Reference, id_prefix, parse, parse_tagged
from pyke.engine.images.removed import Removal, Removed
from pyke.errors import InvalidRequest, NoSuchImage, PykeError
from pyke.model import Caller, Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


class Images:
    """What the engine's other rooms know of images. Safe to use from every thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.content = Content(engine.layout.content)
        self.layout = Layout(self.content)
        self.nursery = Nursery(os.path.join(engine.layout.run, "nursery.lock"))
        self.layers = Layers(engine)
        self.downloads = Downloads(engine, os.path.join(engine.layout.content, "downloads"))
        self.blobs = Pins()  # that a pull is about to need
        self.unsynced = Unsynced(engine.state, self.layers.sync)
        self.removed = Removed(engine.state)
        self.lock = threading.RLock()  # held while records, names, blobs and layers have to agree; never while bytes are received

    @functools.cached_property
    def storage_driver(self) -> str:
        """The name of the storage driver in which layers and snapshots are kept; `NotInstalled` where there is none."""
        return str(self._engine.plugins.default("storage"))

    # finding

    def all(self) -> list[Image]:
        """All images, the newest first."""
        found = [image for image in self._engine.state.images.all() if not image.removed]
        return sorted(found, key=lambda image: image.created, reverse=True)

    def get(self, ref: str) -> Image:
        """The image with this name, ID, unambiguous prefix of an ID, or digest; `NoSuchImage` in Docker's words."""
        exact = self._engine.state.images.get(ref if ref.startswith("sha256:") else f"sha256:{ref}")
        if exact is not None:
            return exact  # a container may still ask for one that was removed by force
        found = self._by_name(ref) or self._by_prefix(ref)
        if found is None:
            raise NoSuchImage(f"No such image: {_asked(ref)}", hint=f"pyke pull {_asked(ref)}")
        return found

    def named(self, ref: str) -> Image:
        """`get`, for what somebody has typed: `InvalidRequest` in place of `NoSuchImage` where it cannot be the name of an image."""
        try:
            return self.get(ref)
        except NoSuchImage:
            parse_tagged(ref)
            raise

    def _by_name(self, ref: str) -> Image | None:
        with contextlib.suppress(InvalidRequest):
            wanted = parse_tagged(ref)
            name = str(replace(wanted, tag="") if wanted.digest else wanted)
            return next((image for image in self.all() if name in (image.repo_digests if wanted.digest else image.tags)), None)
        return None

    def _by_prefix(self, ref: str) -> Image | None:
        prefix = id_prefix(ref)
        found = [image for image in self.all() if prefix and Digest(image.id).hex.startswith(prefix)]
        if len(found) > 1:
            raise NoSuchImage(f"No such image: {ref}: {len(found)} images have an ID that begins so", hint="pyke images --no-trunc")
        return found[0] if found else None

    # making

    def load(self, stream: BufferedIOBase, *, caller: Caller) -> Iterator[str]:
        """Load the images of an archive (`docker save`, OCI layout), compressed or not; a line for each as it is there."""
        self._engine.ready()
        self._engine.authorize(caller, "image.load")
        return image_load.load(self._engine, stream)

    def import_archive(self, stream: BufferedIOBase, *, reference: str, message: str, changes: Sequence[str], caller: Caller) -> Image:
        """Make an image of one layer from a tar of a file system, with `changes` in a Dockerfile's words applied to its configuration."""
        self._engine.ready()
        self._engine.authorize(caller, "image.import", reference)
        return image_import.import_archive(self._engine, stream, reference=reference, message=message, changes=changes)

    def pull(self, reference: str, *, platform: str, credentials: Mapping[str, str] | None, caller: Caller) -> Work:
        """Fetch an image from its registry; yields Docker's progress objects. `NotInstalled` where no plugin serves the registry.

        A reference without tag and digest means all tags of the repository, as in Docker's API.
        """
        wanted = parse(reference)
        self._engine.ready()
        self._engine.authorize(caller, "image.pull", reference)
        chosen, known_by = platforms.parse(platform), credentials_of(credentials)
        self._engine.registries.client(wanted.domain)
        return Work("pull", lambda work: image_pull.pull(self._engine, wanted, chosen, known_by, work))

    def push(self, reference: str, *, credentials: Mapping[str, str] | None, caller: Caller) -> Work:
        """Send an image to its registry; yields Docker's progress objects. A reference without a tag means all tags of the repository."""
        wanted = parse(reference)
        self._engine.ready()
        self._engine.authorize(caller, "image.push", reference)
        known_by = credentials_of(credentials)
        return Work("push", lambda work: image_push.push(self._engine, wanted, known_by, work))

    def mark(self, image: Image, name: Reference, digest: Digest) -> Image:
        """Give an image that is here already the name under which it was pulled again, where it has lost that."""
        with self.lock:
            image = self._existing(image.id)
            for each in (name, replace(name, tag="", digest=digest)):
                image = self._name(image, each)
            self.write_index()
            return image

    def adopt(self, image: Image, reception: Reception, names: Sequence[Reference], *, source: str) -> Image:
        """Let a received image appear: its blobs, its record, its names. Its layers are in the storage driver, and pinned.

        What is listed is on the disk: blobs with their content and their names before the record, which notes the unpacked layers, and the
        record with its names before anybody is told.
        """
        blobs = [Digest(each) for each in (image.id, image.manifest, *(layer.blob for layer in image.layers))]
        reception.sync(blobs)
        with self.lock:
            for blob in blobs:
                reception.keep(blob)
            self.content.sync_names()
            known = self._engine.state.images.get(image.id)
            if known is not None:
                image = replace(image, tags=known.tags, repo_digests=known.repo_digests, parent=known.parent or image.parent)
            with self._engine.state.transaction():
                self.unsynced.note({layer.chain_id for layer in image.layers} - self.layers.known().keys())
                self._engine.state.images.put(image)
                for name in names:
                    image = self._name(image, name)
            self._engine.state.sync()
            self.write_index()
        self.unsynced.settle()
        self._engine.events.publish("image", source, image.id, self.attributes(image))
        self._engine.hooks.image_added(image, source)
        return image

    def save(self, refs: Sequence[str]) -> Iterator[bytes]:
        """The images as one archive that is Docker's and an OCI layout at once, in pieces."""
        return image_save.save(self._engine, refs)

    # names

    def tag(self, ref: str, target: str, *, caller: Caller) -> None:
        """Give an image another name, which another image may lose by that."""
        self._engine.ready()
        wanted = parse_tagged(target)
        if wanted.digest:
            raise InvalidRequest("refusing to create a tag with a digest reference")
        self._engine.authorize(caller, "image.tag", str(wanted))
        with self.lock:
            image = self._name(self._existing(ref), wanted)
            self.write_index()
        self._engine.events.publish("image", "tag", image.id, self.attributes(image), name=wanted.familiar)

    def _name(self, image: Image, name: Reference) -> Image:
        canonical = str(name)
        if name.digest:
            image = replace(image, repo_digests=tuple(sorted({*image.repo_digests, canonical})))
            self._engine.state.images.put(image)
            return image
        with self._engine.state.transaction():
            for other in self.all():
                if canonical in other.tags and other.id != image.id:
                    self._engine.state.images.put(replace(other, tags=tuple(tag for tag in other.tags if tag != canonical)))
            image = replace(image, tags=tuple(sorted({*image.tags, canonical})))
            self._engine.state.images.put(image)
        return image

    def _existing(self, ref: str) -> Image:
        image = self.get(ref)
        if image.removed:
            raise NoSuchImage(f"No such image: {_asked(ref)}", hint=f"pyke pull {_asked(ref)}")
        return image

    # removing

    def remove(self, ref: str, *, force: bool = False, prune_parents: bool = True, caller: Caller) -> list[Removal]:
        """Take a name from an image, or the image itself away when that was the last; Docker's rules and words."""
        self._engine.ready()
        self._engine.authorize(caller, "image.remove", ref)
        with self.lock:
            return image_removal.remove(self._engine, self.named(ref), ref, force=force, prune_parents=prune_parents)

    def removed_since(self, moment: int, ref: str) -> list[Removal]:
        """What was removed since a moment (ns) when somebody asked for `ref` to be: for one who has not heard the answer and asks again."""
        return self.removed.since(moment, ref)

    def prune(self, filters: Filters, *, caller: Caller) -> Pruned:
        """Remove images without a name, or with the filter dangling=false all that no container was made from."""
        self._engine.ready()
        self._engine.authorize(caller, "image.prune")
        with self.lock:
            return image_removal.prune(self._engine, filters)

    @contextlib.contextmanager
    def in_use(self, image: Image) -> Iterator[None]:
        """Keep an image's layers for the length of a block, in which a container is made from them.

        `NoSuchImage` when the image went away since it was found. Layers that are missing from the storage driver (another one was used
        when the image came) are unpacked again from their blobs.
        """
        with self.layers.pinned([layer.chain_id for layer in image.layers]):
            if self._engine.state.images.get(image.id) is None:
                raise NoSuchImage(f"No such image: {image.id}", hint="pyke images")
            self.layers.add_missing(image, self.content, self.storage_driver)
            yield

    def collect(self) -> None:
        """Delete what no image and no container needs any more: after a container of an image that was removed by force has gone."""
        with self.lock:
            image_removal.collect_removed(self._engine)

    # around

    def write_index(self) -> None:
        """Make the OCI layout's index agree with the records."""
        self.layout.write(self.all())

    def content_sizes(self, image: Image) -> dict[str, int]:
        """The bytes of an image's blobs as they came, by their digests."""
        blobs = {image.id, image.manifest, *(layer.blob for layer in image.layers)}
        return {blob: self.content.size(blob) for blob in blobs if self.content.has(blob)}

    def attributes(self, image: Image) -> dict[str, str]:
        """What events tell of an image."""
        return {**image.config.labels, "name": parse(image.tags[0]).familiar if image.tags else image.id}

    def close(self) -> None:
        """Give up what is on its way."""
        self.downloads.close()
        self.nursery.close()

    def recover(self) -> None:
        """Delete what an earlier engine left half made: partial blobs, blobs and layers without an image, snapshots without a container."""
        with self.lock:
            self.content.clear_partial()
            self.downloads.clear(self._engine.settings.registries.keep_partial)
            self.content.ensure()
            image_removal.collect_removed(self._engine)
            self.write_index()
            image_removal.collect_blobs(self._engine)
            lost = self.unsynced.lost()
            for driver in self._engine.plugins.names("storage"):
                self._reconcile(driver, lost)
            self._remake(lost)
            self.unsynced.settle()

    def _reconcile(self, driver: str, lost: set[str]) -> None:
        containers = [each.id for each in self._engine.state.containers.all() if each.storage_driver == driver]
        self._engine.plugins.call("storage", driver, "reconcile", sorted(self.layers.needed() - lost), containers)

    def _remake(self, lost: set[str]) -> None:
        """Unpack again what containers stand on and the machine's power may have taken; other images wait until somebody uses them."""
        for image in self._engine.state.images.all() if lost else ():
            if any(layer.chain_id in lost for layer in image.layers) and image_removal.users_of(self._engine, image):
                with contextlib.suppress(PykeError):  # whoever starts one of them is told
                    self.layers.add_missing(image, self.content, self.storage_driver)
        self.unsynced.forget(lost)


def _asked(ref: str) -> str:
    """What a user asked for, as Docker repeats it."""
    try:
        return parse_tagged(ref).familiar
    except InvalidRequest:
        return ref[:200]
