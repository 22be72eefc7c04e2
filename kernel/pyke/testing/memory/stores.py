"""Images, networks and volumes in memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

from pyke.engine.identifiers import new_id
from pyke.errors import (
    Conflict,
    NoSuchImage,
    NoSuchNetwork,
    NoSuchVolume,
    NotInstalled,
    RegistryDenied,
)
from pyke.model import (
    Caller,
    Container,
    Endpoint,
    EndpointSpec,
    Image,
    Network,
    Subnet,
    Volume,
)  # fmt: skip
from pyke.registries import RegistryLogin, RegistryProxies, SearchResult

if TYPE_CHECKING:
    from pyke.testing.memory.engine import MemoryEngine


class MemoryContent:
    def total(self) -> int:
        return 0


class MemoryImages:
    storage_driver = "memory"
    content = MemoryContent()

    def __init__(self) -> None:
        self.records: dict[str, Image] = {}
        self.removed: dict[str, tuple[int, list[Any]]] = {}  # when (ns), and what went, by what was asked for
        self.loaded = b""

    def all(self) -> list[Image]:
        return list(self.records.values())

    def get(self, ref: str) -> Image:
        name = ref if ":" in ref else f"{ref}:latest"
        for each in self.all():
            if ref == each.id or f"docker.io/library/{name}" in each.tags or each.id.startswith(f"sha256:{ref}"):
                return each
        raise NoSuchImage(f"No such image: {name}", hint="pyke images")

    def content_sizes(self, image: Image) -> Mapping[str, int]:
        return {}

    def load(self, stream: BinaryIO, *, caller: Caller) -> Iterator[str]:
        self.loaded = stream.read()
        yield "Loaded image: busybox:latest"
        if self.loaded.endswith(b"broken"):
            raise Conflict("the rest of the archive is broken")

    def import_archive(self, stream: BinaryIO, *, reference: str, message: str, changes: Sequence[str], caller: Caller) -> Image:
        digest = hashlib.sha256(stream.read()).hexdigest()
        image = Image(f"sha256:{digest}", f"sha256:{digest}", (f"docker.io/library/{reference}",), comment=message, os="linux")
        self.records[image.id] = image
        return image

    def save(self, refs: Sequence[str]) -> Iterator[bytes]:
        yield from (self.get(ref).id.encode() for ref in refs)

    def tag(self, ref: str, target: str, *, caller: Caller) -> None:
        image = self.get(ref)
        self.records[image.id] = replace(image, tags=(*image.tags, f"docker.io/library/{target}"))

    def remove(self, ref: str, *, force: bool = False, prune_parents: bool = True, caller: Caller) -> Sequence[Any]:
        image = self.get(ref)
        del self.records[image.id]
        untagged = [SimpleNamespace(kind="untagged", name=tag) for tag in image.tags]
        self.removed[ref] = time.time_ns(), [*untagged, SimpleNamespace(kind="deleted", name=image.id)]
        return self.removed[ref][1]

    def removed_since(self, moment: int, ref: str) -> Sequence[Any]:
        removed, removals = self.removed.get(ref, (0, []))
        return removals if removed >= moment else []

    def pull(self, reference: str, *, platform: str, credentials: Mapping[str, str] | None, caller: Caller) -> Iterator[dict[str, Any]]:
        if not reference.startswith("registry.test/"):
            raise NotInstalled("no registry plugin is installed that serves 'docker.io'", hint="pip install pyke-registry-dockerhub")
        yield {"status": f"Pulling from {reference}", "id": (credentials or {}).get("username", "")}

    def push(self, reference: str, *, credentials: Mapping[str, str] | None, caller: Caller) -> Iterator[dict[str, Any]]:
        yield {"status": f"The push refers to repository [{reference}]", "id": (credentials or {}).get("username", "")}

    def prune(self, filters: Mapping[str, Sequence[str]], *, caller: Caller) -> Any:
        return SimpleNamespace(deleted=(), reclaimed=0)


class MemoryRegistries:
    """A registry that knows one user, and has one image."""

    def proxies(self) -> RegistryProxies:
        return RegistryProxies()

    def login(self, fields: Mapping[str, str], *, caller: Caller) -> RegistryLogin:
        if fields.get("password") != "secret":
            raise RegistryDenied("unauthorized: incorrect username or password", hint="pyke login registry.test")
        return RegistryLogin()

    def search(
        self, term: str, limit: int, filters: Mapping[str, Sequence[str]], *, credentials: Mapping[str, str] | None, caller: Caller
    ) -> Sequence[SearchResult]:
        return [SearchResult(f"{term}{number}", "an image", stars=number, official=number == limit) for number in range(1, limit + 1)][:3]

    def describe(self, name: str, *, credentials: Mapping[str, str] | None, caller: Caller) -> Any:
        content = b'{"schemaVersion":2}'
        return SimpleNamespace(reference=name, digest="sha256:" + "d" * 64, media_type="application/json", content=content, platforms=())


class MemoryNetworks:
    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine
        self.records = {
            name: Network(new_id(), name, driver, 1_700_000_000 * 10**9, subnets, builtin=True)
            for name, driver, subnets in (
                ("bridge", "bridge", (Subnet("172.17.0.0/16", "172.17.0.1"),)),
                ("host", "host", ()),
                ("none", "none", ()),
            )
        }
        self.connected: list[tuple[str, str, EndpointSpec]] = []

    def all(self) -> list[Network]:
        return list(self.records.values())

    def get(self, ref: str) -> Network:
        for each in self.all():
            if ref == each.name or (ref and each.id.startswith(ref)):
                return each
        raise NoSuchNetwork(f"network {ref} not found", hint="pyke network ls")

    def create(self, network: Network, *, caller: Caller) -> Network:
        if network.name in self.records:
            raise Conflict(f"network with name {network.name} already exists")
        made = replace(network, id=new_id(), created=time.time_ns())
        self.records[made.name] = made
        return made

    def remove(self, ref: str, *, caller: Caller) -> None:
        del self.records[self.get(ref).name]

    def prune(self, filters: Mapping[str, Sequence[str]], *, caller: Caller) -> Any:
        gone = [each.name for each in self.all() if not each.builtin]
        for name in gone:
            del self.records[name]
        return SimpleNamespace(deleted=tuple(gone), reclaimed=0)

    def connect(self, network_ref: str, container_ref: str, endpoint: EndpointSpec, *, caller: Caller) -> None:
        self.connected.append((self.get(network_ref).name, self.engine.containers.get(container_ref).name, endpoint))

    def disconnect(self, network_ref: str, container_ref: str, *, force: bool, caller: Caller) -> None:
        self.connected = [each for each in self.connected if each[:2] != (network_ref, container_ref)]

    def endpoints(self, network: Network) -> list[tuple[Container, Endpoint]]:
        return [(each, place) for each in self.engine.containers.all() for place in each.endpoints if place.network == network.id]


class MemoryVolumes:
    def __init__(self) -> None:
        self.records: dict[str, Volume] = {}
        self.pruned: Mapping[str, Sequence[str]] = {}

    def size(self, volume: Volume) -> int:
        return 0

    def all(self) -> list[Volume]:
        return list(self.records.values())

    def get(self, name: str) -> Volume:
        if name not in self.records:
            raise NoSuchVolume(f"get {name}: no such volume", hint="pyke volume ls")
        return self.records[name]

    def create(self, volume: Volume, *, caller: Caller) -> Volume:
        made = replace(volume, name=volume.name or new_id(), created=time.time_ns(), mountpoint="/nowhere")
        return self.records.setdefault(made.name, made)

    def remove(self, name: str, *, force: bool = False, caller: Caller) -> None:
        del self.records[self.get(name).name]

    def prune(self, filters: Mapping[str, Sequence[str]], *, caller: Caller) -> Any:
        self.pruned = filters
        gone = tuple(self.records)
        self.records.clear()
        return SimpleNamespace(deleted=gone, reclaimed=5)
