"""Networks and volumes as Docker shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyke.http.shapes.times import rfc3339
from pyke.http.versions import Version
from pyke.model import Container, Endpoint, Network, Subnet

Json = dict[str, Any]

DRIVER_NAMES = {"none": "null"}  # Docker's name for the driver of the network `none`
ENABLES_IPV4 = Version(1, 47)


def network(found: Network, endpoints: Sequence[tuple[Container, Endpoint]] | None, version: Version) -> Json:
    """A network; `endpoints` are left out of a list, as Docker does from 1.28 on."""
    members = sorted(endpoints or (), key=lambda each: each[0].id)
    return {
        "Name": found.name,
        "Id": found.id,
        "Created": rfc3339(found.created),
        "Scope": "local",
        "Driver": DRIVER_NAMES.get(found.driver, found.driver),
        **({"EnableIPv4": True} if version >= ENABLES_IPV4 else {}),
        "EnableIPv6": found.ipv6,
        "IPAM": {"Driver": "default", "Options": None if found.builtin else {}, "Config": [_subnet(each) for each in found.subnets]},
        "Internal": found.internal,
        "Attachable": found.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {container.id: _member(container, endpoint) for container, endpoint in members},
        "Options": dict(sorted(found.options.items())),
        "Labels": dict(sorted(found.labels.items())),
    }


def _subnet(found: Subnet) -> Json:
    words = {"Subnet": found.subnet, "IPRange": found.ip_range, "Gateway": found.gateway, "AuxiliaryAddresses": dict(found.reserved)}
    return {key: value for key, value in words.items() if value}


def _member(container: Container, endpoint: Endpoint) -> Json:
    return {
        "Name": container.name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.ipv4,
        "IPv6Address": endpoint.ipv6,
    }
