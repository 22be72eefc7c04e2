"""The engine as a whole: ping, version, info, events, what takes space on the disk."""

from __future__ import annotations

from collections.abc import Iterator

from pyke.errors import InvalidRequest
from pyke.http import filters
from pyke.http.exchange import Reply, Request, Stream, encode, json_reply
from pyke.http.facade import Subscription
from pyke.http.moments import moment
from pyke.http.router import Routes
from pyke.http.shapes import image as image_shapes
from pyke.http.shapes import system
from pyke.http.shapes.event import event
from pyke.http.shapes.summary import summary
from pyke.http.shapes.volume import volume
from pyke.http.versions import Version
from pyke.model import Container, Image, Volume

NO_BUILDER_SIZE = Version(1, 42)  # from here on, what the builder takes is told by its parts alone
PING_HEADERS = (("Cache-Control", "no-cache, no-store, must-revalidate"), ("Pragma", "no-cache"), ("Swarm", "inactive"))


def ping(request: Request) -> Reply:
    return Reply(200, b"OK", "text/plain; charset=utf-8", PING_HEADERS)


def version(request: Request) -> Reply:
    return json_reply(system.version())


def info(request: Request) -> Reply:
    return json_reply(system.info(request.engine))


def events(request: Request) -> Stream:
    since, until = _bound(request.query.text("since")), _bound(request.query.text("until"))
    if since and until and since > until:
        raise InvalidRequest(f"`since` time ({request.query.text('since')}) cannot be after `until` time ({request.query.text('until')})")
    wanted = filters.events(request.query.filters())
    subscription = request.engine.events.subscribe(since, until, wanted)
    return Stream(_lines(subscription), cancel=subscription.close)


def _bound(text: str) -> int:
    """A moment, where "0" is the beginning of time and "" is no bound."""
    return moment(text) or (1 if text else 0)


def _lines(subscription: Subscription) -> Iterator[bytes]:
    for each in subscription:
        yield encode(event(each))


def disk_usage(request: Request) -> Reply:
    """/system/df. `type` asks for some of the four parts."""
    engine, wanted = request.engine, set(request.query.all("type")) or {"container", "image", "volume", "build-cache"}
    all_containers, all_images = engine.containers.all(), engine.images.all()
    found: dict[str, object] = {}
    if "image" in wanted:
        unpacked = {layer.chain_id: layer.size for image in all_images for layer in image.layers}
        found["LayersSize"] = sum(unpacked.values()) + engine.images.content.total()
        found["Images"] = [_image(request, each, all_images, all_containers) for each in all_images]
    if "container" in wanted:
        found["Containers"] = [_sized(request, each) for each in all_containers]
    if "volume" in wanted:
        found["Volumes"] = [volume(each, (engine.volumes.size(each), _links(each, all_containers))) for each in engine.volumes.all()]
    if "build-cache" in wanted:
        found["BuildCache"] = []
    if request.version < NO_BUILDER_SIZE:
        found["BuilderSize"] = 0
    return json_reply(found)


def _image(request: Request, image: Image, images: list[Image], containers: list[Container]) -> dict[str, object]:
    users = [container.id for container in containers if container.image_id == image.id]
    summary = image_shapes.summary(image, request.version, containers=len(users), shared_size=_shared(image, images))
    sizes = request.engine.images.content_sizes(image)
    return summary | {"Manifests": [image_shapes.manifest(image, sizes, users)]}


def _shared(image: Image, images: list[Image]) -> int:
    """Bytes of the layers that another image stands on too."""
    others = {layer.chain_id for other in images if other.id != image.id for layer in other.layers}
    return sum(layer.size for layer in image.layers if layer.chain_id in others)


def _sized(request: Request, container: Container) -> dict[str, object]:
    changed, whole = request.engine.containers.size(container)
    return summary(container, request.version) | {"SizeRw": changed, "SizeRootFs": whole}


def _links(found: Volume, containers: list[Container]) -> int:
    return sum(any(mount.name == found.name for mount in container.mounts) for container in containers)


ROUTES: Routes = {
    ("GET", "/_ping"): ping,
    ("HEAD", "/_ping"): ping,
    ("GET", "/pyke/ping"): ping,
    ("GET", "/version"): version,
    ("GET", "/info"): info,
    ("GET", "/events"): events,
    ("GET", "/system/df"): disk_usage,
}
