"""What happened, who asked for it, and who is asked whether they may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyke.model.specs import ContainerSpec


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as `docker events` tells it."""

    time: int  # ns
    kind: str  # container, image, network, volume, plugin, daemon
    action: str  # create, start, die, ...
    object: str  # ID or name
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who speaks to the engine, as the kernel says (SO_PEERCRED), never as the request says."""

    uid: int
    gid: int
    pid: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an authoriser is asked: the caller, the operation, and the normalised object, never the request's body."""

    caller: Caller
    operation: str  # "container.create", "container.start", "image.load", ...
    object: str = ""  # ID or name
    spec: ContainerSpec | None = None
