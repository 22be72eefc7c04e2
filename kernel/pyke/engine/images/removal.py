"""`rmi` and `image prune`: names go, then images, then what only they needed. The rules and words are Docker's.

An image's layers and blobs are deleted when no other image has them. An image that is removed by force while stopped containers stand on
its layers loses its names at once; its record stays, marked as removed, until those containers are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyke.engine.containers.remove import Pruned
from pyke.engine.filters import Filters, moment, prune_filter
from pyke.engine.images.references import Digest, familiar, id_prefix, parse, parse_tagged
from pyke.errors import Conflict, InvalidRequest
from pyke.model import Container, Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that went: `kind` is "untagged" (a name) or "deleted" (an image, or a layer by its chain ID)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why an image may not be deleted; a hard one stands against force, too."""

    reason: str
    is_hard: bool
    is_used: bool = False  # by a container


def remove(engine: Engine, image: Image, ref: str, *, force: bool, prune_parents: bool) -> list[Removal]:
    """Remove what `ref`, which means `image`, names. Holds `images.lock`."""
    names_image = bool(id_prefix(ref)) and Digest(image.id).hex.startswith(id_prefix(ref)) and not _name(image, ref)
    if names_image:
        _refuse(engine, image, _obstacles(engine, image, force, names_matter=len(image.tags) > 1))
        removals: list[Removal] = []
    else:
        removals = _untag(engine, image, ref, force)
        image = engine.images.get(image.id)
        if image.tags or image.repo_digests:
            engine.images.write_index()
            return removals
    removals += _delete(engine, image, force=force, prune_parents=prune_parents, is_quiet=not names_image)
    engine.images.write_index()
    collect_blobs(engine)
    return removals


def _untag(engine: Engine, image: Image, ref: str, force: bool) -> list[Removal]:
    """Take the name `ref` from the image."""
    users = users_of(engine, image)
    if users and len(image.tags) <= 1 and not force:
        using = f"container {users[0].short_id} is using its referenced image {Digest(image.id).short}"
        raise Conflict(f'conflict: unable to remove repository reference "{ref}" (must force) - {using}', hint=f"pyke rm {users[0].name}")
    name = _name(image, ref)
    if not name:
        return _forget_digest(engine, image, ref)
    return [_take_name(engine, image, name), *_take_digests(engine, image, parse(name).repository)]


def _name(image: Image, ref: str) -> str:
    """The image's name that `ref` is, or "": "abc" may be a name and the beginning of an ID, and is the name then."""
    try:
        wanted = str(parse_tagged(ref))
    except InvalidRequest:
        return ""
    return wanted if wanted in image.tags else ""


def _forget_digest(engine: Engine, image: Image, ref: str) -> list[Removal]:
    gone = parse_tagged(ref).familiar
    engine.state.images.put(replace(image, repo_digests=tuple(each for each in image.repo_digests if familiar(each) != gone)))
    return [Removal("untagged", ref)]


def _take_name(engine: Engine, image: Image, name: str) -> Removal:
    known = engine.images.get(image.id)
    engine.state.images.put(replace(known, tags=tuple(tag for tag in known.tags if tag != name)))
    engine.events.publish("image", "untag", image.id, image.config.labels, name=image.id)
    return Removal("untagged", familiar(name))


def _take_digests(engine: Engine, image: Image, repository: str) -> list[Removal]:
    """Digests of a repository, which go with the last tag of it that an image had."""
    known = engine.images.get(image.id)
    if any(parse(tag).repository == repository for tag in known.tags):
        return []
    gone = [each for each in known.repo_digests if parse(each).repository == repository]
    engine.state.images.put(replace(known, repo_digests=tuple(each for each in known.repo_digests if each not in gone)))
    return [Removal("untagged", familiar(each)) for each in gone]


def _delete(engine: Engine, image: Image, *, force: bool, prune_parents: bool, is_quiet: bool) -> list[Removal]:
    """Delete an image without names of its own, then its parents that nothing else needs."""
    obstacles = _obstacles(engine, image, force, names_matter=not is_quiet and len(image.tags) > 1)
    if obstacles and is_quiet and any(each.is_used for each in obstacles):
        return []  # it has lost its name, and lives on for the sake of its containers
    _refuse(engine, image, obstacles)
    removals = [_take_name(engine, image, name) for name in image.tags]
    removals += [Removal("untagged", familiar(each)) for each in image.repo_digests]
    if users_of(engine, image):
        engine.state.images.put(replace(engine.images.get(image.id), removed=True, tags=(), repo_digests=()))
    else:
        engine.state.images.delete(image.id)
    engine.events.publish("image", "delete", image.id, image.config.labels, name=image.id)
    removals.append(Removal("deleted", image.id))
    removals += [Removal("deleted", chain_id) for chain_id in _collect_layers(engine, image)]
    parent = engine.state.images.get(image.parent) if image.parent else None
    if prune_parents and parent is not None and not parent.tags and not _obstacles(engine, parent, False, names_matter=True):
        removals += _delete(engine, parent, force=False, prune_parents=True, is_quiet=True)
    return removals


def _obstacles(engine: Engine, image: Image, force: bool, *, names_matter: bool) -> list[_Obstacle]:
    users = users_of(engine, image)
    found = []
    if any(other.parent == image.id for other in engine.images.all()):
        found.append(_Obstacle("image has dependent child images", is_hard=True))
    found += [
        _Obstacle(f"image is being used by running container {each.short_id}", is_hard=True, is_used=True)
        for each in users
        if each.state.is_running
    ]
    if names_matter:
        found.append(_Obstacle("image is referenced in multiple repositories", is_hard=False))
    found += [
        _Obstacle(f"image is being used by stopped container {each.short_id}", is_hard=False, is_used=True)
        for each in users
        if not each.state.is_running
    ]
    return [each for each in found if each.is_hard or not force]


def _refuse(engine: Engine, image: Image, obstacles: Sequence[_Obstacle]) -> None:
    if obstacles:
        first = obstacles[0]
        means = "cannot be forced" if first.is_hard else "must be forced"
        hint = f"pyke ps -a --filter ancestor={Digest(image.id).short}" if first.is_used else "pyke images -a"
        raise Conflict(f"conflict: unable to delete {Digest(image.id).short} ({means}) - {first.reason}", hint=hint)


def users_of(engine: Engine, image: Image) -> list[Container]:
    """The containers that were made from an image."""
    return [container for container in engine.state.containers.all() if container.image_id == image.id]


# --- prune -------------------------------------------------------------------------------------------------------------


def prune(engine: Engine, filters: Filters) -> Pruned:
    """Remove images that nothing uses; see `Images.prune`. Holds `images.lock`."""
    wanted = prune_filter(filters, allowed=("dangling",))
    all_unused = not _is_dangling_only(filters)
    used = {container.image_id for container in engine.state.containers.all()}
    before = _bytes_kept(engine)
    gone: list[str] = []
    for image in engine.images.all():
        is_candidate = image.id not in used and (all_unused or not image.tags)
        created = moment(image.created) if image.created else 0
        if is_candidate and wanted(image.config.labels, created) and not _obstacles(engine, image, True, names_matter=False):
            gone += [each.name for each in _delete(engine, image, force=True, prune_parents=True, is_quiet=True)]
    engine.images.write_index()
    reclaimed = collect_blobs(engine) + engine.images.downloads.clear() + before - _bytes_kept(engine)
    engine.events.publish("image", "prune", "", reclaimed=str(reclaimed))
    return Pruned(tuple(gone), reclaimed)


def _is_dangling_only(filters: Filters) -> bool:
    values = {value.lower() for value in (filters or {}).get("dangling", ("true",))}
    if not values <= {"1", "0", "true", "false", "t", "f"} or len(values) != 1:
        raise InvalidRequest(f"Invalid filter 'dangling=[{' '.join(sorted(values))}]'", hint="pyke image prune --all")
    return values <= {"1", "true", "t"}


def _bytes_kept(engine: Engine) -> int:
    layers = {layer.chain_id: layer.size for image in engine.state.images.all() for layer in image.layers}
    return sum(layers.values())


# --- what nobody needs any more ----------------------------------------------------------------------------------------


def collect_removed(engine: Engine) -> None:
    """Let go of images that were removed by force, once the last container that stands on them is gone."""
    for image in engine.state.images.all():
        if image.removed and not users_of(engine, image):
            engine.state.images.delete(image.id)
            _collect_layers(engine, image)


def collect_blobs(engine: Engine) -> int:
    """Delete the blobs of images that are gone, once the index does not name them any more; returns bytes.

    Not before it is on the disk that they are gone: a record that came back after a loss of power would lack its blobs.
    """
    engine.state.sync()
    images = engine.state.images.all()
    needed = {digest for image in images for digest in (image.id, image.manifest, *(layer.blob for layer in image.layers))}
    return engine.images.content.collect(needed | engine.images.layout.digests() | engine.images.blobs.names())


def _collect_layers(engine: Engine, image: Image) -> list[str]:
    chain_ids = [layer.chain_id for layer in image.layers]
    gone: list[str] = []
    for driver in engine.plugins.names("storage"):
        gone = engine.images.layers.collect(chain_ids, driver) or gone
    return gone
