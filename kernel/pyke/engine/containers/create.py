"""A container comes into being: everything is checked, then recorded, then made."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.borders import host_errors
from pyke.engine.containers import abilities, copy_up, mounts
from pyke.engine.containers.signals import signal_number
from pyke.engine.identifiers import check_id, check_name, new_id
from pyke.errors import Conflict, InvalidRequest
from pyke.model import Caller, Container, ContainerSpec, Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def create(engine: Engine, spec: ContainerSpec, *, name: str, id: str, caller: Caller) -> tuple[Container, tuple[str, ...]]:
    """Make a container and return it with warnings. On failure nothing stays behind."""
    engine.ready()
    if name:
        check_name(name.removeprefix("/"))
    spec = engine.hooks.container_creating(spec, caller)
    limits, warnings = abilities.kept_here(spec.limits)
    spec = replace(spec, limits=limits)
    engine.authorize(caller, "container.create", name, spec)
    image = engine.images.named(spec.image)
    id = _fresh_id(engine, id)
    name = engine.containers.claim_name(id, name.removeprefix("/"))
    try:
        with host_errors(f"container {name} cannot be created", engine.layout.root):
            container = _make(engine, image, _plan(engine, spec, image, id, name))
    except BaseException:
        engine.containers.release_name(name)
        raise
    engine.hooks.container_created(container)
    return container, warnings


def _fresh_id(engine: Engine, wanted: str) -> str:
    if wanted and engine.containers.has(check_id(wanted)):
        raise Conflict(f"there is a container {wanted} already", hint="pyke ps -a --no-trunc")
    return wanted or new_id()


def _plan(engine: Engine, spec: ContainerSpec, image: Image, id: str, name: str) -> Container:
    """Decide all that can be decided before anything is touched."""
    argv = resolve_argv(spec, image)
    spec = _normalised(engine, spec)
    if spec.stop_signal:
        signal_number(spec.stop_signal)
    engine.networks.resolve(spec)  # unknown networks and impossible wishes are told now, not at the start
    return Container(
        id=id,
        name=name,
        created=time.time_ns(),
        spec=spec,
        image_id=image.id,
        image_name=spec.image,
        image_config=image.config,
        argv=argv,
        storage_driver=engine.images.storage_driver,
        hostname=spec.hostname or _default_hostname(engine, spec, id),
        log_path=os.path.join(engine.layout.container_directory(id), f"{id}-json.log") if spec.log.driver != "none" else "",
    )


def _normalised(engine: Engine, spec: ContainerSpec) -> ContainerSpec:
    """Containers that the specification names are named by ID from here on: a name may come to mean another."""
    shared = replace(
        spec.namespaces,
        pid=_by_id(engine, spec.namespaces.pid),
        ipc=_by_id(engine, spec.namespaces.ipc),
    )
    log = replace(spec.log, driver=spec.log.driver or engine.settings.logs.driver)
    links = engine.containers.links.resolved(spec)
    return replace(spec, network_mode=_by_id(engine, spec.network_mode), namespaces=shared, log=log, links=links)


def _by_id(engine: Engine, mode: str) -> str:
    kind, colon, ref = mode.partition(":")
    if kind != "container" or not colon:
        return mode
    return f"container:{engine.containers.get(ref).id}"


def resolve_argv(spec: ContainerSpec, image: Image) -> tuple[str, ...]:
    """Entrypoint and command, where a new entrypoint discards the image's command, as for Docker."""
    if spec.entrypoint is None:
        entrypoint = image.config.entrypoint or ()
        command = spec.command if spec.command else image.config.command
    else:
        entrypoint = tuple(word for word in spec.entrypoint if word)
        command = spec.command
    argv = entrypoint + (command or ())
    if not argv:
        raise InvalidRequest("No command specified", hint=f"pyke run {spec.image} COMMAND")
    return argv


def _default_hostname(engine: Engine, spec: ContainerSpec, id: str) -> str:
    if spec.network_mode.startswith("container:"):
        return engine.containers.get(spec.network_mode.removeprefix("container:")).hostname
    if spec.namespaces.uts == "host" or engine.networks.shares_host_namespace(spec):
        return os.uname().nodename
    return id[:12]


def _make(engine: Engine, image: Image, container: Container) -> Container:
    """Make the container's parts, in an order in which each can be undone."""
    layers = [layer.chain_id for layer in image.layers]
    directory = engine.layout.container_directory(container.id)
    with engine.images.in_use(image), engine.state.intent("container.create", container.id), contextlib.ExitStack() as undo:
        undo.callback(engine.plugins.call, "storage", container.storage_driver, "remove", container.id)
        engine.plugins.call("storage", container.storage_driver, "prepare", container.id, layers)
        undo.callback(_remove_directory, directory)
        os.makedirs(directory, mode=0o710)
        undo.callback(engine.volumes.release, container.id)
        container = replace(container, mounts=mounts.resolve(engine, container), endpoints=engine.networks.planned(container))
        copy_up.fill(engine, container)
        with engine.state.transaction():
            engine.containers.put(container)
            engine.events.publish("container", "create", container.id, engine.attributes(container))
        undo.pop_all()
    return container


def _remove_directory(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)
