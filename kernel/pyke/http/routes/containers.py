"""Containers: listing, creating, looking at, changing, deleting."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from pyke.errors import Conflict, InvalidRequest, NoSuchImage, NotFound
from pyke.http import filters
from pyke.http.exchange import NO_CONTENT, Reply, Request, json_reply
from pyke.http.facade import Engine
from pyke.http.requests.create import Installed, container_spec
from pyke.http.router import Routes
from pyke.http.shapes import container as shapes
from pyke.http.shapes.summary import summary
from pyke.http.shapes.system import ARCHITECTURES, drivers_by_family
from pyke.model import Container, ContainerSpec


def list_containers(request: Request) -> Reply:
    query, engine = request.query, request.engine
    wanted = query.filters()
    limit = query.integer("limit") or 0
    for old in ("before", "since"):  # as parameters, from before there were filters
        if query.text(old):
            wanted.setdefault(old, []).append(query.text(old))
    found = engine.containers.all()
    if not (query.flag("all") or limit > 0 or "status" in wanted):
        found = [each for each in found if each.state.is_running or each.state.status == "restarting"]
    found = filters.containers(engine, wanted, found)
    found = found[:limit] if limit > 0 else found
    meaning = functools.cache(lambda name: _meaning(engine, name))
    aliases = engine.containers.links.aliases()
    return json_reply([_summary(request, each, meaning, aliases.get(each.id, ())) for each in found])


def _meaning(engine: Engine, name: str) -> str:
    """The ID of the image that a name means now, or ""."""
    try:
        return engine.images.get(name).id
    except NoSuchImage:
        return ""


def _summary(request: Request, container: Container, meaning: Callable[[str], str], aliases: Sequence[str]) -> dict[str, object]:
    """As `ps` lists it. An image whose name means another by now, or nothing, is shown by its ID."""
    shaped = summary(container, request.version, aliases)
    if meaning(container.image_name) != container.image_id:
        shaped["Image"] = container.image_id
    if request.query.flag("size"):
        shaped["SizeRw"], shaped["SizeRootFs"] = request.engine.containers.size(container)
    return shaped


def create(request: Request) -> Reply:
    drivers = drivers_by_family(request.engine)
    installed = Installed(drivers.get("log", ()), drivers.get("runtime", ()))
    try:
        spec, warnings = container_spec(request.json(), request.version, installed)
        _check_platform(request, spec)
        name, id = request.query.text("name"), request.query.text("id")
        if id and request.repeats and request.engine.containers.has(id):
            return json_reply({"Id": id, "Warnings": warnings}, 201)
        created = request.engine.containers.create(spec, name=name, id=id, caller=request.caller)
    except NoSuchImage:
        raise
    except NotFound as error:  # 404 means the image: Docker's client would pull it and ask again
        raise InvalidRequest(error.message, hint=error.hint) from error
    return json_reply({"Id": created.id, "Warnings": [*warnings, *created.warnings]}, 201)


def _check_platform(request: Request, spec: ContainerSpec) -> None:
    """An image of another platform than the one asked for is, for the client, one that has to be pulled."""
    wanted = request.query.text("platform").lower()
    if not wanted:
        return
    image = request.engine.images.get(spec.image)
    parts = wanted.split("/")
    architecture = ARCHITECTURES.get(parts[1], parts[1]) if len(parts) > 1 else image.architecture
    if (parts[0], architecture) != (image.os, image.architecture):
        raise NoSuchImage(
            f"image with reference {spec.image} was found but does not provide the specified platform ({wanted})",
            hint=f"pyke pull --platform {wanted} {spec.image}",
        )


def inspect(request: Request) -> Reply:
    container = request.engine.containers.get(request["name"])
    return json_reply(shapes.inspect(request.engine, container, request.version, with_size=request.query.flag("size")))


def rename(request: Request) -> Reply:
    name = request.query.text("name")
    if not name:
        raise InvalidRequest("Neither old nor new names may be empty", hint="pyke rename OLD NEW")
    request.engine.containers.rename(request["name"], name, caller=request.caller)
    return NO_CONTENT


def remove(request: Request) -> Reply:
    query = request.query
    if query.flag("link"):
        return _unlink(request)
    request.engine.containers.remove(request["name"], force=query.flag("force"), volumes=query.flag("v"), caller=request.caller)
    return NO_CONTENT


def _unlink(request: Request) -> Reply:
    """`rm --link WEB/STORE`: the alias goes, not the container."""
    name, _, alias = request["name"].strip("/").partition("/")
    if not alias:
        request.engine.containers.get(name)
        raise Conflict("Conflict, cannot remove the default link name of the container", hint=f"pyke rm --link {name}/ALIAS")
    request.engine.containers.links.remove(name, alias, caller=request.caller)
    return NO_CONTENT


def prune(request: Request) -> Reply:
    pruned = request.engine.containers.prune(request.query.filters(), caller=request.caller)
    return json_reply({"ContainersDeleted": list(pruned.deleted) or None, "SpaceReclaimed": pruned.reclaimed})


def top(request: Request) -> Reply:
    titles, rows = request.engine.containers.top(request["name"], request.query.text("ps_args") or "-ef")
    return json_reply({"Titles": list(titles), "Processes": [list(row) for row in rows]})


ROUTES: Routes = {
    ("GET", "/containers/json"): list_containers,
    ("POST", "/containers/create"): create,
    ("POST", "/containers/prune"): prune,
    ("GET", "/containers/{name}/json"): inspect,
    ("GET", "/containers/{name}/top"): top,
    ("POST", "/containers/{name}/rename"): rename,
    ("DELETE", "/containers/{name:path}"): remove,
}
