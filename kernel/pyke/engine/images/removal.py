"""`rmi` and `image prune`: names go, then images, then what only they needed. The rules and words are Docker's.

An image's layers and blobs are deleted when no other image has them. An image that is removed by force while stopped containers stand on
its layers loses its names at once; its record stays, marked as removed, until those containers are gone.

All records of a removal change in one transaction, and what only they needed is deleted after it: an engine that dies meanwhile has removed
all of it or nothing, and the next one deletes what is left (`Images.recover`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyke.engine.containers.remove import Pruned
from pyke.engine.filters import Filters, moment, prune_filter
from pyke.engine.images.references import Digest, familiar, id_prefix, parse, parse_tagged
from pyke.engine.images.removed import Removal
from pyke.errors import Conflict, InvalidRequest
from pyke.model import Container, Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why an image may not be deleted; a hard one stands against force, too."""

    reason: str
    is_hard: bool
    is_used: bool = False  # by a container


def remove(engine: Engine, image: Image, ref: str, *, force: bool, prune_parents: bool) -> list[Removal]:
    """Remove what `ref`, which means `image`, names. Holds `images.lock`."""
    names_image = bool(id_prefix(ref)) and Digest(image.id).hex.startswith(id_prefix(ref)) and not _name(image, ref)
    with engine.state.transaction():
        removals = [] if names_image else _untag(engine, image, ref, force)
        image = engine.images.get(image.id)
        is_to_go = names_image or not (image.tags or image.repo_digests)
        obstacles = _obstacles(engine, image, force, names_matter=names_image and len(image.tags) > 1) if is_to_go else []
        if is_to_go and not obstacles:
            removals += _delete(engine, image, prune_parents=prune_parents)
        if removals:
            engine.images.removed.note(ref, removals)
    if removals:
        _let_go(engine, removals)
    if names_image or not any(each.is_used for each in obstacles):  # else it has lost its name, and lives on for the sake of its containers
        _refuse(engine, image, obstacles)
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


def _delete(engine: Engine, image: Image, *, prune_parents: bool) -> list[Removal]:
    """Delete the record of an image to which there are no obstacles, then those of its parents that nothing else needs."""
    removals = [_take_name(engine, image, name) for name in image.tags]
    removals += [Removal("untagged", familiar(each)) for each in image.repo_digests]
    if users_of(engine, image):
        engine.state.images.put(replace(engine.images.get(image.id), removed=True, tags=(), repo_digests=()))
    else:
        engine.state.images.delete(image.id)
    engine.events.publish("image", "delete", image.id, image.config.labels, name=image.id)
    removals.append(Removal("deleted", image.id))
    unneeded = engine.images.layers.unneeded([layer.chain_id for layer in image.layers])
    removals += [Removal("deleted", chain_id, is_layer=True) for chain_id in unneeded]
    parent = engine.state.images.get(image.parent) if image.parent else None
    if prune_parents and parent is not None and not parent.tags and not _obstacles(engine, parent, False, names_matter=True):
        removals += _delete(engine, parent, prune_parents=True)
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
    gone: list[Removal] = []
    for image in engine.images.all():
        is_candidate = image.id not in used and (all_unused or not image.tags)
        created = moment(image.created) if image.created else 0
        if is_candidate and wanted(image.config.labels, created) and not _obstacles(engine, image, True, names_matter=False):
            with engine.state.transaction():
                gone += _delete(engine, image, prune_parents=True)
    reclaimed = _let_go(engine, gone) + engine.images.downloads.clear() + before - _bytes_kept(engine)
    engine.events.publish("image", "prune", "", reclaimed=str(reclaimed))
    return Pruned(tuple(each.name for each in gone), reclaimed)


def _is_dangling_only(filters: Filters) -> bool:
    values = {value.lower() for value in (filters or {}).get("dangling", ("true",))}
    if not values <= {"1", "0", "true", "false", "t", "f"} or len(values) != 1:
        raise InvalidRequest(f"Invalid filter 'dangling=[{' '.join(sorted(values))}]'", hint="pyke image prune --all")
    return values <= {"1", "true", "t"}


def _bytes_kept(engine: Engine) -> int:
    layers = {layer.chain_id: layer.size for image in engine.state.images.all() for layer in image.layers}
    return sum(layers.values())


# --- what nobody needs any more ----------------------------------------------------------------------------------------


def _let_go(engine: Engine, removals: Sequence[Removal]) -> int:
    """Delete what only those needed that went; returns the bytes of blobs."""
    engine.images.write_index()
    _collect_layers(engine, [each.name for each in reversed(removals) if each.is_layer])
    return collect_blobs(engine)


def collect_removed(engine: Engine) -> None:
    """Let go of images that were removed by force, once the last container that stands on them is gone."""
    for image in engine.state.images.all():
        if image.removed and not users_of(engine, image):
            engine.state.images.delete(image.id)
            _collect_layers(engine, [layer.chain_id for layer in image.layers])


def collect_blobs(engine: Engine) -> int:
    """Delete the blobs of images that are gone, once the index does not name them any more; returns bytes.

    Not before it is on the disk that they are gone: a record that came back after a loss of power would lack its blobs.
    """
    images = engine.state.images.all()
    needed = {digest for image in images for digest in (image.id, image.manifest, *(layer.blob for layer in image.layers))}
    unneeded = engine.images.content.others(needed | engine.images.layout.digests() | engine.images.blobs.names())
    if unneeded:
        engine.state.sync()
    freed = sum(os.stat(path).st_size for path in unneeded)
    for path in unneeded:
        os.unlink(path)
    return freed


def _collect_layers(engine: Engine, chain_ids: Sequence[str]) -> None:
    for driver in engine.plugins.names("storage") if chain_ids else ():
        engine.images.layers.collect(chain_ids, driver)
