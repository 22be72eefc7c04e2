"""Registries: logins, searches, and what a name stands for there. Pulls and pushes are with the images."""

from __future__ import annotations

import json

from pyke.http.exchange import Reply, Request, json_reply
from pyke.http.router import Routes
from pyke.http.routes.images import registry_credentials
from pyke.registries import SearchResult

LOGIN_FIELDS = ("username", "password", "serveraddress", "identitytoken", "auth")


def auth(request: Request) -> Reply:
    fields = request.json()
    given = {name: fields.text(name) for name in LOGIN_FIELDS if fields.is_set(name)}
    answer = request.engine.registries.login(given, caller=request.caller)
    return json_reply({"IdentityToken": answer.identity_token, "Status": answer.status})


def search(request: Request) -> Reply:
    query, credentials = request.query, registry_credentials(request.headers)
    limit = query.integer("limit")
    found = request.engine.registries.search(
        query.text("term"), 25 if limit is None else limit, query.filters(), credentials=credentials, caller=request.caller
    )
    return json_reply([_result(each) for each in found])


def _result(found: SearchResult) -> dict[str, object]:
    return {
        "name": found.name,
        "description": found.description,
        "star_count": found.stars,
        "is_official": found.official,
        "is_automated": found.automated,
    }


def distribution(request: Request) -> Reply:
    """A descriptor, and the platforms of an index."""
    found = request.engine.registries.describe(request["name"], credentials=registry_credentials(request.headers), caller=request.caller)
    platforms = [
        {"architecture": each.architecture, "os": each.os} | ({"variant": each.variant} if each.variant else {}) for each in found.platforms
    ]
    descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": len(found.content)}
    return json_reply({"Descriptor": descriptor, "Platforms": platforms})


def manifest(request: Request) -> Reply:
    """The manifest itself, as JSON."""
    found = request.engine.registries.describe(request["name"], credentials=registry_credentials(request.headers), caller=request.caller)
    descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": len(found.content)}
    return json_reply({"reference": found.reference, "descriptor": descriptor, "manifest": json.loads(found.content)})


ROUTES: Routes = {
    ("POST", "/auth"): auth,
    ("GET", "/images/search"): search,
    ("GET", "/distribution/{name:path}/json"): distribution,
    ("GET", "/pyke/manifests/{name:path}"): manifest,
}
