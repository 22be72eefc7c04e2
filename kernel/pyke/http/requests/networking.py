"""NetworkMode, endpoints, names and addresses → what a `ContainerSpec` says of them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import replace

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.http.versions import Version
from pyke.model import EndpointSpec, PortSpec

MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
PREDEFINED = ("default", "bridge", "host", "none")
MANY_ENDPOINTS = Version(1, 44)  # from here on a container may be created on several networks
_PRINTABLE = re.compile(r"[^\s\x00-\x1f\x7f]*")


def network_mode(host_config: Fields) -> str:
    """Docker's NetworkMode; "" is "default"."""
    mode = host_config.text("NetworkMode") or "default"
    if mode == "container:" or mode == "container":
        raise InvalidRequest("Invalid network mode: invalid container format container:<name|id>")
    return mode


def endpoints(networking: Fields, config: Fields, mode: str, version: Version) -> tuple[EndpointSpec, ...]:
    """The wishes of EndpointsConfig; Config.MacAddress, which older clients send, is one of the network of `mode`."""
    found = tuple(endpoint(name, settings, f"EndpointsConfig[{name!r}]") for name, settings in networking.items("EndpointsConfig"))
    if len(found) > 1 and version < MANY_ENDPOINTS:
        names = ", ".join(each.network for each in found)
        raise InvalidRequest(f"Container cannot be connected to network endpoints: {names}")
    mac = check_mac(config.text("MacAddress"))
    if not mac:
        return found
    if not any(each.network == mode for each in found):
        return (EndpointSpec(mode, mac=mac), *found)
    return tuple(replace(each, mac=each.mac or mac) if each.network == mode else each for each in found)


def endpoint(network: str, settings: object, path: str) -> EndpointSpec:
    """One EndpointSettings object (null means: nothing special)."""
    fields = Fields(settings if settings is not None else {}, path)
    wishes = fields.object("IPAMConfig")
    return EndpointSpec(
        network,
        ipv4=_address(wishes.text("IPv4Address"), 4),
        ipv6=_address(wishes.text("IPv6Address"), 6),
        mac=check_mac(fields.text("MacAddress")),
        aliases=tuple(dict.fromkeys(_name(alias, "alias") for alias in fields.texts("Aliases"))),
        links=fields.texts("Links"),
        driver_options=fields.mapping("DriverOpts"),
    )


def warnings(mode: str, ports: Sequence[PortSpec]) -> list[str]:
    """What will not be done of what was asked for."""
    return ["Published ports are discarded when using host network mode"] if mode == "host" and ports else []


def check_mac(text: str) -> str:
    if text and not MAC.fullmatch(text):
        raise InvalidRequest(f"{text} is not a valid mac address")
    return text.replace("-", ":").lower()


def host_name(config: Fields, key: str) -> str:
    """Hostname or Domainname: what /etc/hosts and sethostname(2) take."""
    name = _name(config.text(key), key)
    if len(name) > 64:
        raise InvalidRequest(f"{key} {name[:70]!r} is longer than 64 characters")
    return name


def dns_servers(host_config: Fields) -> tuple[str, ...]:
    servers = host_config.texts("Dns")
    for server in servers:
        try:
            ipaddress.ip_address(server)
        except ValueError:
            raise InvalidRequest(f"IP address is not correctly formatted: {server}") from None
    return servers


def resolver_words(host_config: Fields, key: str) -> tuple[str, ...]:
    """DnsSearch or DnsOptions: words of resolv.conf(5), one each."""
    return tuple(_name(word, key) for word in host_config.texts(key))


def extra_hosts(host_config: Fields) -> tuple[str, ...]:
    """ "name:address" lines for /etc/hosts; `host-gateway` stands for the host."""
    found = host_config.texts("ExtraHosts")
    for text in found:
        name, _, address = text.partition(":")
        if not name or not _PRINTABLE.fullmatch(name):
            raise InvalidRequest(f'bad format for add-host: "{text}"')
        if address != "host-gateway" and not _is_address(address.strip("[]")):
            raise InvalidRequest(f'invalid IP address in add-host: "{address}"')
    return found


def check_mode_conflicts(mode: str, config: Fields, host_config: Fields, links: Sequence[str]) -> None:
    """What a shared network namespace cannot have of its own (runconfig/hostconfig_unix.go)."""
    if host_config.text("UTSMode") == "host" and config.text("Hostname"):
        raise InvalidRequest("conflicting options: hostname and the UTS mode")
    if mode == "host" and links:
        raise InvalidRequest("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
    if not mode.startswith("container:"):
        return
    conflicts = (
        (config.is_set("Hostname"), "hostname and the network mode"),
        (bool(links), "container type network can't be used with links. This would result in undefined behavior"),
        (host_config.is_set("Dns"), "dns and the network mode"),
        (host_config.is_set("ExtraHosts"), "custom host-to-IP mapping and the network mode"),
        (config.is_set("MacAddress"), "mac-address and the network mode"),
        (host_config.is_set("PortBindings") or host_config.flag("PublishAllPorts"), "port publishing and the container type network mode"),
        (config.is_set("ExposedPorts"), "port exposing and the container type network mode"),
    )
    for is_given, what in conflicts:
        if is_given:
            raise InvalidRequest(f"conflicting options: {what}")


def _address(text: str, family: int) -> str:
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != family:
        raise InvalidRequest(f"invalid IPv{family} address: {text}")
    return str(address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _name(text: str, what: str) -> str:
    """A word that goes into a file of lines: no blanks, no control characters."""
    if not _PRINTABLE.fullmatch(text):
        raise InvalidRequest(f"{what} {text[:70]!r} has blanks or control characters")
    return text
