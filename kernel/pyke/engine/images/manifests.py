"""OCI manifests and indexes (image-spec, manifest.md and image-index.md), and Docker's of schema 2, which say the same in other words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyke.archive.limits import ImageLimits
from pyke.engine.images import platforms
from pyke.engine.images.content import CONFIG, LAYER, MANIFEST, canonical
from pyke.engine.images.json_objects import as_integer, as_list, as_object, as_text, json_object
from pyke.engine.images.platforms import Platform
from pyke.engine.images.references import Digest
from pyke.errors import BadArchive

INDEXES = {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
MANIFESTS = {MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"}
MAX_NESTING = 4  # of indexes in indexes: nobody writes more than two, and each costs a request


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest points to."""

    config: Digest
    layers: tuple[Digest, ...]
    media_types: tuple[str, ...]
    sizes: tuple[int, ...]  # of the layers, in bytes, as announced
    config_size: int


def choose(
    descriptor: dict[str, Any], fetch: Callable[[Digest], bytes], limits: ImageLimits, wanted: Platform | None = None, nesting: int = 0
) -> bytes | None:
    """The bytes of the manifest for a platform (this machine's) that `descriptor` leads to, through indexes where there are any.

    None where an index has nothing for it. One descriptor of each index is followed, whatever their number.
    """
    if nesting > MAX_NESTING:
        raise BadArchive(f"an index is nested in others deeper than {MAX_NESTING}")
    digest = Digest(as_text(descriptor.get("digest"), "digest of a descriptor"))
    text = fetch(digest)
    document = json_object(text, f"the manifest {digest}", limits)
    if "manifests" in document and ("layers" in document or "config" in document):
        raise BadArchive(f"{digest} is a manifest and an index at once")  # CVE-2021-41190
    if "manifests" not in document:
        return text
    candidates = [as_object(each, f"a descriptor of {digest}") for each in as_list(document["manifests"], f"manifests of {digest}")]
    chosen = _best(candidates, wanted or platforms.native())
    return choose(chosen, fetch, limits, wanted, nesting + 1) if chosen is not None else None


def _best(candidates: Sequence[dict[str, Any]], wanted: Platform) -> dict[str, Any] | None:
    """The first of the descriptors that fit a platform best; one that says no platform is taken where none does."""
    rated = [(wanted.fitness(offered), each) for each in candidates if (offered := platforms.of_descriptor(each))]
    best = max((fitness for fitness, _ in rated), default=0)
    if best:
        return next(each for fitness, each in rated if fitness == best)
    known = MANIFESTS | INDEXES
    unsaid = (each for each in candidates if platforms.of_descriptor(each) is None)
    return next((each for each in unsaid if as_text(each.get("mediaType"), "mediaType of a descriptor") in known), None)


def parse_manifest(text: bytes, limits: ImageLimits) -> Manifest:
    """The digests in a manifest."""
    what = f"the manifest {Digest.of(text).short}"
    document = json_object(text, what, limits)
    kind = as_text(document.get("mediaType"), what)
    if kind and kind not in MANIFESTS:
        raise BadArchive(f"{what} is of the type {kind[:100]!r}, which is not an image's")
    if document.get("fsLayers") is not None:
        raise BadArchive(f"{what} is of Docker's schema 1, which nobody writes any more", hint="pyke pull IMAGE:TAG of a newer build")
    layers = [as_object(each, f"a layer of {what}") for each in as_list(document.get("layers"), f"layers of {what}")]
    config = as_object(document.get("config"), f"config of {what}")
    return Manifest(
        config=Digest(as_text(config.get("digest"), f"config of {what}")),
        layers=tuple(Digest(as_text(each.get("digest"), f"a layer of {what}")) for each in layers),
        media_types=tuple(as_text(each.get("mediaType"), f"a layer of {what}") for each in layers),
        sizes=tuple(as_integer(each.get("size"), f"a layer of {what}") for each in layers),
        config_size=as_integer(config.get("size"), f"config of {what}"),
    )


def manifest_of(config: Digest, config_size: int, layers: Sequence[tuple[Digest, int, str]]) -> bytes:
    """A manifest for an image that came without: its layers are (digest, size, compression)."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config, "size": config_size},
            "layers": [
                {"mediaType": LAYER + (f"+{compression}" if compression else ""), "digest": digest, "size": size}
                for digest, size, compression in layers
            ],
        }
    )
