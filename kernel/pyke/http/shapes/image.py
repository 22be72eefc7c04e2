"""Images as `inspect`, `images` and `history` show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyke.http.shapes.config import EMPTY, image_config
from pyke.http.shapes.names import familiar
from pyke.http.shapes.times import NEVER
from pyke.http.versions import Version
from pyke.model import HistoryEntry, Image

Json = dict[str, Any]

VIRTUAL_SIZE_GONE = Version(1, 44)
CONTAINER_CONFIG_GONE = Version(1, 45)
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MISSING = "<missing>"  # an image that history knows of and this machine has not


def inspect(image: Image, storage_driver: str, version: Version) -> Json:
    """All of an image."""
    shaped = {
        "Id": image.id,
        "RepoTags": [familiar(tag) for tag in image.tags],
        "RepoDigests": [familiar(digest) for digest in image.repo_digests],
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created or NEVER,
        "DockerVersion": "",
        "Author": image.author,
        "Config": image_config(image.config),
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": None, "Name": storage_driver},
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Metadata": {"LastTagTime": NEVER},
    }
    if image.variant:
        shaped["Variant"] = image.variant
    if version < CONTAINER_CONFIG_GONE:
        shaped |= {"Container": "", "ContainerConfig": EMPTY}
    return shaped | _virtual_size(image, version)


def summary(image: Image, version: Version, *, containers: int = -1, shared_size: int = -1) -> Json:
    """One entry of /images/json; -1 is Docker's word for "not counted"."""
    tags = [familiar(tag) for tag in image.tags]
    digests = [familiar(digest) for digest in image.repo_digests]
    if version < Version(1, 43) and not tags and not digests:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    return {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": unix_seconds(image.created),
        "Size": image.size,
        "SharedSize": shared_size,
        "Labels": dict(image.config.labels) or None,
        "Containers": containers,
    } | _virtual_size(image, version)


def manifest(image: Image, sizes: Mapping[str, int], users: Sequence[str]) -> Json:
    """What an image is made of, as API 1.47 has it; `sizes` are those of its blobs in bytes, `users` the IDs of its containers."""
    content = sum(sizes.values())
    platform = {"architecture": image.architecture, "os": image.os} | ({"variant": image.variant} if image.variant else {})
    return {
        "ID": image.manifest,
        "Descriptor": {"mediaType": OCI_MANIFEST, "digest": image.manifest, "size": sizes.get(image.manifest, 0)},
        "Available": True,
        "Kind": "image",
        "Size": {"Content": content, "Total": content + image.size},
        "ImageData": {"Platform": platform, "Containers": list(users), "Size": {"Unpacked": image.size}},
    }


def history(image: Image, ancestors: Sequence[Image] = ()) -> list[Json]:
    """The steps that made an image, newest first. The older ones carry the names of `ancestors`: the images that it was made from here."""
    layers = list(image.layers)
    sizes = [0 if step.empty_layer or not layers else layers.pop(0).size for step in image.history]
    steps = [_step(step, size) for step, size in zip(image.history, sizes, strict=True)]
    steps += [_step(HistoryEntry(), layer.size) for layer in layers]  # layers that the history forgot
    newest = list(reversed(steps)) or [_step(HistoryEntry(created=image.created, comment=image.comment), image.size)]
    for step, made in zip(newest, (image, *ancestors), strict=False):
        step |= {"Id": made.id, "Tags": [familiar(tag) for tag in made.tags] or None}
    return newest


def unix_seconds(text: str) -> int:
    """Seconds since the epoch of an RFC 3339 instant; 0 where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def removal(kind: str, name: str) -> Json:
    """One line of what `rmi` did: {"Untagged": ...} or {"Deleted": ...}."""
    return {kind.capitalize(): familiar(name)}


def _step(step: HistoryEntry, size: int) -> Json:
    return {
        "Id": MISSING,
        "Created": unix_seconds(step.created),
        "CreatedBy": step.created_by,
        "Tags": None,
        "Size": size,
        "Comment": step.comment,
    }


def _virtual_size(image: Image, version: Version) -> Json:
    return {"VirtualSize": image.size} if version < VIRTUAL_SIZE_GONE else {}
