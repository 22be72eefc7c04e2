"""Commands inside running containers."""

from __future__ import annotations

import socket

from pyke.errors import Conflict
from pyke.http.exchange import Answer, Hijack, Reply, Request, json_reply
from pyke.http.requests.execs import exec_spec
from pyke.http.router import Routes
from pyke.http.routes.streams import client_told, stream_type, terminal_size
from pyke.http.shapes.exec import inspect as shape


def create(request: Request) -> Reply:
    spec = exec_spec(request.json())
    id = request.engine.containers.exec_create(request["name"], spec, caller=request.caller)
    return json_reply({"Id": id}, 201)


def start(request: Request) -> Answer:
    """Detached, the answer comes when the command runs; attached, the connection becomes the command's."""
    wishes = request.json()
    containers = request.engine.containers
    found = containers.exec_get(request["id"])
    if found.is_running or found.exit_code is not None:
        raise Conflict(f"exec command {found.id} has already been started", hint=f"pyke exec {found.container[:12]} COMMAND")
    container = containers.get(found.container)
    if not container.state.is_running:
        raise Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")
    if wishes.flag("Detach"):
        containers.exec_start(found.id, None, caller=request.caller)
        return Reply(200)
    framed = not found.spec.tty

    def take(client: socket.socket, early: bytes) -> None:
        with client_told(client, framed):
            containers.exec_start(found.id, client, early=early, framed=framed, detach_keys=found.spec.detach_keys, caller=request.caller)

    return Hijack(take, stream_type(request.version, framed))


def inspect(request: Request) -> Reply:
    return json_reply(shape(request.engine.containers.exec_get(request["id"])))


def resize(request: Request) -> Reply:
    rows, columns = terminal_size(request)
    request.engine.containers.exec_resize(request["id"], rows, columns)
    return Reply(200)


ROUTES: Routes = {
    ("POST", "/containers/{name}/exec"): create,
    ("POST", "/exec/{id}/start"): start,
    ("POST", "/exec/{id}/resize"): resize,
    ("GET", "/exec/{id}/json"): inspect,
}
