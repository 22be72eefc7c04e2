"""What a network is, and a container's place on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Subnet:
    subnet: str  # "172.30.0.0/16"
    gateway: str = ""  # an address inside it
    ip_range: str = ""  # where to allocate, a part of `subnet`
    reserved: Mapping[str, str] = field(default_factory=dict)  # auxiliary addresses


@dataclass(frozen=True, slots=True)
class Network:
    """A network. `interface` is the driver's own name for its host side (a bridge), "" where there is none."""

    id: str
    name: str
    driver: str
    created: int = 0  # ns
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    interface: str = ""
    builtin: bool = False  # bridge, host, none: made by the engine, cannot be removed


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port as it is really published."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a network: reserved when it is created or connected, attached while it runs."""

    id: str
    network: str  # ID
    network_name: str
    container: str  # ID
    ipv4: str = ""  # "172.30.0.2/16"
    ipv6: str = ""
    gateway: str = ""
    mac: str = ""
    interface: str = ""  # inside: "eth0"
    host_interface: str = ""  # on the host, where there is one
    aliases: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    default_route: bool = True  # whether this endpoint's gateway is the container's
    driver_options: Mapping[str, str] = field(default_factory=dict)
    requested_ipv4: str = ""  # what the user asked for, kept over restarts
    requested_mac: str = ""
    requested_ipv6: str = ""
    gateway6: str = ""
    links: tuple[str, ...] = ()
