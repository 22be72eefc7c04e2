"""What the OCI layout's index names: a manifest for each image and each of its tags.

An image of Docker's schema 2 keeps its manifest, whose digest registries know. Tools that read OCI layouts look for OCI's manifests only,
and so the index names a second one for it, which says the same in OCI's words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyke.engine.images.content import CONFIG, LAYER, MANIFEST, Content, canonical
from pyke.engine.images.json_objects import as_list, as_object, as_text
from pyke.engine.images.references import Digest
from pyke.model import Image

REF_NAME = "org.opencontainers.image.ref.name"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"  # and ".gzip", ".zstd"


class Layout:
    """The index of one `Content`. Used under `Images.lock`."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._known: dict[str, dict[str, Any]] = {}  # descriptors by the digest of the image's own manifest

    def write(self, images: Iterable[Image]) -> None:
        """Make index.json name these images: one descriptor for each tag, and one for an image without any."""
        there = [image for image in images if self._content.has(image.manifest)]  # a lost one must not keep the others from being named
        self._content.write_index([each for image in there for each in self._named(image)])
        named = {image.manifest for image in there}
        self._known = {manifest: descriptor for manifest, descriptor in self._known.items() if manifest in named}

    def _named(self, image: Image) -> list[dict[str, Any]]:
        descriptor = self.descriptor(image)
        return [{**descriptor, "annotations": {REF_NAME: tag}} for tag in image.tags] or [descriptor]

    def descriptor(self, image: Image) -> dict[str, Any]:
        """The descriptor of a manifest of OCI's for an image, which is kept where there was none."""
        known = self._known.get(image.manifest)
        if known is None or not self._content.has(known["digest"]):
            known = self._known[image.manifest] = self._described(image)
        return known

    def _described(self, image: Image) -> dict[str, Any]:
        own = self._content.document(image.manifest)
        if not _is_docker_s(own):
            return {"mediaType": MANIFEST, "digest": image.manifest, "size": self._content.size(image.manifest)}
        text = canonical(_in_words_of_oci(own))
        if not self._content.has(Digest.of(text)):
            self._content.add(text)
        return {"mediaType": MANIFEST, "digest": Digest.of(text), "size": len(text)}

    def digests(self) -> set[str]:
        """The digests of all manifests that the index names."""
        return {descriptor["digest"] for descriptor in self._known.values()}


def _is_docker_s(manifest: dict[str, Any]) -> bool:
    return as_text(manifest.get("mediaType"), "mediaType of a manifest").startswith("application/vnd.docker.")


def _in_words_of_oci(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest of Docker's schema 2 as one of OCI's: the same digests and sizes."""
    config = as_object(manifest.get("config"), "config of a manifest")
    layers = [as_object(each, "a layer of a manifest") for each in as_list(manifest.get("layers"), "layers of a manifest")]
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.get("digest"), "size": config.get("size")},
        "layers": [{"mediaType": _layer_type(each), "digest": each.get("digest"), "size": each.get("size")} for each in layers],
    }


def _layer_type(layer: dict[str, Any]) -> str:
    said = as_text(layer.get("mediaType"), "mediaType of a layer")
    compression = said.removeprefix(DOCKER_LAYER).lstrip(".") if said.startswith(DOCKER_LAYER) else "gzip"  # a foreign one's
    return LAYER + (f"+{compression}" if compression else "")
