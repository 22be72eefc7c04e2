"""Parts of an engine by themselves: its monitors, and its networks with the real drivers on a fake host; and images of services."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyke.engine.engine import Engine
from pyke.engine.identifiers import new_id
from pyke.model import Caller, Container, ContainerSpec, ContainerState, ImageConfig, Network
from pyke.paths import Layout
from pyke.testing import FakeHost, Namespace, debian
from pyke.testing.docker_registry import DockerRegistry, is_installed
from pyke.testing.engine import TestEngine
from pyke.testing.monitors import House
from pyke.testing.services import archives

ROOT = Caller(0, 0, 0)
numbers = itertools.count(1)


class Site:
    """An engine's networks on a fake host; containers are records whose process is a namespace's holder."""

    def __init__(self, host: FakeHost, root: Path) -> None:
        self.host, self.root = host, root
        self.engine = Engine(Layout(str(root)))
        self.networks = self.engine.networks
        self.networks.recover()

    def create(self, name: str, **fields: object) -> Network:
        return self.networks.create(Network("", name, "", **fields), caller=ROOT)  # type: ignore[arg-type]

    def container(self, **fields: object) -> Container:
        """The record of a container that was created."""
        spec = ContainerSpec("busybox", **fields)  # type: ignore[arg-type]
        self.networks.resolve(spec)
        id = new_id()
        name = f"c{next(numbers)}"
        self.engine.containers.claim_name(id, name)
        record = Container(id, name, time.time_ns(), spec, "sha256:" + "0" * 64, "busybox", ImageConfig(), ("true",), "overlay", id[:12])
        return self.engine.containers.put(record)

    def start(self, container: Container) -> tuple[Container, Namespace]:
        """As a start does it: reserve, record, attach, record."""
        namespace = self.host.container()
        container = self.engine.containers.put(replace(container, endpoints=self.networks.reserve(container)))
        endpoints = self.networks.attach(container, namespace.path)
        state = ContainerState(status="running", pid=namespace.pid, started_at=time.time_ns())
        return self.engine.containers.put(replace(container, endpoints=endpoints, state=state)), namespace

    def stop(self, container: Container) -> Container:
        container = self.engine.containers.get(container.id)
        self.networks.detach(container)
        state = replace(container.state, status="exited", pid=0)
        return self.engine.containers.put(replace(container, state=state, endpoints=self.networks.released(container)))

    def now(self, container: Container) -> Container:
        return self.engine.containers.get(container.id)

    def close(self) -> None:
        """Only what was used of the engine: it never took over any containers, for no monitor of theirs would answer."""
        self.networks.close()
        self.engine.plugins.close()
        self.engine.state.close()

    def next_engine(self) -> None:
        """The engine is gone from one moment to the next; another takes over."""
        self.networks.close()  # as the kernel does it for the dead
        self.engine.state.close()
        self.engine = Engine(Layout(str(self.root)))
        self.networks = self.engine.networks
        self.networks.recover()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FakeHost() as host, host.entered():
        site = Site(host, tmp_path)
        yield site
        site.networks.dismantle()
        site.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "root")
    yield house
    house.close()


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's directory with the images of redis, nginx and others below `library/`, to which an engine pushed them."""
    reason = debian.missing() or ("" if is_installed() else "apt-get install docker-registry")
    if reason:
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("services")
    with DockerRegistry(place / "registry") as registry, TestEngine(place / "maker") as maker:
        for name, archive in archives(debian.DebianPackages(place / "packages")):
            (place / "image.tar").write_bytes(archive)
            maker.ok("load", "-i", str(place / "image.tar"))
            repository = f"{registry.host}/library/{name}"
            maker.ok("tag", name, repository)
            maker.ok("push", repository)
    return place / "registry"
