"""Images: listing, looking at, getting in and out, naming, deleting."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from pyke.errors import InvalidRequest, NotFound
from pyke.http import filters, strictjson
from pyke.http.exchange import Answer, Reply, Request, Stream, Unsupported, json_reply
from pyke.http.fields import Fields
from pyke.http.progress import eager, progress, told
from pyke.http.router import Routes
from pyke.http.shapes import image as shapes
from pyke.model import Image

AUTH_LIMIT = 64 << 10


def list_images(request: Request) -> Reply:
    wanted = request.query.filters()
    if request.query.text("filter"):  # from before there were filters
        wanted.setdefault("reference", []).append(request.query.text("filter"))
    found = filters.images(request.engine, wanted)
    summaries = [shapes.summary(each, request.version) for each in found]
    if request.query.flag("manifests"):
        for image, summary in zip(found, summaries, strict=True):
            summary["Manifests"] = [_manifest(request, image)]
    return json_reply(summaries)


def _manifest(request: Request, image: Image) -> dict[str, object]:
    users = [each.id for each in request.engine.containers.all() if each.image_id == image.id]
    return shapes.manifest(image, request.engine.images.content_sizes(image), users)


def inspect(request: Request) -> Reply:
    images = request.engine.images
    return json_reply(shapes.inspect(images.get(request["name"]), images.storage_driver, request.version))


def history(request: Request) -> Reply:
    image = request.engine.images.get(request["name"])
    by_id = {each.id: each for each in request.engine.images.all()}
    ancestors: list[Image] = []
    parent = by_id.get(image.parent)
    while parent is not None and parent not in ancestors:
        ancestors.append(parent)
        parent = by_id.get(parent.parent)
    return json_reply(shapes.history(image, ancestors))


def load(request: Request) -> Stream:
    """An archive comes up, a line for each image goes down. An archive that is none is told of there, too, as Docker does."""
    lines = request.engine.images.load(request.body, caller=request.caller)
    return told({"stream": f"{line}\n"} for line in lines)


def create(request: Request) -> Answer:
    """Pull an image (`fromImage`), or make one of an archive of a file system (`fromSrc=-`)."""
    query = request.query
    if query.text("fromImage"):
        return _pull(request)
    if query.text("fromSrc") == "-":
        return _import(request)
    if query.text("fromSrc"):
        raise Unsupported("an image cannot be imported from a URL", hint=f"curl -L {query.text('fromSrc')} | pyke import -")
    raise InvalidRequest("either fromImage or fromSrc must be given", hint="pyke pull IMAGE")


def _pull(request: Request) -> Stream:
    query = request.query
    reference = with_tag(query.text("fromImage"), query.text("tag"))
    credentials = registry_credentials(request.headers)
    pulling = request.engine.images.pull(reference, platform=query.text("platform"), credentials=credentials, caller=request.caller)
    return progress(pulling, cancel=pulling.close)


def push(request: Request) -> Stream:
    reference = with_tag(request["name"], request.query.text("tag"))
    pushing = request.engine.images.push(reference, credentials=registry_credentials(request.headers), caller=request.caller)
    return progress(pushing, cancel=pushing.close)


def _import(request: Request) -> Stream:
    query = request.query
    reference = with_tag(query.text("repo"), query.text("tag")) if query.text("repo") else ""
    image = request.engine.images.import_archive(
        request.body, reference=reference, message=query.text("message"), changes=query.all("changes"), caller=request.caller
    )
    return progress([{"status": image.id}])


def with_tag(name: str, tag: str) -> str:
    """The name with a tag or digest that came by itself."""
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


def registry_credentials(headers: Mapping[str, str]) -> dict[str, str] | None:
    """X-Registry-Auth: base64url of {"username", "password", "identitytoken", ...}; None where it is not given or says nothing.

    Neither an error nor a log ever quotes it.
    """
    text = headers.get("x-registry-auth", "")
    if not text:
        return None
    if len(text) > AUTH_LIMIT:
        raise InvalidRequest("the header X-Registry-Auth is too long")
    try:
        decoded = base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))
        fields = Fields(strictjson.parse(decoded) if decoded.strip() else {}, "X-Registry-Auth")
    except (binascii.Error, ValueError, InvalidRequest):
        raise InvalidRequest("the header X-Registry-Auth is not base64url of a JSON object", hint="pyke login") from None
    names = ("username", "password", "serveraddress", "identitytoken", "registrytoken", "auth")
    return {name: fields.text(name) for name in names if fields.is_set(name)} or None


def save_one(request: Request) -> Stream:
    return _archive(request, [request["name"]])


def save_many(request: Request) -> Stream:
    names = [name for text in request.query.all("names") for name in text.split(",") if name]
    if not names:
        raise InvalidRequest("no images were named", hint="pyke save IMAGE > FILE")
    return _archive(request, names)


def _archive(request: Request, names: list[str]) -> Stream:
    for name in names:
        try:
            request.engine.images.get(name)
        except NotFound as error:
            error.message = f"No such image: {name}"
            raise
    return Stream(eager(request.engine.images.save(names)), "application/x-tar")


def tag(request: Request) -> Reply:
    query = request.query
    request.engine.images.tag(request["name"], with_tag(query.text("repo"), query.text("tag")), caller=request.caller)
    return Reply(201)


def remove(request: Request) -> Reply:
    """Whoever asks again, because the engine died before it could answer, gets the answer that he would have got."""
    images, name, query = request.engine.images, request["name"], request.query
    try:
        removed = images.remove(name, force=query.flag("force"), prune_parents=not query.flag("noprune"), caller=request.caller)
    except NotFound:
        if not request.repeats or not (removed := images.removed_since(request.repeats, name)):
            raise
    return json_reply([shapes.removal(each.kind, each.name) for each in removed])


def prune(request: Request) -> Reply:
    pruned = request.engine.images.prune(request.query.filters(), caller=request.caller)
    return json_reply({"ImagesDeleted": [_pruned(name) for name in pruned.deleted] or None, "SpaceReclaimed": pruned.reclaimed})


def _pruned(name: str) -> dict[str, str]:
    return shapes.removal("deleted" if name.startswith("sha256:") else "untagged", name)


ROUTES: Routes = {
    ("GET", "/images/json"): list_images,
    ("GET", "/images/get"): save_many,
    ("POST", "/images/load"): load,
    ("POST", "/images/create"): create,
    ("POST", "/images/prune"): prune,
    ("GET", "/images/{name:path}/json"): inspect,
    ("GET", "/images/{name:path}/history"): history,
    ("GET", "/images/{name:path}/get"): save_one,
    ("POST", "/images/{name:path}/push"): push,
    ("POST", "/images/{name:path}/tag"): tag,
    ("DELETE", "/images/{name:path}"): remove,
}
