"""From the mounts that were asked for to the mounts that a container has: host paths found, volumes made and referenced."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.errors import InvalidRequest
from pyke.model import Container, Mount, MountSpec

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def resolve(engine: Engine, container: Container) -> tuple[Mount, ...]:
    """All mounts of a container, ordered by depth so that none hides another. Makes missing volumes and references all of them."""
    wanted: dict[str, MountSpec] = {}
    for spec in (*_of_image(container), *_anonymous(container), *_inherited(engine, container), *container.spec.mounts):
        wanted[os.path.normpath(spec.target)] = spec
    found = [_resolve(engine, container.id, spec, target) for target, spec in wanted.items()]
    return tuple(sorted(found, key=lambda mount: mount.target.count("/")))


def to_fill(engine: Engine, container: Container) -> list[Mount]:
    """The volumes that take over what the image has in their places, if they are empty (copy_up.py)."""
    own = {os.path.normpath(spec.target) for spec in container.spec.mounts}
    shared = {os.path.normpath(spec.target) for spec in _inherited(engine, container)} - own
    return [mount for mount in container.mounts if mount.kind == "volume" and "nocopy" not in mount.options and mount.target not in shared]


def _of_image(container: Container) -> list[MountSpec]:
    """VOLUME in an image asks for an anonymous volume; a path that leads out of the root is refused before it reaches the host."""
    return [MountSpec("volume", _checked(target)) for target in container.image_config.volumes]


def _anonymous(container: Container) -> list[MountSpec]:
    return [MountSpec("volume", _checked(target)) for target in container.spec.anonymous_volumes]


def _checked(target: str) -> str:
    if not target.startswith("/") or ".." in target.split("/") or os.path.normpath(target) == "/":
        raise InvalidRequest(f"invalid mount target {target!r}: it must be an absolute path below /", hint="pyke run -v NAME:/path IMAGE")
    return target


def _inherited(engine: Engine, container: Container) -> list[MountSpec]:
    """What --volumes-from asks for: "CONTAINER", "CONTAINER:ro" or "CONTAINER:rw"."""
    specs = []
    for ref in container.spec.volumes_from:
        name, _, mode = ref.partition(":")
        for mount in engine.containers.get(name).mounts:
            if mount.kind != "tmpfs":
                source = mount.name if mount.kind == "volume" else mount.source
                specs.append(MountSpec(mount.kind, mount.target, source, read_only=mount.read_only or mode == "ro", options=mount.options))
    return specs


def _resolve(engine: Engine, container: str, spec: MountSpec, target: str) -> Mount:
    if spec.kind == "tmpfs":
        return Mount("tmpfs", target, read_only=spec.read_only, options=spec.options)
    if spec.kind == "bind":
        return _bind(spec, target)
    volume = engine.volumes.obtain(spec, container)
    return Mount(
        "volume", target, source=volume.mountpoint, name=volume.name, driver=volume.driver, read_only=spec.read_only, options=spec.options
    )


def _bind(spec: MountSpec, target: str) -> Mount:
    if not os.path.exists(spec.source):
        if not spec.create_source:
            raise InvalidRequest(
                f'invalid mount config for type "bind": bind source path does not exist: {spec.source}', hint=f"mkdir -p {spec.source}"
            )
        os.makedirs(spec.source, exist_ok=True)
    propagation = spec.options.get("propagation", "rprivate")
    return Mount("bind", target, source=spec.source, read_only=spec.read_only, propagation=propagation, options=spec.options)


def with_sources(engine: Engine, container: Container) -> Container:
    """The container with every volume mounted and its host path filled in: what a start needs."""
    found = tuple(
        replace(mount, source=engine.volumes.mount(mount.name, container.id)) if mount.kind == "volume" else mount
        for mount in container.mounts
    )
    return replace(container, mounts=found)
