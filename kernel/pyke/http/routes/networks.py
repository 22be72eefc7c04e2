"""Networks: listing, making, connecting, deleting."""

from __future__ import annotations

from pyke.errors import InvalidRequest
from pyke.http import filters
from pyke.http.exchange import NO_CONTENT, Reply, Request, json_reply
from pyke.http.requests.networking import endpoint
from pyke.http.requests.networks import network as requested
from pyke.http.router import Routes
from pyke.http.shapes.network import network as shape


def list_networks(request: Request) -> Reply:
    found = filters.networks(request.engine, request.query.filters())
    return json_reply([shape(each, None, request.version) for each in found])


def inspect(request: Request) -> Reply:
    found = request.engine.networks.get(request["id"])
    return json_reply(shape(found, request.engine.networks.endpoints(found), request.version))


def create(request: Request) -> Reply:
    made = request.engine.networks.create(requested(request.json()), caller=request.caller)
    return json_reply({"Id": made.id, "Warning": ""}, 201)


def remove(request: Request) -> Reply:
    request.engine.networks.remove(request["id"], caller=request.caller)
    return NO_CONTENT


def connect(request: Request) -> Reply:
    fields = request.json()
    container = _container(fields.text("Container"))
    wish = endpoint(request["id"], fields.object("EndpointConfig").raw, "EndpointConfig")
    request.engine.networks.connect(request["id"], container, wish, caller=request.caller)
    return Reply(200)


def disconnect(request: Request) -> Reply:
    fields = request.json()
    container = _container(fields.text("Container"))
    request.engine.networks.disconnect(request["id"], container, force=fields.flag("Force"), caller=request.caller)
    return Reply(200)


def _container(name: str) -> str:
    if not name:
        raise InvalidRequest("Container must be given", hint="pyke network connect NETWORK CONTAINER")
    return name


def prune(request: Request) -> Reply:
    pruned = request.engine.networks.prune(request.query.filters(), caller=request.caller)
    return json_reply({"NetworksDeleted": list(pruned.deleted) or None})


ROUTES: Routes = {
    ("GET", "/networks"): list_networks,
    ("POST", "/networks/create"): create,
    ("POST", "/networks/prune"): prune,
    ("GET", "/networks/{id}"): inspect,
    ("DELETE", "/networks/{id}"): remove,
    ("POST", "/networks/{id}/connect"): connect,
    ("POST", "/networks/{id}/disconnect"): disconnect,
}
