"""Volumes: listing, making, deleting."""

from __future__ import annotations

from pyke.http import filters
from pyke.http.exchange import NO_CONTENT, Reply, Request, json_reply
from pyke.http.router import Routes
from pyke.http.shapes.volume import volume as shape
from pyke.http.versions import Version
from pyke.model import Volume

DEFAULT_DRIVER = "local"
PRUNE_KEYS = ("label", "label!", "all")
SPARES_NAMED = Version(1, 42)  # from here on a prune spares named volumes, unless the filter `all` says otherwise


def list_volumes(request: Request) -> Reply:
    found = filters.volumes(request.engine, request.query.filters())
    return json_reply({"Volumes": [shape(each) for each in found], "Warnings": None})


def inspect(request: Request) -> Reply:
    return json_reply(shape(request.engine.volumes.get(request["name"])))


def create(request: Request) -> Reply:
    fields = request.json()
    wanted = Volume(
        fields.text("Name"),
        fields.text("Driver") or DEFAULT_DRIVER,
        labels=fields.mapping("Labels"),
        options=fields.mapping("DriverOpts"),
    )
    return json_reply(shape(request.engine.volumes.create(wanted, caller=request.caller)), 201)


def remove(request: Request) -> Reply:
    request.engine.volumes.remove(request["name"], force=request.query.flag("force"), caller=request.caller)
    return NO_CONTENT


def prune(request: Request) -> Reply:
    wanted = request.query.filters()
    filters.check_keys(wanted, PRUNE_KEYS, "pyke volume prune")
    if request.version < SPARES_NAMED:
        wanted["all"] = ["true"]
    pruned = request.engine.volumes.prune(wanted, caller=request.caller)
    return json_reply({"VolumesDeleted": list(pruned.deleted), "SpaceReclaimed": pruned.reclaimed})


ROUTES: Routes = {
    ("GET", "/volumes"): list_volumes,
    ("POST", "/volumes/create"): create,
    ("POST", "/volumes/prune"): prune,
    ("GET", "/volumes/{name}"): inspect,
    ("DELETE", "/volumes/{name}"): remove,
}
