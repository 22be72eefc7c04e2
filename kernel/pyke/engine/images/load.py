"""`load`: the images of an archive become the engine's. Told in the order in which it happens.

The archive is received into blobs, and what looks like a layer is unpacked meanwhile (ahead.py); each image's configuration is read, its
layers get their names, or are unpacked now, and only then its blobs, its record and its names appear, in this order and under one lock.
A crash before the record leaves blobs and layers that nobody needs, which `Images.recover` deletes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BufferedIOBase
from typing import TYPE_CHECKING

from pyke.archive.decompress import compression_of
from pyke.archive.limits import ImageLimits
from pyke.engine.images import config as image_config
from pyke.engine.images import manifests as oci
from pyke.engine.images.ahead import Ahead
from pyke.engine.images.archives import Files, Parcel, parcels
from pyke.engine.images.content import Reception
from pyke.engine.images.layers import Take, Wanted
from pyke.engine.images.references import Digest, Reference, parse_tagged
from pyke.errors import BadArchive
from pyke.model import Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def load(engine: Engine, stream: BufferedIOBase) -> Iterator[str]:
    """Load all images of the archive; a line for each, as Docker prints."""
    try:
        yield from _load(engine, stream)
    except BadArchive as error:
        error.hint = error.hint or "tar -tvf FILE"
        raise


def _load(engine: Engine, stream: BufferedIOBase) -> Iterator[str]:
    with engine.images.content.receiving() as reception, contextlib.closing(Ahead(engine, engine.images.storage_driver)) as ahead:
        files = Files(reception, engine.settings.images.limits())
        files.receive(stream.read1, engine.settings.archives.limits(), ahead.guess)
        for parcel in parcels(files):
            names = [parse_tagged(name) for name in parcel.names]
            image = store(engine, reception, parcel, names, source="load", take=ahead.take)
            yield from _lines(engine, image, names)


def store(
    engine: Engine,
    reception: Reception,
    parcel: Parcel,
    names: Sequence[Reference],
    *,
    source: str,
    parent: str = "",
    take: Take | None = None,
) -> Image:
    """Make one received image the engine's own, under these names; `parent` is the ID of the image that it was made from here.

    `take` may have its layers ready.
    """
    image = replace(_described(reception, parcel, engine.settings.images.limits()), parent=parent)
    driver = engine.images.storage_driver
    chain_ids = [layer.chain_id for layer in image.layers]
    try:
        with engine.state.intent(f"image.{source}", image.id), engine.images.layers.pinned(chain_ids):
            sizes = engine.images.layers.add(_wanted(reception, image), driver, take)
            layers = tuple(replace(layer, size=sizes[layer.chain_id]) for layer in image.layers)
            image = replace(image, layers=layers, size=sum(layer.size for layer in layers))
            return engine.images.adopt(image, reception, names, source=source)
    except BaseException:
        with engine.images.lock:
            engine.images.layers.collect(chain_ids, driver)
        raise


def _described(reception: Reception, parcel: Parcel, limits: ImageLimits) -> Image:
    """The image that a parcel says it is, checked against what was really received."""
    image = image_config.parse(parcel.config, limits)
    if image.os != "linux":
        raise BadArchive(f"the image {image.id} is for {image.os[:40]!r}, and this is Linux")
    if len(parcel.layers) != len(image.layers):
        raise BadArchive(f"the image {image.id} has {len(parcel.layers)} layers, and its configuration speaks of {len(image.layers)}")
    compressions = [_compression(reception.path(digest)) for digest in parcel.layers]
    for layer, digest, compression in zip(image.layers, parcel.layers, compressions, strict=True):
        if not compression and digest != layer.diff_id:
            raise BadArchive(f"the layer {layer.diff_id} has the content of {digest}")
    _check_sizes(reception, parcel, limits)
    manifest = parcel.manifest or _manifest(reception, parcel, compressions)
    reception.write([parcel.config])
    layers = tuple(replace(layer, blob=digest) for layer, digest in zip(image.layers, parcel.layers, strict=True))
    return replace(image, manifest=reception.write([manifest]), layers=layers)


def _check_sizes(reception: Reception, parcel: Parcel, limits: ImageLimits) -> None:
    """A manifest that came along is kept, and pushed, as it is: what it says of its blobs has to be true."""
    if parcel.manifest:
        said = oci.parse_manifest(parcel.manifest, limits)
        sizes = [os.stat(reception.path(digest)).st_size for digest in parcel.layers]
        for digest, size, true in zip(
            (said.config, *said.layers), (said.config_size, *said.sizes), (len(parcel.config), *sizes), strict=True
        ):
            if size != true:
                raise BadArchive(f"the manifest {Digest.of(parcel.manifest)} says that {digest} has {size} bytes, and it has {true}")


def _manifest(reception: Reception, parcel: Parcel, compressions: Sequence[str]) -> bytes:
    layers = [
        (digest, os.stat(reception.path(digest)).st_size, compression)
        for digest, compression in zip(parcel.layers, compressions, strict=True)
    ]
    return oci.manifest_of(Digest.of(parcel.config), len(parcel.config), layers)


def _wanted(reception: Reception, image: Image) -> list[Wanted]:
    parents = ["", *(layer.chain_id for layer in image.layers)]
    return [
        Wanted(layer.diff_id, layer.chain_id, parent, reception.path(layer.blob))
        for layer, parent in zip(image.layers, parents, strict=False)
    ]


def _compression(path: str) -> str:
    with open(path, "rb") as file:
        return compression_of(file.read(6))


def _lines(engine: Engine, image: Image, names: Sequence[Reference]) -> Iterator[str]:
    for name in names:
        yield f"Loaded image: {name.familiar}"
    if not names:
        yield f"Loaded image ID: {image.id}"
