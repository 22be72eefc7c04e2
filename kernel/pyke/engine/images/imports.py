"""`import`: a tar of a file system becomes an image of one layer, whose configuration is made from a Dockerfile's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any

from pyke.archive.decompress import PlainReader
from pyke.archive.limits import ArchiveLimits
from pyke.engine.images import changes as image_changes
from pyke.engine.images import load as image_load
from pyke.engine.images import platforms
from pyke.engine.images.archives import Parcel
from pyke.engine.images.content import canonical
from pyke.engine.images.references import Digest, parse_tagged
from pyke.errors import InvalidRequest
from pyke.model import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyke.engine.engine import Engine

PIECE = 1 << 20


def import_archive(engine: Engine, stream: BufferedIOBase, *, reference: str, message: str, changes: Sequence[str]) -> Image:
    """Make the image; `reference` may be "". What cannot work is refused before a byte is read."""
    name = parse_tagged(reference) if reference else None
    if name is not None and name.digest:
        raise InvalidRequest("cannot import digest reference")
    config = image_changes.apply({}, changes)
    with engine.images.content.receiving() as reception:
        layer = reception.write(_plain(stream, engine.settings.archives.limits()))
        parcel = Parcel(_configuration(layer, config, message), (layer,), ())
        return image_load.store(engine, reception, parcel, [name] if name is not None else [], source="import")


def _plain(stream: BufferedIOBase, limits: ArchiveLimits) -> Iterator[bytes]:
    reader = PlainReader(stream.read, limits)
    while piece := reader.read(PIECE):
        yield piece


def _configuration(layer: Digest, config: dict[str, Any], message: str) -> bytes:
    created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    comment = message or "Imported from -"
    return canonical(
        {
            "architecture": platforms.architecture(),
            "comment": comment,
            "config": config,
            "created": created,
            "history": [{"created": created, "comment": comment}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        }
    )
