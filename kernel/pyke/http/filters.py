"""The filters of lists: `ps --filter status=exited`, `images --filter dangling=true`, `events --filter type=network`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pyke.engine.filters import has_label, moment
from pyke.errors import InvalidRequest, NotFound
from pyke.http.facade import Engine
from pyke.http.shapes.config import all_exposed
from pyke.http.shapes.image import unix_seconds
from pyke.http.shapes.names import familiar
from pyke.model import Container, Event, Image, Network, Volume

Filters = Mapping[str, Sequence[str]]

HEALTH_STATES = ("none", "starting", "healthy", "unhealthy")
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
CONTAINER_KEYS = ("id", "name", "label", "status", "exited", "ancestor", "network", "volume", "before", "since", "publish", "expose",
                  "health", "is-task", "isolation")  # fmt: skip
IMAGE_KEYS = ("dangling", "label", "label!", "before", "since", "until", "reference")
NETWORK_KEYS = ("id", "name", "label", "driver", "type", "scope", "dangling")
VOLUME_KEYS = ("name", "driver", "label", "dangling")
EVENT_KEYS = ("type", "event", "container", "image", "network", "volume", "plugin", "daemon", "label", "scope", "service", "node", "secret",
              "config")  # fmt: skip


def check_keys(filters: Filters, known: Iterable[str], command: str) -> None:
    """Refuse a filter that there is not, with Docker's words; the help of `command` tells which there are."""
    for key in filters:
        if key not in known:
            raise InvalidRequest(f"Invalid filter '{key}'", hint=f"{command} --help")


def containers(engine: Engine, filters: Filters, found: Sequence[Container]) -> list[Container]:
    """The containers that pass every filter; several values of one filter widen it, but labels must all be there."""
    check_keys(filters, CONTAINER_KEYS, "pyke ps")
    for status in filters.get("status", ()):
        if status not in STATUSES:
            raise InvalidRequest(f"Invalid filter 'status={status}'", hint="pyke ps --filter status=exited")
    tests = [_CONTAINER_TESTS[key](engine, filters[key]) for key in filters if key in _CONTAINER_TESTS and filters[key]]
    return [each for each in found if all(test(each) for test in tests)]


ContainerTest = Callable[[Container], bool]


def _by_id(engine: Engine, values: Sequence[str]) -> ContainerTest:
    return lambda container: any(container.id.startswith(value) for value in values)


def _by_name(engine: Engine, values: Sequence[str]) -> ContainerTest:
    patterns = [pattern(value) for value in values]
    return lambda container: any(each(f"/{container.name}") or each(container.name) for each in patterns)


def _by_label(engine: Engine, values: Sequence[str]) -> ContainerTest:
    return lambda container: has_labels({**container.image_config.labels, **container.spec.labels}, values)


def _by_status(engine: Engine, values: Sequence[str]) -> ContainerTest:
    return lambda container: container.state.status in values


def _by_exit_code(engine: Engine, values: Sequence[str]) -> ContainerTest:
    codes = {_exit_code(value) for value in values}
    return lambda container: bool(container.state.finished_at) and not container.state.is_running and container.state.exit_code in codes


def _by_ancestor(engine: Engine, values: Sequence[str]) -> ContainerTest:
    ids = set()
    for value in values:
        try:
            ids.add(engine.images.get(value).id)
        except NotFound:
            continue  # Docker lets an unknown ancestor match nothing
    layers = {tuple(layer.chain_id for layer in image.layers) for image in engine.images.all() if image.id in ids}
    descends = {image.id for image in engine.images.all() if _stands_on(image, layers)}
    return lambda container: container.image_id in ids | descends


def _stands_on(image: Image, stacks: set[tuple[str, ...]]) -> bool:
    mine = tuple(layer.chain_id for layer in image.layers)
    return any(stack and mine[: len(stack)] == stack for stack in stacks)


def _by_network(engine: Engine, values: Sequence[str]) -> ContainerTest:
    wanted = set(values)
    return lambda container: any(
        each.network_name in wanted or any(each.network.startswith(value) for value in wanted) for each in container.endpoints
    )


def _by_volume(engine: Engine, values: Sequence[str]) -> ContainerTest:
    wanted = set(values)
    return lambda container: any(mount.name in wanted or mount.target in wanted or mount.source in wanted for mount in container.mounts)


def _by_before(engine: Engine, values: Sequence[str]) -> ContainerTest:
    limit = min(engine.containers.get(value).created for value in values)
    return lambda container: container.created < limit


def _by_since(engine: Engine, values: Sequence[str]) -> ContainerTest:
    limit = max(engine.containers.get(value).created for value in values)
    return lambda container: container.created > limit


def _by_published(engine: Engine, values: Sequence[str]) -> ContainerTest:
    wanted = _ports("publish", values)
    return lambda container: any(
        (port.host_port, port.protocol) in wanted or (port.container_port, port.protocol) in wanted
        for endpoint in container.endpoints
        for port in endpoint.ports
    )


def _by_exposed(engine: Engine, values: Sequence[str]) -> ContainerTest:
    wanted = {f"{number}/{protocol}" for number, protocol in _ports("expose", values)}
    return lambda container: bool(wanted & set(all_exposed(container)))


def _by_task(engine: Engine, values: Sequence[str]) -> ContainerTest:
    return lambda container: not any(truth("is-task", value) for value in values)  # no container is a task of a swarm


def _by_health(engine: Engine, values: Sequence[str]) -> ContainerTest:
    for value in values:
        if value not in HEALTH_STATES:
            raise InvalidRequest(f"Unrecognised filter value for health: {value}", hint="pyke ps --filter health=healthy")
    return lambda container: (container.state.health.status if container.state.health else "none") in values


_CONTAINER_TESTS: Mapping[str, Callable[[Engine, Sequence[str]], ContainerTest]] = {
    "id": _by_id,
    "name": _by_name,
    "label": _by_label,
    "status": _by_status,
    "exited": _by_exit_code,
    "ancestor": _by_ancestor,
    "network": _by_network,
    "volume": _by_volume,
    "before": _by_before,
    "since": _by_since,
    "publish": _by_published,
    "expose": _by_exposed,
    "is-task": _by_task,
    "health": _by_health,
}


def images(engine: Engine, filters: Filters) -> list[Image]:
    """The images that pass, newest first. `reference` may also have thinned out their names."""
    check_keys(filters, IMAGE_KEYS, "pyke images")
    found = sorted(engine.images.all(), key=lambda image: (-unix_seconds(image.created), image.tags or ("~",), image.id))
    if "dangling" in filters:
        wanted = all(truth("dangling", value) for value in filters["dangling"])
        found = [image for image in found if (not image.tags) == wanted]
    for value in filters.get("before", ()):
        limit = unix_seconds(engine.images.get(value).created)
        found = [image for image in found if unix_seconds(image.created) < limit]
    for value in filters.get("since", ()):
        limit = unix_seconds(engine.images.get(value).created)
        found = [image for image in found if unix_seconds(image.created) > limit]
    for value in filters.get("until", ()):
        limit = moment(value) // 10**9
        found = [image for image in found if unix_seconds(image.created) < limit]
    found = [image for image in found if has_labels(image.config.labels, filters.get("label", ()))]
    found = [image for image in found if not any(has_labels(image.config.labels, [value]) for value in filters.get("label!", ()))]
    return _by_reference(found, filters.get("reference", ()))


def _by_reference(found: list[Image], patterns: Sequence[str]) -> list[Image]:
    if not patterns:
        return found
    kept = [replace(image, tags=_thinned(image.tags, patterns), repo_digests=_thinned(image.repo_digests, patterns)) for image in found]
    return [image for image in kept if image.tags or image.repo_digests]


def _thinned(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Those of an image's names that match: "busybox:latest" as a whole, or its repository alone; `*` does not cross a slash, as in Go."""
    return tuple(name for name in names if any(path_match(spelling, each) for each in patterns for spelling in _spellings(name)))


def _spellings(name: str) -> tuple[str, str, str]:
    known = familiar(name)
    return known, known.partition("@")[0] if "@" in known else known.rpartition(":")[0], name


def path_match(text: str, glob: str) -> bool:
    """Shell-like matching, segment by segment."""
    mine, wanted = text.split("/"), glob.split("/")
    return len(mine) == len(wanted) and all(fnmatch.fnmatchcase(part, each) for part, each in zip(mine, wanted, strict=True))


def networks(engine: Engine, filters: Filters) -> list[Network]:
    """The networks that pass, in the order of their names."""
    check_keys(filters, NETWORK_KEYS, "pyke network ls")
    for kind in filters.get("type", ()):
        if kind not in ("builtin", "custom"):
            raise InvalidRequest(f"invalid filter: 'type'='{kind}'", hint="pyke network ls --filter type=custom")
    found = [each for each in engine.networks.all() if _network_passes(each, filters)]
    if "dangling" in filters:
        wanted = all(truth("dangling", value, DANGLING_NETWORKS) for value in filters["dangling"])
        found = [each for each in found if (not each.builtin and not engine.networks.endpoints(each)) == wanted]
    return sorted(found, key=lambda each: each.name)


def _network_passes(network: Network, filters: Filters) -> bool:
    kind = "builtin" if network.builtin else "custom"
    return (
        _any(filters, "id", lambda value: network.id.startswith(value))
        and _any(filters, "name", lambda value: pattern(value)(network.name))
        and _any(filters, "driver", lambda value: value in (network.driver, {"none": "null"}.get(network.driver)))
        and _any(filters, "type", lambda value: value == kind)
        and _any(filters, "scope", lambda value: value == "local")
        and has_labels(network.labels, filters.get("label", ()))
    )


def volumes(engine: Engine, filters: Filters) -> list[Volume]:
    """The volumes that pass."""
    check_keys(filters, VOLUME_KEYS, "pyke volume ls")
    found = [
        each
        for each in engine.volumes.all()
        if _any(filters, "name", lambda value, each=each: pattern(value)(each.name))  # type: ignore[misc]
        and _any(filters, "driver", lambda value, each=each: value == each.driver)  # type: ignore[misc]
        and has_labels(each.labels, filters.get("label", ()))
    ]
    if "dangling" in filters:
        wanted = all(truth("dangling", value) for value in filters["dangling"])
        used = {mount.name for container in engine.containers.all() for mount in container.mounts if mount.kind == "volume"}
        found = [each for each in found if (each.name not in used) == wanted]
    return found


def events(filters: Filters) -> Callable[[Event], bool]:
    """A test of events."""
    check_keys(filters, EVENT_KEYS, "pyke events")
    return lambda event: _event_passes(event, filters)


def _event_passes(event: Event, filters: Filters) -> bool:
    action = event.action.partition(":")[0]
    if not _any(filters, "type", lambda value: value == event.kind) or not _any(
        filters, "event", lambda value: value in (event.action, action)
    ):
        return False
    if not _any(filters, "scope", lambda value: value == "local") or not has_labels(event.attributes, filters.get("label", ())):
        return False
    return all(_any(filters, kind, lambda value, kind=kind: _is_object(event, kind, value)) for kind in EVENT_OBJECTS)  # type: ignore[misc]


EVENT_OBJECTS = ("container", "image", "network", "volume", "plugin", "daemon", "service", "node", "secret", "config")


def _is_object(event: Event, kind: str, value: str) -> bool:
    """Whether the event is of this object: by ID, its prefix, or name; an image's filter also takes events of its containers."""
    if event.kind != kind:
        name = event.attributes.get(kind, "")
        return bool(name) and name in (value, f"{value}:latest")
    names = (event.object, event.attributes.get("name", ""), familiar(event.object))
    repositories = [name.rpartition(":")[0] for name in names] if kind == "image" else []
    return value in names or f"{value}:latest" in names or value in repositories or event.object.startswith(value)


def has_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether all of "KEY" and "KEY=VALUE" are there."""
    return all(has_label(labels, text) for text in wanted)


def pattern(text: str) -> Callable[[str], bool]:
    """Docker matches names by regular expressions, anywhere in the name. One that Python cannot read is looked for as it stands."""
    if len(text) > 256 or re.search(r"[*+}]\)?[*+{]", text):  # nested repetition can take for ever
        return lambda name: text in name
    try:
        compiled = re.compile(text)
    except re.error:
        return lambda name: text in name
    return lambda name: compiled.search(name) is not None


DANGLING_NETWORKS = """invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")"""


def truth(key: str, text: str, refusal: str = "Invalid filter '{key}=[{text}]'") -> bool:
    """Whether a filter's value is true; `refusal` is what Docker says of one that is neither true nor false."""
    if text.lower() in ("1", "true"):
        return True
    if text.lower() in ("0", "false"):
        return False
    raise InvalidRequest(refusal.format(key=key, text=text), hint=f"pyke images --filter {key}=true")


def _any(filters: Filters, key: str, test: Callable[[str], bool]) -> bool:
    values = filters.get(key, ())
    return not values or any(test(value) for value in values)


def _exit_code(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    raise InvalidRequest(f'strconv.Atoi: parsing "{text}": invalid syntax', hint="pyke ps --all --filter exited=0")


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text[-20:]) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _ports(key: str, values: Sequence[str]) -> set[tuple[int, str]]:
    """ "80", "80/udp", "8000-8010/tcp" as numbers and protocols."""
    found = set()
    for text in values:
        numbers, _, protocol = text.partition("/")
        first, _, last = numbers.partition("-")
        try:
            low, high = _port(first), _port(last or first)
            if low > high:
                raise ValueError(f"Invalid range specified for the Port: {numbers}")
        except ValueError as error:
            raise InvalidRequest(f"error while looking up for {key} {text}: {error}", hint=f"pyke ps --filter {key}=8000-8080") from None
        found |= {(number, protocol or "tcp") for number in range(low, high + 1)}
    return found
