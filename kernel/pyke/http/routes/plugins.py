"""Pyke's plugins, what they offer to the API themselves, and the parts of Docker's API that pyke does not have."""

from __future__ import annotations

from pyke.drivers import RouteReply, RouteRequest
from pyke.errors import PluginFailed
from pyke.http.exchange import JSON_LIMIT, BodyTooLarge, Handler, Reply, Request, Unsupported, json_reply
from pyke.http.router import Routes


def report(request: Request) -> Reply:
    """Every installed plugin, the broken ones with what is wrong with them."""
    return json_reply(
        [
            {
                "Name": each.name,
                "Version": each.version,
                "Drivers": {family: sorted(names) for family, names in each.drivers.items()},
                "Problem": each.problem,
            }
            for each in request.engine.plugins.report()
        ]
    )


def plugin_route(request: Request) -> Reply:
    """Hand a request below /pyke/NAME/ to the plugin that offers the route NAME."""
    function = request.engine.plugins.target("route", request["route"])
    body = request.body.read(JSON_LIMIT + 1)
    if len(body) > JSON_LIMIT:
        raise BodyTooLarge(f"the body of {request.method} {request.path} is larger than {JSON_LIMIT} bytes")
    asked = RouteRequest(request.method, f"/{request.parameters.get('rest', '')}", request.query.first(), body, request.caller)
    answer = function(asked)
    if not isinstance(answer, RouteReply):
        raise PluginFailed(
            f"the route {request['route']} answered with {type(answer).__name__} instead of a RouteReply", hint="pyke plugin ls"
        )
    return Reply(answer.status, answer.body, answer.content_type)


def docker_plugins(request: Request) -> Reply:
    """Docker's managed plugins, which are containers: there are none."""
    return json_reply([])


def build_prune(request: Request) -> Reply:
    """There is no build cache, so all of it is free."""
    return json_reply({"CachesDeleted": None, "SpaceReclaimed": 0})


def absent(what: str) -> Handler:
    """A handler that says that pyke does not have this."""

    def answer(request: Request) -> Reply:
        raise Unsupported(f"pyke does not have {what} ({request.method} {request.path})", hint="pyke --help")

    return answer


METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
SWARM = ("swarm", "nodes", "services", "tasks", "secrets", "configs")

ROUTES: Routes = {
    ("GET", "/pyke/plugins"): report,
    ("GET", "/plugins"): docker_plugins,
    ("POST", "/build/prune"): build_prune,
    ("POST", "/build"): absent("image building yet"),
    ("POST", "/commit"): absent("commit yet"),
    ("GET", "/containers/{name}/changes"): absent("diff yet"),
    ("GET", "/containers/{name}/export"): absent("export yet"),
    ("GET", "/containers/{name}/attach/ws"): absent("attaching by web socket"),
    ("GET", "/containers/{name}/archive"): absent("cp yet"),
    ("HEAD", "/containers/{name}/archive"): absent("cp yet"),
    ("PUT", "/containers/{name}/archive"): absent("cp yet"),
    ("POST", "/session"): absent("BuildKit"),
    **{(method, f"/{each}"): absent("swarms") for each in SWARM for method in METHODS},
    **{(method, f"/{each}/{{rest:path}}"): absent("swarms") for each in SWARM for method in METHODS},
    **{(method, "/pyke/{route}"): plugin_route for method in METHODS},
    **{(method, "/pyke/{route}/{rest:path}"): plugin_route for method in METHODS},
}
