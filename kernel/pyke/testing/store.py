"""Whether an engine's images are whole, and nothing else lies where they are: looked at from outside, with Python's own tarfile.

    assert not store.faults(engine)

Each blob is hashed, each layer's blob is unpacked in memory and compared with what the storage driver `overlay` made of it, and the OCI
layout's index has to lead to all of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyke.archive.decompress import plain
from pyke.testing.engine import TestEngine

PLACES = ("oci/partial", "oci/downloads", "overlay/staging", "overlay/trash")  # where nothing is when nothing is being done
HIDDEN = ".wh."


def images(engine: TestEngine) -> list[Mapping[str, Any]]:
    """All images as `inspect` shows them."""
    ids = engine.ok("images", "-aq", "--no-trunc").split()
    found: list[Mapping[str, Any]] = json.loads(engine.ok("image", "inspect", *dict.fromkeys(ids))) if ids else []
    return found


def faults(engine: TestEngine) -> list[str]:
    """What is wrong with the images of an engine at rest: a line for each fault."""
    listed = images(engine)
    return [*_wrong_blobs(engine), *_wrong_layers(engine, listed), *_wrong_index(engine, listed), *_left_over(engine, listed)]


def _blobs(engine: TestEngine) -> Path:
    return Path(engine.layout.content, "blobs", "sha256")


def _names(path: Path) -> list[str]:
    return sorted(os.listdir(path)) if path.is_dir() else []


def _document(engine: TestEngine, digest: str) -> dict[str, Any]:
    document = json.loads((_blobs(engine) / digest.removeprefix("sha256:")).read_bytes())
    return document if isinstance(document, dict) else {}


def _wrong_blobs(engine: TestEngine) -> Iterator[str]:
    for name in _names(_blobs(engine)):
        with (_blobs(engine) / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != name:
                yield f"the blob {name} is not what its name says"


def _chain(diff_ids: list[str]) -> list[str]:
    """Chain IDs (image-spec, config.md)."""
    found: list[str] = []
    for each in diff_ids:
        found.append(f"sha256:{hashlib.sha256(f'{found[-1]} {each}'.encode()).hexdigest()}" if found else each)
    return found


def _manifest(engine: TestEngine, id: str) -> dict[str, Any]:
    """The manifest that the index has for an image."""
    index = json.loads(Path(engine.layout.content, "index.json").read_text())
    documents = (_document(engine, each["digest"]) for each in index["manifests"])
    return next((each for each in documents if each["config"]["digest"] == id), {})


def _wrong_index(engine: TestEngine, listed: list[Mapping[str, Any]]) -> Iterator[str]:
    for image in listed:
        layers = _manifest(engine, image["Id"]).get("layers", [])
        if len(layers) != len(image["RootFS"].get("Layers") or []):
            yield f"the index leads to {len(layers)} layers of {image['Id']}"
        sizes = {each["digest"][7:]: each["size"] for each in layers}
        yield from (f"the blob {name} is missing" for name in sizes if not (_blobs(engine) / name).is_file())


def _wrong_layers(engine: TestEngine, listed: list[Mapping[str, Any]]) -> Iterator[str]:
    looked_at = set()
    for image in listed:
        diff_ids = image["RootFS"].get("Layers") or []
        blobs = [each["digest"][7:] for each in _manifest(engine, image["Id"]).get("layers", [])]
        for chain_id, diff_id, blob in zip(_chain(diff_ids), diff_ids, blobs, strict=False):
            if chain_id not in looked_at:
                looked_at.add(chain_id)
                yield from _wrong_layer(engine, chain_id[7:], diff_id, blob)


def _wrong_layer(engine: TestEngine, chain: str, diff_id: str, blob: str) -> Iterator[str]:
    with (_blobs(engine) / blob).open("rb") as file:
        content = b"".join(plain(file.read))
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != diff_id:
        yield f"the layer {diff_id} has another content"
    place = Path(engine.layout.root, "overlay", "layers", chain, "diff")
    if not place.is_dir():
        yield f"the layer {chain} is not unpacked"
        return
    expected, found = dict(_archived(content)), dict(_unpacked(place))
    yield from (
        f"{name} of the layer {chain} is {found.get(name)}, not {what}" for name, what in expected.items() if found.get(name) != what
    )
    yield from (f"{name} of the layer {chain} is in no archive" for name in found.keys() - expected.keys() if HIDDEN not in name)


def _archived(content: bytes) -> Iterator[tuple[str, str]]:
    """What a tar says of each of its files; directories and whiteouts are left out."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if HIDDEN in name or not (member.isreg() or member.issym() or member.islnk()):
                continue
            source = tar.extractfile(member) if not member.issym() else None
            what = member.linkname if source is None else hashlib.sha256(source.read()).hexdigest()
            yield name, what


def _unpacked(place: Path) -> Iterator[tuple[str, str]]:
    for folder, _, _ in os.walk(place):
        for entry in os.scandir(folder):
            mode = entry.stat(follow_symlinks=False).st_mode
            name = os.path.relpath(entry.path, place)
            if stat.S_ISREG(mode):
                yield name, hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
            elif stat.S_ISLNK(mode):
                yield name, os.readlink(entry.path)


def _left_over(engine: TestEngine, listed: list[Mapping[str, Any]]) -> Iterator[str]:
    ids = {image["Id"][7:] for image in listed}
    manifests: list[str] = []
    needed = set(ids)
    for name in set(_names(_blobs(engine))) - ids:
        document = _maybe_manifest(_blobs(engine) / name)
        if document.get("config", {}).get("digest", "")[7:] in ids:
            manifests.append(name)
            needed |= {name, *(each["digest"][7:] for each in document["layers"])}
    yield from (f"the blob {name} is nobody's" for name in _names(_blobs(engine)) if name not in needed)
    if len(manifests) > 2 * len(ids):  # an image's own, and the same in OCI's words
        yield f"{len(ids)} images have {len(manifests)} manifests"
    chains = {chain[7:] for image in listed for chain in _chain(image["RootFS"].get("Layers") or [])}
    layers = _names(Path(engine.layout.root, "overlay", "layers"))
    yield from (f"the layer {name} is nobody's" for name in layers if name not in chains)
    for place in PLACES:
        yield from (f"{place}/{name} is left" for name in _names(Path(engine.layout.root, place)))


def _maybe_manifest(path: Path) -> dict[str, Any]:
    if path.stat().st_size > 1 << 20:
        return {}
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return document if isinstance(document, dict) and "layers" in document else {}
