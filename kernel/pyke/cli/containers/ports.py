"""`-p` and `--expose`: from the command line to the API's port bindings."""

from __future__ import annotations

from pyke.cli.containers.create_flags import is_address
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Bindings = dict[str, list[dict[str, str]]]

PROTOCOLS = ("tcp", "udp", "sctp")


def parse_published(specifications: Iterable[str]) -> Bindings:
    """Read all `-p [[ADDRESS:]HOST_PORT:]CONTAINER_PORT[/PROTOCOL]`, where ports may be ranges. PykeError if one makes no sense."""
    bindings: Bindings = {}
    for text in specifications:
        plain = _from_fields(text) if "=" in text else text
        for port, binding in _published(plain):
            bindings.setdefault(port, []).append(binding)
    return bindings


def _from_fields(text: str) -> str:
    """Turn `target=80,published=8080,protocol=tcp` into the short form."""
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    if unknown := set(fields) - {"target", "published", "protocol", "mode"}:
        raise PykeError(f"invalid field key: {min(unknown)}")
    if not fields.get("target"):
        raise PykeError(f"invalid port specification: {text}: target is required")
    return f"{fields.get('published', '')}:{fields['target']}/{fields.get('protocol', 'tcp')}"


def _published(text: str) -> list[tuple[str, dict[str, str]]]:
    specification, protocol = _split_protocol(text)
    address, host, container = _split(specification)
    if not container:
        raise PykeError(f"no port specified: {text}<empty>")
    first, last = _range(container, "containerPort")
    if address and not is_address(address):
        raise PykeError(f"invalid IP address: {address}")
    if not host:
        return [(f"{port}/{protocol}", {"HostIp": address, "HostPort": ""}) for port in range(first, last + 1)]
    host_first, host_last = _range(host, "hostPort")
    if host_last - host_first != last - first:
        if last != first:
            raise PykeError(f"invalid ranges specified for container and host Ports: {container} and {host}")
        # one container port and many host ports: the engine takes the first that is free
        return [(f"{first}/{protocol}", {"HostIp": address, "HostPort": host})]
    pairs = zip(range(first, last + 1), range(host_first, host_last + 1), strict=True)
    return [(f"{inside}/{protocol}", {"HostIp": address, "HostPort": str(outside)}) for inside, outside in pairs]


def _split_protocol(text: str) -> tuple[str, str]:
    specification, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise PykeError(f"invalid proto: {protocol}")
    return specification, protocol


def _split(text: str) -> tuple[str, str, str]:
    """(address, host port, container port) of ADDRESS:HOST:CONTAINER; an IPv6 address stands in brackets or not."""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        host, _, container = rest.removeprefix(":").rpartition(":")
        return address, host, container
    parts = text.split(":")
    return ":".join(parts[:-2]), parts[-2] if len(parts) > 1 else "", parts[-1]


def _range(text: str, name: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first, first]
    if not all(number.isdecimal() and number.isascii() and int(number) <= 65535 for number in numbers) or int(numbers[0]) > int(numbers[1]):
        raise PykeError(f"invalid {name}: {text}")
    return int(numbers[0]), int(numbers[1])


def parse_exposed(specifications: Iterable[str]) -> list[str]:
    """Read all `--expose PORT[-PORT][/PROTOCOL]` into "80/tcp"s."""
    exposed = []
    for text in specifications:
        if ":" in text:
            raise PykeError(f"invalid port format for --expose: {text}")
        ports, protocol = _split_protocol(text)
        try:
            first, last = _range(ports, "port")
        except PykeError:
            raise PykeError(f"invalid range format for --expose: {text}") from None
        exposed += [f"{port}/{protocol}" for port in range(first, last + 1)]
    return exposed
