"""A served engine in memory, and a client of it."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyke.http.server import Server
from pyke.testing.memory import MemoryEngine, busybox


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
