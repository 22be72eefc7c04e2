"""What lies in an archive of images: Docker's (`docker save`) or an OCI layout (`skopeo copy ... oci-archive:`), compressed or not.

The archive is read once, from a pipe. Each file in it goes into a blob of its own and is known by its digest from then on; what the
archive calls it matters only to Docker's manifest.json.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pyke.archive.decompress import PlainReader
from pyke.archive.limits import ArchiveLimits, ImageLimits, beyond
from pyke.archive.source import Read, Source
from pyke.archive.tar import FILE, HARD_LINK, SYMBOLIC_LINK, TarReader
from pyke.engine.images import legacy as image_legacy
from pyke.engine.images import manifests as oci
from pyke.engine.images.content import Follower, Reception
from pyke.engine.images.json_objects import as_list, as_object, as_text, as_texts, json_value
from pyke.engine.images.references import Digest
from pyke.errors import BadArchive

MAX_LINKS = 8  # one after the other: nobody writes more than one
CONTAINERD_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
ORIGINAL = "io.pyke.manifest"  # of a descriptor in an archive of ours: the digest of the manifest as it came from its registry


@dataclass(frozen=True, slots=True)
class Parcel:
    """One image of an archive, not yet checked: the bytes of its configuration, the digests of its layers as they came, its names."""

    config: bytes
    layers: tuple[Digest, ...]
    names: tuple[str, ...]
    manifest: bytes = b""  # as it came, b"" where the archive has none


class Files:
    """The files of a received archive, by their names in it."""

    def __init__(self, reception: Reception, limits: ImageLimits) -> None:
        self._reception, self.limits = reception, limits
        self._digests: dict[str, Digest] = {}
        self._links: dict[str, str] = {}

    def receive(self, read: Read, limits: ArchiveLimits, follow: Callable[[str, int], Follower | None]) -> None:
        """Read the whole archive. `follow` is asked for each file, with its name and size, who wants to read it meanwhile."""
        reader = TarReader(Source(PlainReader(read, limits).read), limits)
        for number, entry in enumerate(reader):
            if number == self.limits.max_files:
                raise beyond(f"the archive of images has more than {self.limits.max_files} files", "images.max_files")
            name = _normal(os.fsdecode(entry.name))
            if entry.extents is not None:
                raise BadArchive(f"the archive of images has a sparse file: {name[:200]!r}")
            if entry.kind == FILE:
                self._digests[name] = self._reception.write(reader.source.pieces(entry.size), follow(name, entry.size))
            elif entry.kind == SYMBOLIC_LINK:
                self._links[name] = _normal(posixpath.join(posixpath.dirname(name), os.fsdecode(entry.link)))
            elif entry.kind == HARD_LINK:
                self._links[name] = _normal(os.fsdecode(entry.link))

    def digest(self, name: str) -> Digest:
        """The digest of a file, or of what a link stands for."""
        target = _normal(name)
        for _ in range(MAX_LINKS):
            if target in self._digests:
                return self._digests[target]
            target = self._links.get(target, "")
        raise BadArchive(f"the archive has no file {name[:200]!r}")

    def has(self, name: str) -> bool:
        return name in self._digests or name in self._links

    def document(self, name: str) -> bytes:
        """The bytes of a small file."""
        return self.content(self.digest(name), name)

    def content(self, digest: Digest, what: str) -> bytes:
        """The bytes of a small blob that was received."""
        if digest not in self._digests.values():
            raise BadArchive(f"the archive does not hold the blob {digest}")
        data = self._reception.read(digest, self.limits.max_document + 1)
        if len(data) > self.limits.max_document:
            raise beyond(f"{what[:200]} has more than {self.limits.max_document} bytes", "images.max_document")
        return data

    def value(self, name: str) -> Any:
        """The JSON in a small file."""
        return json_value(self.document(name), name, self.limits)

    def held(self, digest: Digest) -> Digest:
        """The digest itself, where the archive holds such a blob."""
        if digest not in self._digests.values():
            raise BadArchive(f"the archive does not hold the blob {digest}")
        return digest


def parcels(files: Files) -> Iterator[Parcel]:
    """The images of an archive. Docker's manifest.json goes before an OCI index beside it, as it does for `docker load`."""
    if files.has("manifest.json"):
        yield from _docker(files)
    elif files.has("index.json"):
        yield from _oci(files)
    elif files.has("repositories"):
        for config, layers, names in image_legacy.images(files.document("repositories"), files.document, files.digest, files.limits):
            yield Parcel(config, layers, names)
    else:
        raise BadArchive("this is not an archive of images: it has neither manifest.json nor index.json", hint="pyke import FILE IMAGE")


def _docker(files: Files) -> Iterator[Parcel]:
    manifests = dict(_manifests_beside(files))
    for each in _limited(files, as_list(files.value("manifest.json"), "manifest.json")):
        item = as_object(each, "an item of manifest.json")
        names = as_texts(item.get("Layers"), "Layers of manifest.json")
        config = files.document(as_text(item.get("Config"), "Config of manifest.json"))
        layers = tuple(files.digest(name) for name in names)
        beside = manifests.get((Digest.of(config), layers))
        yield Parcel(
            config=config,
            layers=layers,
            names=as_texts(item.get("RepoTags"), "RepoTags of manifest.json"),
            manifest=files.content(beside, f"the manifest {beside}") if beside else b"",
        )


def _manifests_beside(files: Files) -> Iterator[tuple[tuple[Digest, tuple[Digest, ...]], Digest]]:
    """The manifests of an index beside Docker's list, by the blobs they name: an image that has one keeps the digest it is known by.

    Not those that name plain layers: who loads an image in Docker's form wants it compressed when it is pushed. What cannot be read of
    such an index is left out, as `docker load` looks at none of it.
    """
    with contextlib.suppress(BadArchive):
        for descriptor in _descriptors(files) if files.has("index.json") else ():
            annotations = as_object(descriptor.get("annotations"), "annotations of index.json")
            digest = Digest(as_text(annotations.get(ORIGINAL) or descriptor.get("digest"), "digest of a descriptor"))
            parsed = oci.parse_manifest(files.content(digest, f"the manifest {digest}"), files.limits)
            if not any(kind.endswith(".tar") for kind in parsed.media_types):
                yield (parsed.config, parsed.layers), digest


def _oci(files: Files) -> Iterator[Parcel]:
    for descriptor in _descriptors(files):
        manifest = oci.choose(descriptor, lambda digest: files.content(digest, f"the manifest {digest}"), files.limits)
        if manifest is not None:
            parsed = oci.parse_manifest(manifest, files.limits)
            config = files.content(parsed.config, f"the configuration {parsed.config}")
            yield Parcel(config, tuple(map(files.held, parsed.layers)), _names(descriptor), manifest)


def _descriptors(files: Files) -> list[dict[str, Any]]:
    index = as_object(files.value("index.json"), "index.json")
    manifests = _limited(files, as_list(index.get("manifests"), "manifests of index.json"))
    return [as_object(each, "a descriptor of index.json") for each in manifests]


def _names(descriptor: dict[str, Any]) -> tuple[str, ...]:
    """The name of an image in an index. A bare "latest" in ref.name is a tag without a repository, and names nothing."""
    annotations = as_object(descriptor.get("annotations"), "annotations of index.json")
    full = as_text(annotations.get(CONTAINERD_NAME), CONTAINERD_NAME)
    name = full or as_text(annotations.get(REF_NAME), REF_NAME)
    return (name,) if full or ":" in name or "/" in name else ()


def _limited(files: Files, items: list[Any]) -> list[Any]:
    if len(items) > files.limits.max_images:
        raise beyond(f"the archive has {len(items)} images, more than {files.limits.max_images}", "images.max_images")
    return items


def _normal(name: str) -> str:
    """A name in the archive: only ever a key, never a path."""
    return posixpath.normpath("/" + name).lstrip("/")
