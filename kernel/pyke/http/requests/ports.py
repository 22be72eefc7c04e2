"""Exposed and published ports: {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]} → `PortSpec`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.model import PortSpec

PROTOCOLS = ("tcp", "udp", "sctp")

_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def exposed_ports(fields: Fields) -> tuple[str, ...]:
    """The keys of ExposedPorts, as "80/tcp"; a range stands for each of its ports."""
    found: dict[str, None] = {}
    for text in fields.keys("ExposedPorts"):
        first, last, protocol = _port_and_protocol(text)
        found.update(dict.fromkeys(f"{port}/{protocol}" for port in range(first, last + 1)))
    return tuple(found)


def port_bindings(fields: Fields) -> tuple[PortSpec, ...]:
    """All of PortBindings. A port whose list is null or empty is published on a port of the engine's choice, as Docker does."""
    return tuple(
        spec for key, bindings in fields.items("PortBindings") for spec in _bindings_of(key, bindings, fields.name("PortBindings"))
    )


def _bindings_of(key: str, bindings: object, name: str) -> Iterator[PortSpec]:
    first, last, protocol = _port_and_protocol(key)
    if first != last:
        raise InvalidRequest(f'invalid port specification: "{key}"')
    if not isinstance(bindings, list | None):
        raise InvalidRequest(f"{name}[{key!r}] must be an array")
    for binding in bindings or [{}]:
        each = Fields(binding if binding is not None else {}, f"{name}[{key!r}]")
        host_port, host_port_end = _host_port(each.text("HostPort"))
        yield PortSpec(first, protocol, _host_ip(each.text("HostIp")), host_port, host_port_end)


def _port_and_protocol(text: str) -> tuple[int, int, str]:
    """ "80", "80/tcp", "8000-8010/udp" as first port, last port and protocol."""
    ports, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidRequest(f"Invalid proto: {protocol}", hint="pyke run --help")
    first, last = _port_range(ports, text)
    if first == 0:
        raise InvalidRequest(f'invalid port specification: "{text}"')
    return first, last, protocol


def _host_port(text: str) -> tuple[int, int]:
    """ "", "8080" or "8000-8010" as first and last port; the last is 0 unless a range was given."""
    if not text:
        return 0, 0
    first, last = _port_range(text, text)
    return first, last if last != first else 0


def _port_range(ports: str, text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(ports)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
    if not 0 <= first <= last <= 65535:
        raise InvalidRequest(f'invalid port specification: "{text}"')
    return first, last


def _host_ip(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise InvalidRequest(f"invalid IP address: {text}") from None
