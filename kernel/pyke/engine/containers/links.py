"""Links, as there were before networks had names: a container on the default network knows others by an alias, from its hosts file and
from its environment.

A specification has them as "ID:ALIAS". On a network of the user's a link is a name that the name server answers (engine/networks).
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyke.engine.networks.ports import exposed_ports
from pyke.errors import Conflict, NoSuchContainer
from pyke.model import Caller, Container, ContainerSpec

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

NOBODYS = ("HOME", "PATH")  # variables that are not told to others


@dataclass(frozen=True, slots=True)
class Link:
    """Another container under an alias; `address` is "" while it does not run."""

    other: Container
    alias: str
    address: str


class Links:
    """All links of an engine's containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def resolved(self, spec: ContainerSpec) -> tuple[str, ...]:
        """The links of a specification by ID: a name may come to mean another container. `NoSuchContainer`."""
        if not _has_links(spec):
            return spec.links
        return tuple(f"{self._linked(name).id}:{alias}" for name, alias in map(_parts, spec.links))

    def of(self, container: Container) -> list[Link]:
        """The links to containers that there still are."""
        return [self._link(name, alias) for name, alias in _wanted(container.spec) if self._engine.containers.has(name)]

    def shown(self, container: Container) -> list[str]:
        """As `inspect` shows them: "/db:/web/store"."""
        if not _has_links(container.spec):
            return list(container.spec.links)
        return [f"/{link.other.name}:/{container.name}/{link.alias}" for link in self.of(container)]

    def aliases(self) -> dict[str, list[str]]:
        """The names that containers have because others link to them, by ID: "/web/store"."""
        found: dict[str, list[str]] = {}
        for container in self._engine.containers.all():
            for link in self.of(container):
                found.setdefault(link.other.id, []).append(f"/{container.name}/{link.alias}")
        return found

    def hosts(self, container: Container) -> list[str]:
        """Lines for the hosts file. `Conflict` where one of those that are linked does not run."""
        lines = []
        for link in (self._link(name, alias) for name, alias in _wanted(container.spec)):
            other = link.other
            if not link.address:
                what = f"/{other.name} AS /{container.name}/{link.alias}"
                raise Conflict(f"Cannot link to a non running container: {what}", hint=f"pyke start {other.name}")
            lines.append(f"{link.address}\t{' '.join(dict.fromkeys((link.alias, other.short_id, other.name)))}")
        return lines

    def variables(self, container: Container) -> list[str]:
        """What the environment tells of those that run: their ports, and what is in their own."""
        return [line for link in self.of(container) if link.address for line in _variables(container, link)]

    def remove(self, ref: str, alias: str, *, caller: Caller) -> None:
        """Let a container know another no longer by this alias, from its next start on."""
        container = self._engine.containers.get(ref)
        self._engine.authorize(caller, "container.unlink", container.id, container.spec)
        with self._engine.locks.of("container", container.id):
            container = self._engine.containers.get(ref)
            if alias not in (known for _, known in _wanted(container.spec)):
                raise NoSuchContainer(f"No such container: {ref}/{alias}", hint=f"pyke inspect -f '{{{{.HostConfig.Links}}}}' {ref}")
            kept = tuple(link for link in container.spec.links if _parts(link)[1] != alias)
            self._engine.containers.put(replace(container, spec=replace(container.spec, links=kept)))

    def _link(self, name: str, alias: str) -> Link:
        other = self._linked(name)
        return Link(other, alias, _address(other))

    def _linked(self, name: str) -> Container:
        try:
            return self._engine.containers.get(name)
        except NoSuchContainer as error:
            raise NoSuchContainer(f"could not get container for {name}: {error.message}", hint=error.hint) from error


def _has_links(spec: ContainerSpec) -> bool:
    return bool(spec.links) and spec.network_mode in ("", "default", "bridge")


def _wanted(spec: ContainerSpec) -> list[tuple[str, str]]:
    """Whom a container on the default network wants to know, and by what alias."""
    return list(map(_parts, spec.links)) if _has_links(spec) else []


def _parts(link: str) -> tuple[str, str]:
    """ "/db:/web/store" or "db" as name and alias."""
    name, _, alias = link.strip("/").partition(":")
    return name, posixpath.basename(alias) or name


def _address(container: Container) -> str:
    return next((each.ipv4.partition("/")[0] for each in container.endpoints if each.network_name == "bridge" and each.ipv4), "")


def _variables(container: Container, link: Link) -> Iterator[str]:
    prefix = link.alias.upper().replace("-", "_")
    declared = (*link.other.image_config.exposed_ports, *link.other.spec.exposed_ports)
    ports = sorted(exposed_ports(declared), key=lambda port: (port[0], port[1] != "tcp"))
    if ports:
        number, protocol = ports[0]
        yield f"{prefix}_PORT={protocol}://{link.address}:{number}"
    for first, last, protocol in _ranges(ports):
        name = f"{prefix}_PORT_{first}_{protocol.upper()}"
        yield f"{name}_START={protocol}://{link.address}:{first}"
        yield f"{name}_ADDR={link.address}"
        yield f"{name}_PROTO={protocol}"
        yield f"{name}_PORT_START={first}"
        yield f"{name}_END={protocol}://{link.address}:{last}"
        yield f"{name}_PORT_END={last}"
    for number, protocol in ports:
        name = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{name}={protocol}://{link.address}:{number}"
        yield f"{name}_ADDR={link.address}"
        yield f"{name}_PORT={number}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{container.name}/{link.alias}"
    told = (*link.other.image_config.environment, *link.other.spec.environment)
    yield from (f"{prefix}_ENV_{line}" for line in told if "=" in line and line.partition("=")[0] not in NOBODYS)


def _ranges(ports: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
    """Ports that follow each other: the first, the last, the protocol."""
    numbered = enumerate(sorted(ports, key=lambda port: (port[1], port[0])))
    for (_, protocol), group in itertools.groupby(numbered, key=lambda each: (each[1][0] - each[0], each[1][1])):
        numbers = [number for _, (number, _) in group]
        if len(numbers) > 1:
            yield numbers[0], numbers[-1], protocol
