"""An engine that lives in memory: the façade of `pyke.http.facade`, honestly kept, without processes or disks."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from pyke.engine.events import Events
from pyke.engine.identifiers import new_id
from pyke.engine.state import State
from pyke.engine.waits import Exit, Wait, Waits
from pyke.errors import (
    Conflict,
    NameInUse,
    NoSuchContainer,
    NoSuchExec,
    NoSuchImage,
    NoSuchNetwork,
    NoSuchVolume,
    NotInstalled,
    NotModified,
)
from pyke.http.server import Server
from pyke.model import (
    Caller, Container, ContainerSpec, Endpoint, EndpointSpec, Exec, ExecSpec, HistoryEntry, Image, ImageConfig, Layer, Network, RouteReply,
    RouteRequest, Subnet, Volume,
)  # fmt: skip
from pyke.paths import Layout

PRINTED = ((1_700_000_000_123_456_789, "stdout", b"hello\n"), (1_700_000_001_000_000_000, "stderr", b"oops\n"))


@dataclass(frozen=True)
class Record:
    time: int
    stream: str
    data: bytes
    extra: Mapping[str, str] = field(default_factory=dict)


class Logs:
    """Records, and with `follow` a wait for the end of the container or for `close`."""

    def __init__(self, records: Sequence[Record], end: threading.Event | None) -> None:
        self._records, self._end, self.is_closed = records, end, False

    def __iter__(self) -> Iterator[Record]:
        yield from self._records
        if self._end is not None:
            self._end.wait()

    def close(self) -> None:
        self.is_closed = True
        if self._end is not None:
            self._end.set()


class MemoryContainers:
    def __init__(self, engine: MemoryEngine) -> None:
        self.engine, self.waits = engine, Waits()
        self.records: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}
        self.attached: dict[str, socket.socket] = {}
        self.specs: list[ContainerSpec] = []
        self.callers: list[Caller] = []
        self.streams: list[Logs] = []
        self.sizes: list[tuple[str, int, int]] = []

    def create(self, spec: ContainerSpec, *, name: str = "", caller: Caller) -> Any:
        image = self.engine.images.get(spec.image)
        if any(each.name == name for each in self.records.values()):
            raise NameInUse(f'Conflict. The container name "/{name}" is already in use', hint=f"pyke rm -f {name}")
        id = new_id()
        argv = (spec.entrypoint or image.config.entrypoint or ()) + (spec.command or image.config.command or ())
        network = self.engine.networks.get("bridge" if spec.network_mode == "default" else spec.network_mode)
        endpoint = Endpoint(new_id(), network.id, network.name, id, "172.17.0.2/16", gateway="172.17.0.1", mac="02:42:ac:11:00:02")
        self.records[id] = Container(
            id,
            name or f"name_{id[:6]}",
            time.time_ns(),
            spec,
            image.id,
            spec.image,
            image.config,
            argv,
            "memory",
            id[:12],
            endpoints=(endpoint,),
        )
        self.specs.append(spec)
        self.callers.append(caller)
        self.engine.events.publish("container", "create", id, image=spec.image, name=name)
        return SimpleNamespace(id=id, warnings=("a warning",) if name == "warned" else ())

    def get(self, ref: str) -> Container:
        for each in self.records.values():
            if ref in (each.id, each.name, f"/{each.name}") or (ref and each.id.startswith(ref)):
                return each
        raise NoSuchContainer(f"No such container: {ref}", hint="pyke ps -a")

    def all(self) -> list[Container]:
        return sorted(self.records.values(), key=lambda each: each.created, reverse=True)

    def change(self, container: Container, **changes: Any) -> None:
        self.records[container.id] = replace(container, state=replace(container.state, **changes))

    def start(self, ref: str, *, caller: Caller) -> None:
        container = self.get(ref)
        if container.state.is_running:
            raise NotModified(f"container {ref} is already started")
        self.change(container, status="running", pid=4711, started_at=time.time_ns())
        self.engine.events.publish("container", "start", container.id, image=container.image_name, name=container.name)
        client = self.attached.pop(container.id, None)
        if client is not None:
            data = b" ".join(word.encode() for word in container.argv) + b"\n"
            client.sendall(data if container.spec.tty else bytes((1, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)
            client.close()
        if container.argv[:1] == ("true",) or container.argv[:1] == ("echo",):
            self.end(container.id, 0)

    def end(self, ref: str, code: int) -> None:
        container = self.get(ref)
        self.change(container, status="exited", exit_code=code, pid=0, finished_at=time.time_ns())
        self.engine.events.publish("container", "die", container.id, image=container.image_name, name=container.name, exitCode=str(code))
        self.waits.exited(container.id, Exit(code))
        if container.spec.auto_remove:
            self.remove(container.id, caller=Caller(0, 0, 0))

    def stop(self, ref: str, *, timeout: int | None = None, signal: str = "", caller: Caller) -> None:
        if not self.get(ref).state.is_running:
            raise NotModified(f"container {ref} is already stopped")
        self.end(ref, 143)

    def kill(self, ref: str, *, signal: str = "KILL", caller: Caller) -> None:
        container = self.get(ref)
        if not container.state.is_running:
            raise Conflict(f"Container {container.id} is not running")
        self.end(ref, 137)

    def restart(self, ref: str, *, timeout: int | None = None, signal: str = "", caller: Caller) -> None:
        self.change(self.get(ref), status="running")

    def pause(self, ref: str, *, caller: Caller) -> None:
        self.change(self.get(ref), status="paused")

    def unpause(self, ref: str, *, caller: Caller) -> None:
        self.change(self.get(ref), status="running")

    def rename(self, ref: str, name: str, *, caller: Caller) -> None:
        container = self.get(ref)
        self.records[container.id] = replace(container, name=name)

    def remove(self, ref: str, *, force: bool = False, volumes: bool = False, caller: Caller) -> None:
        container = self.get(ref)
        if container.state.is_running and not force:
            raise Conflict(f"You cannot remove a running container {container.id}", hint=f"pyke rm -f {container.name}")
        del self.records[container.id]
        self.waits.removed(container.id, Exit(container.state.exit_code))

    def wait(self, ref: str, condition: str = "not-running") -> Wait:
        container = self.get(ref)
        wait = self.waits.register(container.id, condition)
        if condition == "not-running" and not container.state.is_running:
            wait.settle(Exit(container.state.exit_code))
        return wait

    def attach(
        self, ref: str, client: socket.socket, *, early: bytes, streams: set[str], framed: bool, detach_keys: str, logs: bool = False
    ) -> None:
        """Created: kept until the start. Running: a loud echo of what was early, then of what comes."""
        container = self.get(ref)
        mine = client.dup()
        if not container.state.is_running:
            self.attached[container.id] = mine
            return
        threading.Thread(target=echo, args=(mine, early), daemon=True).start()

    def resize(self, ref: str, rows: int, columns: int) -> None:
        self.sizes.append((self.get(ref).id, rows, columns))

    def logs(
        self,
        ref: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        tail: int | None = None,
        since: int = 0,
        until: int = 0,
    ) -> Logs:
        wanted = {name for name, is_wanted in (("stdout", stdout), ("stderr", stderr)) if is_wanted}
        records = [Record(*each) for each in PRINTED if each[1] in wanted and each[0] >= since]
        stream = Logs(records[-tail:] if tail else [] if tail == 0 else records, threading.Event() if follow else None)
        self.streams.append(stream)
        return stream

    def size(self, container: Container) -> tuple[int, int]:
        return 10, 2010

    def prune(self, filters: Mapping[str, Sequence[str]], *, caller: Caller) -> Any:
        gone = [each.id for each in self.all() if not each.state.is_running]
        for id in gone:
            del self.records[id]
        return SimpleNamespace(deleted=tuple(gone), reclaimed=10 * len(gone))

    def top(self, ref: str, ps_args: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return ["PID", "CMD"], [[str(self.get(ref).state.pid), "sleep 300"]]

    def exec_create(self, ref: str, spec: ExecSpec, *, caller: Caller) -> str:
        container = self.get(ref)
        if not container.state.is_running:
            raise Conflict(f"Container {container.id} is not running")
        made = Exec(new_id(), container.id, spec)
        self.execs[made.id] = made
        return made.id

    def exec_get(self, id: str) -> Exec:
        if id not in self.execs:
            raise NoSuchExec(f"No such exec instance: {id}")
        return self.execs[id]

    def exec_start(
        self, id: str, client: socket.socket | None, *, early: bytes = b"", framed: bool = True, detach_keys: str = "", caller: Caller
    ) -> None:
        spec = self.exec_get(id).spec
        if spec.command[0] == "/nosuch":
            raise Conflict('exec: "/nosuch": no such file or directory')
        self.execs[id] = replace(self.execs[id], exit_code=0)
        if client is not None:
            data = " ".join(spec.command[1:]).encode() + b"\n"
            client.sendall(bytes((1, 0, 0, 0)) + len(data).to_bytes(4, "big") + data if framed else data)

    def exec_resize(self, id: str, rows: int, columns: int) -> None:
        self.sizes.append((self.exec_get(id).id, rows, columns))


def echo(client: socket.socket, early: bytes) -> None:
    with client:
        data = early
        while data or (data := client.recv(4096)):
            client.sendall(data.upper())
            data = b""


class MemoryImages:
    storage_driver = "memory"

    def __init__(self) -> None:
        self.records: dict[str, Image] = {}
        self.loaded = b""

    def all(self) -> list[Image]:
        return list(self.records.values())

    def get(self, ref: str) -> Image:
        name = ref if ":" in ref else f"{ref}:latest"
        for each in self.all():
            if ref == each.id or f"docker.io/library/{name}" in each.tags or each.id.startswith(f"sha256:{ref}"):
                return each
        raise NoSuchImage(f"No such image: {name}", hint="pyke images")

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
        removed = [SimpleNamespace(kind="untagged", name=tag) for tag in image.tags]
        return [*removed, SimpleNamespace(kind="deleted", name=image.id)]

    def pull(self, reference: str, *, platform: str, credentials: Mapping[str, str] | None, caller: Caller) -> Iterator[dict[str, Any]]:
        if not reference.startswith("registry.test/"):
            raise NotInstalled("no registry plugin is installed that serves 'docker.io'", hint="pip install pyke-registry-dockerhub")
        yield {"status": f"Pulling from {reference}", "id": (credentials or {}).get("username", "")}

    def prune(self, filters: Mapping[str, Sequence[str]], *, caller: Caller) -> Any:
        return SimpleNamespace(deleted=(), reclaimed=0)


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


class MemoryPlugins:
    def report(self) -> Sequence[Any]:
        drivers = {"network": ("bridge", "none"), "storage": ("memory",), "route": ("greet", "crash", "liar")}
        broken = SimpleNamespace(name="bad", version="1", drivers={}, problem="Traceback: no")
        return [SimpleNamespace(name="good", version="1.0", drivers=drivers, problem=""), broken]

    def target(self, family: str, name: str) -> Callable[[RouteRequest], Any]:
        routes: dict[str, Callable[[RouteRequest], Any]] = {"greet": _greet, "crash": _crash, "liar": lambda request: {"status": 200}}
        if name not in routes:
            raise NotInstalled(f"no API route '{name}' is installed", hint="pyke plugin ls")
        return routes[name]


def _greet(request: RouteRequest) -> RouteReply:
    return RouteReply(json.dumps([request.method, request.path, dict(request.query), request.body.decode()]).encode(), 201)


def _crash(request: RouteRequest) -> RouteReply:
    raise ValueError("a secret of the inside")


class MemoryEngine:
    def __init__(self, root: Path) -> None:
        self.layout = Layout(str(root))
        self.state = State(str(root / "state.db"))
        self.state.set_fact("engine-id", new_id())
        self.events = Events(self.state)
        self.images = MemoryImages()
        self.networks = MemoryNetworks(self)
        self.volumes = MemoryVolumes()
        self.containers = MemoryContainers(self)
        self.plugins = MemoryPlugins()


def busybox() -> Image:
    digest = "sha256:" + hashlib.sha256(b"busybox").hexdigest()
    config = ImageConfig(("PATH=/bin",), None, ("sh",), labels={"from": "image"}, exposed_ports=("80/tcp",), volumes=("/data",))
    history = (HistoryEntry("2026-01-01T00:00:00Z", "ADD file"), HistoryEntry("2026-01-02T00:00:00Z", 'CMD ["sh"]', empty_layer=True))
    return Image(
        digest, digest, ("docker.io/library/busybox:latest",), (), "2026-01-02T00:00:00Z", "amd64", "", "linux", "me", "a comment", config,
        (Layer(digest, digest, digest, 1234),), history, size=1234,
    )  # fmt: skip


class Client:
    """A client of one socket; each request has a connection of its own unless told otherwise."""

    def __init__(self, path: str) -> None:
        self.path = path

    def socket(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(self.path)
        return client

    def raw(self, data: bytes) -> bytes:
        """Send these bytes, close the writing half, and return all that comes back."""
        with self.socket() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("pyke")
        connection.sock = self.socket()
        return connection

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, the body (parsed, where it is JSON on one line), headers by lower-case name."""
        connection = self.connection()
        sent = json.dumps(body) if isinstance(body, (dict, list)) else body
        connection.request(method, path, sent, dict(headers or {}))
        response = connection.getresponse()
        found = response.read()
        connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        is_json = names.get("content-type") == "application/json" and found.count(b"\n") == 1
        return response.status, json.loads(found) if is_json else found, names

    def get(self, path: str) -> Any:
        status, body, _ = self.request("GET", path)
        assert status == 200, body
        return body

    def post(self, path: str, body: Any = None) -> Any:
        status, found, _ = self.request("POST", path, body)
        assert status < 300, found
        return found

    def create(self, **config: Any) -> str:
        name = config.pop("name", "")
        return str(self.post(f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sleep", "300"], **config})["Id"])


@pytest.fixture
def root() -> Iterator[Path]:
    found = tempfile.mkdtemp(prefix="pyke-http-")
    yield Path(found)
    shutil.rmtree(found)


@pytest.fixture
def engine(root: Path) -> Iterator[MemoryEngine]:
    engine = MemoryEngine(root)
    image = busybox()
    engine.images.records[image.id] = image
    yield engine
    engine.state.close()


@pytest.fixture
def server(engine: MemoryEngine) -> Iterator[Server]:
    server = Server(engine)
    server.start()
    yield server
    server.stop(grace=2)


@pytest.fixture
def client(server: Server, engine: MemoryEngine) -> Client:
    return Client(engine.layout.socket)
