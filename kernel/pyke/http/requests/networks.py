"""The body of POST /networks/create → `Network`."""

from __future__ import annotations

import ipaddress

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.model import Network, Subnet

DEFAULT_DRIVER = "bridge"
DRIVER_NAMES = {"null": "none"}  # Docker calls the driver of the network `none` "null"


def network(fields: Fields) -> Network:
    """A network that is not made yet: its id is "". Raises `InvalidRequest`, with Docker's words."""
    driver = fields.text("Driver") or DEFAULT_DRIVER
    ipam = fields.object("IPAM")
    if ipam.text("Driver") not in ("", "default"):
        raise InvalidRequest(f'could not find an IPAM driver "{ipam.text("Driver")}"', hint="pyke network create --help")
    return Network(
        id="",
        name=_name(fields),
        driver=DRIVER_NAMES.get(driver, driver),
        subnets=tuple(_subnet(each) for each in ipam.objects("Config")),
        internal=fields.flag("Internal"),
        attachable=fields.flag("Attachable"),
        ipv6=fields.flag("EnableIPv6"),
        options=fields.mapping("Options"),
        labels=fields.mapping("Labels"),
    )


def _name(fields: Fields) -> str:
    name = fields.text("Name")
    if not name.strip() or any(ord(letter) < 32 or letter == "/" for letter in name) or len(name) > 255:
        raise InvalidRequest(f"invalid network name: {name[:80]!r}", hint="pyke network create NAME")
    return name


def _subnet(fields: Fields) -> Subnet:
    text = fields.text("Subnet")
    if not text:
        raise InvalidRequest(
            "a gateway or an IP range needs a subnet", hint="pyke network create --subnet 10.1.0.0/16 --gateway 10.1.0.1 NAME"
        )
    try:
        subnet = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(f"Invalid subnet {text} : invalid CIDR address: {text}") from None
    if "/" not in text:
        raise InvalidRequest(f"Invalid subnet {text} : invalid CIDR address: {text}")
    gateway = fields.text("Gateway")
    reserved = fields.mapping("AuxiliaryAddresses")
    for address in (gateway, *reserved.values()):
        _check_inside(address, subnet)
    return Subnet(str(subnet), gateway, _ip_range(fields.text("IPRange"), subnet), reserved)


Subnetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _check_inside(text: str, subnet: Subnetwork) -> None:
    if not text:
        return
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidRequest(f"invalid IP address: {text}") from None
    if address not in subnet:
        raise InvalidRequest(f"no matching subnet for gateway {text}", hint="pyke network create --help")


def _ip_range(text: str, subnet: Subnetwork) -> str:
    if not text:
        return ""
    try:
        part = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(f"Invalid IP range {text} : invalid CIDR address: {text}") from None
    if part.version != subnet.version or not part.subnet_of(subnet):  # type: ignore[arg-type]
        raise InvalidRequest(f"no matching subnet for range {text}", hint="pyke network create --help")
    return str(part)
