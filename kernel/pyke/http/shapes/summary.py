"""A container as `ps` lists it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pyke.http.shapes.config import reachable
from pyke.http.shapes.container import listed_mounts, mount, networks
from pyke.http.shapes.times import human_duration
from pyke.http.versions import Version
from pyke.model import Container, ContainerState, Mount

Json = dict[str, Any]


def summary(container: Container, version: Version, aliases: Sequence[str] = ()) -> Json:
    """One entry of /containers/json. `aliases`: what others that link to it call it."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}", *aliases],
        "Image": container.image_name,
        "ImageID": container.image_id,
        "Command": command_line(container.argv),
        "Created": container.created // 10**9,
        "Ports": ports(container),
        "Labels": {**container.image_config.labels, **container.spec.labels},
        "State": container.state.status,
        "Status": status(container, time.time_ns()),
        "HostConfig": {"NetworkMode": container.spec.network_mode},
        "NetworkSettings": {"Networks": networks(container, version)},
        "Mounts": [_mount(each) for each in listed_mounts(container)],
    }


def _mount(found: Mount) -> Json:
    """A list does not tell where on the host a volume is."""
    return mount(found) | ({"Source": ""} if found.kind == "volume" else {})


def status(container: Container, now: int) -> str:
    """The sentence in the column STATUS."""
    state = container.state
    up, since = human_duration(now - state.started_at), human_duration(now - state.finished_at)
    if state.status == "created":
        return "Created"
    if state.status == "removing":
        return "Removal In Progress"
    if state.status == "dead":
        return "Dead"
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {since} ago"
    if state.status == "paused":
        return f"Up {up} (Paused)"
    if state.is_running:
        return f"Up {up}{_health(state)}"
    return f"Exited ({state.exit_code}) {since} ago" if state.finished_at else ""


def _health(state: ContainerState) -> str:
    """ " (healthy)", " (health: starting)"; nothing where nothing is checked."""
    if state.health is None:
        return ""
    return " (health: starting)" if state.health.status == "starting" else f" ({state.health.status})"


def command_line(argv: tuple[str, ...]) -> str:
    """The command in one line; words with blanks are quoted as Docker does it."""
    return " ".join(f"'{word}'" if " " in word and index else word for index, word in enumerate(argv))


def ports(container: Container) -> list[Json]:
    """Published ports, then those that are only exposed; none of them unless it runs."""
    if not container.state.is_running:
        return []
    published = [port for endpoint in container.endpoints for port in endpoint.ports]
    found = [
        {"IP": port.host_ip or "0.0.0.0", "PrivatePort": port.container_port, "PublicPort": port.host_port, "Type": port.protocol}
        for port in published
    ]
    taken = {f"{port.container_port}/{port.protocol}" for port in published}
    for text in reachable(container):
        number, _, protocol = text.partition("/")
        if text not in taken and number.isdecimal():
            found.append({"PrivatePort": int(number), "Type": protocol or "tcp"})
    return found
