"""`save`: images as one archive that is an OCI layout and Docker's at once, so that docker, podman and skopeo of any age read it.

    blobs/sha256/HEX    configurations, manifests, and layers: each blob once, whatever number of images has it
    index.json, oci-layout
    manifest.json       Docker's list, whose names lead into blobs/
    repositories        Docker's before 1.10, for the names' sake

Docker's list promises plain layers to old readers, which do take compressed ones as well. The same images give the same bytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import DIRECTORY, FILE
from pyke.engine.images.archives import CONTAINERD_NAME, ORIGINAL
from pyke.engine.images.content import INDEX, canonical
from pyke.engine.images.layout import REF_NAME
from pyke.engine.images.references import Digest, parse, parse_tagged
from pyke.engine.images.removal import collect_blobs
from pyke.errors import InvalidRequest, NoSuchImage
from pyke.model import Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

PIECE = 1 << 20


def save(engine: Engine, refs: Sequence[str]) -> Iterator[bytes]:
    """The archive in pieces. All images are found, and their blobs held, before the first one."""
    with contextlib.ExitStack() as stack:
        stack.callback(_collect, engine)
        with engine.images.lock:
            chosen = _chosen(engine, refs)
            stack.enter_context(engine.images.blobs.held(_digests(engine, chosen)))
        yield from _archive(engine, chosen)


def _collect(engine: Engine) -> None:
    """Delete what was held for the archive's sake, where its image was removed meanwhile."""
    with engine.images.lock:
        collect_blobs(engine)


def _chosen(engine: Engine, refs: Sequence[str]) -> list[tuple[Image, list[str]]]:
    """Each image with the names under which it is saved: those that were asked for, all of its repository's for a bare name."""
    chosen: dict[str, tuple[Image, list[str]]] = {}
    for ref in refs:
        for image, names in _meant(engine, ref):
            known = chosen.setdefault(image.id, (image, []))[1]
            known += [name for name in names if name not in known]
    return list(chosen.values())


def _meant(engine: Engine, ref: str) -> list[tuple[Image, list[str]]]:
    try:
        wanted = parse(ref)
    except InvalidRequest:
        wanted = None
    if wanted is not None and not wanted.tag and not wanted.digest:
        prefix = f"{wanted.repository}:"
        found = [(image, [tag for tag in image.tags if tag.startswith(prefix)]) for image in engine.images.all()]
        if any(names for _, names in found):
            return [(image, names) for image, names in found if names]
    try:
        image = engine.images.get(ref)
    except NoSuchImage as error:
        raise NoSuchImage(f"No such image: {ref[:200]}", hint=error.hint) from None
    name = str(parse_tagged(ref)) if wanted is not None else ""
    return [(image, [name] if name in image.tags else [])]


def _digests(engine: Engine, chosen: Sequence[tuple[Image, list[str]]]) -> list[str]:
    """Of all blobs that go into the archive."""
    found: set[str] = set()
    for image, _ in chosen:
        found |= {image.id, image.manifest, engine.images.layout.descriptor(image)["digest"], *(layer.blob for layer in image.layers)}
    return sorted(found)


def _archive(engine: Engine, chosen: Sequence[tuple[Image, list[str]]]) -> Iterator[bytes]:
    content = engine.images.content
    for name in ("blobs/", "blobs/sha256/"):
        yield header(name.encode(), DIRECTORY, 0, mode=0o755)
    for digest in _digests(engine, chosen):
        yield from _blob(content.open(digest), digest)
    yield from _document("index.json", _index(engine, chosen))
    yield from _document("manifest.json", [_item(image, names) for image, names in chosen])
    yield from _document("oci-layout", {"imageLayoutVersion": "1.0.0"})
    if repositories := _repositories(chosen):
        yield from _document("repositories", repositories)
    yield END


def _blob(descriptor: int, digest: str) -> Iterator[bytes]:
    try:
        size = os.fstat(descriptor).st_size
        yield header(_path(digest).encode(), FILE, size)
        while piece := os.read(descriptor, PIECE):
            yield piece
        yield padding(size)
    finally:
        os.close(descriptor)


def _document(name: str, document: Any) -> Iterator[bytes]:
    text = canonical(document)
    yield header(name.encode(), FILE, len(text)) + text + padding(len(text))


def _index(engine: Engine, chosen: Sequence[tuple[Image, list[str]]]) -> dict[str, Any]:
    manifests: list[dict[str, Any]] = []
    for image, names in chosen:
        descriptor = engine.images.layout.descriptor(image)
        original = {ORIGINAL: image.manifest} if descriptor["digest"] != image.manifest else {}
        named = [{CONTAINERD_NAME: name, REF_NAME: name, **original} for name in names]
        manifests += [{**descriptor, "annotations": each} for each in named or [original] if each] or [descriptor]
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}


def _item(image: Image, names: Sequence[str]) -> dict[str, Any]:
    familiar = [parse(name).familiar for name in names]
    return {"Config": _path(image.id), "RepoTags": familiar or None, "Layers": [_path(layer.blob) for layer in image.layers]}


def _repositories(chosen: Sequence[tuple[Image, list[str]]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for image, names in chosen:
        for name in names:
            reference = parse(name)
            found.setdefault(reference.familiar_repository, {})[reference.tag] = Digest(image.chain_id or image.id).hex
    return found


def _path(digest: str) -> str:
    return f"blobs/sha256/{Digest(digest).hex}"
