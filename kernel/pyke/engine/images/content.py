"""The blobs of images: a valid OCI image layout (image-spec, image-layout.md), which skopeo and umoci read as well.

    ROOT/oci/oci-layout, index.json     one descriptor for each tag, with the annotation org.opencontainers.image.ref.name
    ROOT/oci/blobs/sha256/HEX           manifests, configurations, layers as they came (docs/decisions/0101-layer-blobs-as-they-came.md)
    ROOT/oci/partial/                   what is being received

A blob gets its name from the digest computed here, whatever was announced, and appears under it when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from pyke.engine.images.json_objects import as_object
from pyke.engine.images.references import Digest
from pyke.engine.images.written import Written, sync_directory, sync_file
from pyke.errors import NotFound
from pyke.model import Image

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"  # and "+gzip", "+zstd"
LARGE = 1 << 20  # bytes of a blob for which a commit of the file system's journal is worth starting before it is asked for


class Content:
    """The layout in one directory, made when it is needed."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._blobs = os.path.join(directory, "blobs", "sha256")
        self._partial = os.path.join(directory, "partial")

    def ensure(self) -> None:
        """Make the layout, where it is not there."""
        os.makedirs(self._blobs, 0o700, exist_ok=True)
        os.makedirs(self._partial, 0o700, exist_ok=True)
        if not os.path.exists(os.path.join(self.directory, "oci-layout")):
            self._replace("oci-layout", {"imageLayoutVersion": "1.0.0"})
            self.write_index(())

    def path(self, digest: str) -> str:
        """Where the blob is, or would be."""
        return os.path.join(self._blobs, Digest(digest).hex)

    def has(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: str) -> int:
        """Bytes of a blob; `NotFound` where it is missing."""
        with self._known(digest):
            return os.stat(self.path(digest)).st_size

    def total(self) -> int:
        """Bytes of all that lies here: blobs, and what has come of those that are being fetched or received."""
        found = (os.path.join(folder, name) for folder, _, names in os.walk(self.directory) for name in names)
        return sum(map(_size_now, found))

    def read(self, digest: str) -> bytes:
        """A small blob: a manifest or a configuration, which was measured when it came."""
        with self._known(digest), open(self.path(digest), "rb") as file:
            return file.read()

    def document(self, digest: str) -> dict[str, Any]:
        """A blob that is a JSON object."""
        return as_object(json.loads(self.read(digest)), f"the blob {digest}")

    def open(self, digest: str) -> int:
        """A descriptor of a blob, for reading."""
        with self._known(digest):
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def _known(self, digest: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFound(f"the blob {digest} is missing from {self.directory}", hint="pyke pull IMAGE") from None

    # writing

    @contextlib.contextmanager
    def receiving(self) -> Iterator[Reception]:
        """A place for blobs that are on their way; what was not kept is deleted at the end of the block."""
        self.ensure()
        directory = os.path.join(self._partial, secrets.token_hex(8))
        os.mkdir(directory, 0o700)
        try:
            with contextlib.closing(Reception(self, directory)) as reception:
                yield reception
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def add(self, content: bytes) -> Digest:
        """Keep a small blob."""
        with self.receiving() as reception:
            digest = reception.write([content])
            reception.sync([digest])
            return reception.keep(digest)

    def sync_names(self) -> None:
        """Wait until the names of all that was kept are on the disk."""
        sync_directory(self._blobs)

    def write_index(self, manifests: Sequence[dict[str, Any]]) -> None:
        """Make index.json hold these descriptors."""
        self._replace("index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    def media_type(self, image: Image) -> str:
        """What the image's manifest says it is; OCI's where it says nothing."""
        return str(self.document(image.manifest).get("mediaType") or MANIFEST)

    def others(self, needed: set[str]) -> list[str]:
        """The paths of all blobs but the `needed` ones."""
        if not os.path.isdir(self._blobs):
            return []
        kept = {Digest(each).hex for each in needed}
        return [os.path.join(self._blobs, name) for name in os.listdir(self._blobs) if name not in kept]

    def clear_partial(self) -> None:
        """Delete what an engine left that died while receiving."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def _replace(self, name: str, document: dict[str, Any]) -> None:
        temporary = os.path.join(self._partial, f"{name}.{secrets.token_hex(8)}")
        with open(temporary, "wb") as file:
            file.write(canonical(document))
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, os.path.join(self.directory, name))


class Follower(Protocol):
    """Somebody who reads a blob while it is being received."""

    def begin(self, path: str) -> None:
        """The file that will be made."""
        ...

    def grow(self, piece: bytes | memoryview) -> None:
        """What was just appended to it."""
        ...


class Reception:
    """Blobs that arrive together. Each is written to a file of its own, and its digest computed on the way.

    A large one is synced while the next ones arrive and layers are unpacked: the disk has then little left to do when all else is done.
    """

    def __init__(self, content: Content, directory: str) -> None:
        self._content, self._directory = content, directory
        self._files: dict[Digest, str] = {}
        self._unsynced: dict[Digest, str] = {}
        self._syncing: dict[Digest, Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, "sync")

    def write(self, pieces: Iterable[bytes | memoryview], follower: Follower | None = None) -> Digest:
        """Write one blob and return its digest. It may not be on the disk before `sync`, but is on its way."""
        path = os.path.join(self._directory, secrets.token_hex(8))
        sha256 = hashlib.sha256()
        if follower is not None:
            follower.begin(path)
        with open(path, "xb", buffering=0) as file:
            written = Written(file.fileno())
            for piece in pieces:
                sha256.update(piece)
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) or 0 :]
                written.grow(len(piece))
                if follower is not None:
                    follower.grow(piece)
            written.begin()
        digest = Digest("sha256:" + sha256.hexdigest())
        if digest in self._files:
            os.unlink(path)
        else:
            self._files[digest] = self._unsynced[digest] = path
            if os.stat(path).st_size >= LARGE:
                self._syncing[digest] = self._pool.submit(sync_file, path)
        return digest

    def sync(self, digests: Iterable[Digest]) -> None:
        """Wait until these blobs are on the disk."""
        for digest in digests:
            if path := self._unsynced.pop(digest, ""):
                if digest in self._syncing:
                    self._syncing[digest].result()
                else:
                    sync_file(path)

    def close(self) -> None:
        """Leave those that nobody waits for to the kernel."""
        self._pool.shutdown(cancel_futures=True)

    def hold(self, digest: Digest, path: str) -> None:
        """Count in a blob that came another way: a file elsewhere on this file system, checked and on the disk."""
        self._files.setdefault(digest, path)

    def path(self, digest: str) -> str:
        """Where the blob is now, kept or not."""
        return self._files.get(Digest(digest)) or self._content.path(digest)

    def read(self, digest: str, most: int) -> bytes:
        """The first bytes of a blob, so many at most."""
        with open(self.path(digest), "rb") as file:
            return file.read(most)

    def keep(self, digest: Digest) -> Digest:
        """Let the blob, which was synced, appear in the layout; idempotent."""
        if path := self._files.pop(digest, ""):
            try:
                os.rename(path, self._content.path(digest))
            except FileNotFoundError:
                if not self._content.has(digest):  # else somebody who fetched the same has kept it
                    raise
        return digest


def _size_now(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:  # it was kept, or deleted, meanwhile
        return 0


def canonical(document: dict[str, Any]) -> bytes:
    """JSON that is the same for the same document."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
