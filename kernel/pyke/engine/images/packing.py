"""Layers that came plain (`docker save`, `import`, `commit`) are compressed before they go to a registry for the first time.

Only where the manifest is one that this engine wrote itself: one that came with the image has a digest that others know. The compressed
blobs take the place of the plain ones in the store, so that the next push sends the same, and knows it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.archive.compress import gzipped
from pyke.archive.decompress import compression_of
from pyke.engine.images import manifests as oci
from pyke.engine.images.content import Content, Reception
from pyke.engine.images.references import Digest
from pyke.errors import NoSuchImage
from pyke.model import Image, Layer

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def packed(engine: Engine, image: Image) -> Image:
    """The image with compressed layers; itself where there is nothing to compress, or its manifest came with it."""
    content = engine.images.content
    with engine.locks.of("image", image.id):
        image = engine.images.get(image.id)
        plain = {layer.blob for layer in image.layers if layer.blob == layer.diff_id}
        if not plain or content.read(image.manifest) != _manifest(content, image):
            return image
        with engine.images.blobs.held([layer.blob for layer in image.layers]), content.receiving() as reception:
            made = {blob: _compressed(content, reception, blob) for blob in plain}
            layers = tuple(replace(layer, blob=made.get(layer.blob, layer.blob)) for layer in image.layers)
            return _adopted(engine, image.id, layers, reception)


def _adopted(engine: Engine, id: str, layers: tuple[Layer, ...], reception: Reception) -> Image:
    """Let the image stand on other blobs."""
    images = engine.images
    reception.sync([Digest(layer.blob) for layer in layers])
    with images.lock:
        known = engine.state.images.get(id)
        if known is None:
            raise NoSuchImage(f"No such image: {id}", hint="pyke images")
        for layer in layers:
            reception.keep(Digest(layer.blob))
        packed = replace(known, layers=layers)
        manifest = images.content.add(_manifest(images.content, packed))
        images.content.sync_names()
        packed = replace(packed, manifest=manifest)
        engine.state.images.put(packed)
        images.write_index()
        return packed


def _compressed(content: Content, reception: Reception, blob: str) -> Digest:
    source = content.open(blob)
    try:
        return reception.write(gzipped(lambda size: os.read(source, size)))
    finally:
        os.close(source)


def _manifest(content: Content, image: Image) -> bytes:
    """The manifest that this engine writes for an image that came without one."""
    layers = [(Digest(layer.blob), content.size(layer.blob), _compression(content, layer.blob)) for layer in image.layers]
    return oci.manifest_of(Digest(image.id), content.size(image.id), layers)


def _compression(content: Content, blob: str) -> str:
    source = content.open(blob)
    try:
        return compression_of(os.read(source, 6))
    finally:
        os.close(source)
