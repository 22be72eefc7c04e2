"""A container's files: copied in and out, compared, exported, and committed to an image."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from pyke.http.exchange import Reply, Request, Stream, encode, json_reply
from pyke.http.router import Routes
from pyke.http.routes.images import with_tag
from pyke.http.shapes.config import container_config

TAR = "application/x-tar"
PATH_STAT = "X-Docker-Container-Path-Stat"


def look(request: Request) -> Reply:
    """HEAD: what is at a path."""
    return Reply(headers=[_stat_header(request.engine.files.stat(request["name"], request.query.text("path")))])


def archive(request: Request) -> Stream:
    found = request.engine.files.archive(request["name"], request.query.text("path"))
    return Stream(found, TAR, headers=[_stat_header(found.stat)])


def _stat_header(stat: Mapping[str, Any]) -> tuple[str, str]:
    return PATH_STAT, base64.b64encode(encode(stat).strip()).decode("ascii")


def place(request: Request) -> Reply:
    """PUT: an archive is copied into a directory. Files keep the owners that the archive names, so `copyUIDGID` changes nothing."""
    query = request.query
    may_exchange = not query.flag("noOverwriteDirNonDir")
    request.engine.files.place(request["name"], query.text("path"), request.body, may_exchange=may_exchange, caller=request.caller)
    return Reply()


def changes(request: Request) -> Reply:
    found = request.engine.files.changes(request["name"])
    return json_reply([{"Path": each.path, "Kind": each.kind} for each in found] or None)


def export(request: Request) -> Stream:
    return Stream(request.engine.files.export(request["name"]), "application/octet-stream")


def commit(request: Request) -> Reply:
    """A container becomes an image; a body is a configuration that counts before the container's."""
    query = request.query
    container = request.engine.containers.get(query.text("container"))
    fields, inherited = request.json(), container_config(container)
    image = request.engine.files.commit(
        container.id,
        reference=with_tag(query.text("repo"), query.text("tag")) if query.text("repo") else "",
        config={key: fields.raw[key.lower()] for key in inherited if fields.is_set(key)},
        inherited=inherited,
        message=query.text("comment"),
        author=query.text("author"),
        changes=query.all("changes"),
        pause=query.flag("pause", default=True),
        caller=request.caller,
    )
    return json_reply({"Id": image.id}, 201)


ROUTES: Routes = {
    ("HEAD", "/containers/{name}/archive"): look,
    ("GET", "/containers/{name}/archive"): archive,
    ("PUT", "/containers/{name}/archive"): place,
    ("GET", "/containers/{name}/changes"): changes,
    ("GET", "/containers/{name}/export"): export,
    ("POST", "/commit"): commit,
}
