"""A container gets another name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.identifiers import check_name
from pyke.errors import InvalidRequest
from pyke.model import Caller, Container

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def rename(engine: Engine, container: Container, name: str, *, caller: Caller) -> None:
    """Give a container another name, running or not."""
    engine.authorize(caller, "container.rename", container.id, container.spec)
    name = name.removeprefix("/")
    if not name:
        raise InvalidRequest("Neither old nor new names may be empty", hint="pyke rename OLD NEW")
    if name == container.name:
        raise InvalidRequest("Renaming a container with the same name as its current name", hint="pyke rename OLD NEW")
    check_name(name)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        engine.containers.claim_name(container.id, name)
        renamed = replace(container, name=name)
        with engine.state.transaction():
            engine.containers.put(renamed)
            engine.events.publish("container", "rename", container.id, engine.attributes(renamed), oldName=f"/{container.name}")
        engine.containers.release_name(container.name)
        engine.networks.renamed(renamed)
