"""Pyke's plugins, what they offer to the API themselves, and the parts of Docker's API that pyke does not have."""

from __future__ import annotations

from pyke.drivers import RouteReply, RouteRequest
from pyke.errors import NotFound, PluginFailed, PykeError
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


def no_plugin(request: Request) -> Reply:
    """Docker's words for a plugin that is not there."""
    raise NotFound(f'plugin "{request["name"]}" not found', hint="pyke plugin ls")


def no_swarm(request: Request) -> Reply:
    """What an engine of Docker's answers that is not in a swarm, as none of pyke's ever is."""
    if request.path == "/swarm/leave":
        raise NotInSwarm("This node is not part of a swarm")
    joins = 'Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
    raise NotInSwarm(f"This node is not a swarm manager. {joins}")


class NotInSwarm(PykeError):
    """A question to a swarm's manager."""

    status = 503


def build_cancel(request: Request) -> Reply:
    """No build runs."""
    return Reply()


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
    ("POST", "/swarm/init"): absent("swarms"),
    ("POST", "/swarm/join"): absent("swarms"),
    ("POST", "/build/prune"): build_prune,
    ("POST", "/build/cancel"): build_cancel,
    ("GET", "/plugins/privileges"): absent("Docker's plugins"),
    ("POST", "/plugins/pull"): absent("Docker's plugins"),
    ("POST", "/plugins/create"): absent("Docker's plugins"),
    ("GET", "/plugins/{name:path}/json"): no_plugin,
    ("DELETE", "/plugins/{name:path}"): no_plugin,
    **{("POST", f"/plugins/{{name:path}}/{action}"): no_plugin for action in ("enable", "disable", "upgrade", "push", "set")},
    ("POST", "/build"): absent("image building yet"),
    ("GET", "/containers/{name}/attach/ws"): absent("attaching by web socket"),
    ("POST", "/session"): absent("BuildKit"),
    **{(method, f"/{each}"): no_swarm for each in SWARM for method in METHODS},
    **{(method, f"/{each}/{{rest:path}}"): no_swarm for each in SWARM for method in METHODS},
    **{(method, "/pyke/{route}"): plugin_route for method in METHODS},
    **{(method, "/pyke/{route}/{rest:path}"): plugin_route for method in METHODS},
}
