"""Who is reached through a proxy, and who directly: decided as Go's programs do it (golang.org/x/net/http/httpproxy)."""

from __future__ import annotations

import functools
import ipaddress
import re

from pyke.api import RegistryProxies
from pyke_registry_distribution.proxy import Proxy, parse_proxy
from pyke_registry_distribution.transport import Origin

_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):(\d*)\Z")


def of(proxies: RegistryProxies, origin: Origin) -> Proxy | None:
    """The proxy that leads to an origin; None where it is reached directly."""
    text = proxies.https if origin.scheme == "https" else proxies.http
    if not text or origin.is_loopback or is_exempt(proxies.exempt, origin.host, origin.port):
        return None
    return _parsed(text)


_parsed = functools.lru_cache(maxsize=16)(parse_proxy)


def is_exempt(listed: str, host: str, port: int) -> bool:
    """Whether NO_PROXY lists a host: "corp.example" with all below it, ".corp.example" only what is below, an address, a network."""
    return any(_matches(each.strip().lower(), host.lower(), port) for each in listed.split(",") if each.strip())


def _matches(pattern: str, host: str, port: int) -> bool:
    if pattern == "*":
        return True
    address = _address(host)
    if "/" in pattern:
        try:
            return address is not None and address in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    name, wanted = _split(pattern)
    if wanted and wanted != str(port):
        return False
    if _address(name) is not None:
        return address == _address(name)
    name = name.removeprefix("*") if name.startswith("*.") else name
    if not name:
        return False
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split(pattern: str) -> tuple[str, str]:
    """Host and port; an address of IPv6 has a port only behind brackets."""
    found = _WITH_PORT.match(pattern)
    name, port = (found[1], found[2]) if found and pattern.count(":") == 1 + found[1].count(":") else (pattern, "")
    return name.removeprefix("[").removesuffix("]"), port


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
