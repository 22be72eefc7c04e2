"""What a container may wish for on networks, checked before anything is made; the words of refusal are Docker's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.networks.addresses import check_address
from pyke.engine.networks.ports import check_wish
from pyke.errors import Forbidden, InvalidRequest, NoSuchNetwork
from pyke.model import Container, ContainerSpec, EndpointSpec, Network

if TYPE_CHECKING:
    from pyke.engine.networks.door import Networks

HINT = "pyke run --help"
CREATE_HINT = "pyke network create NAME"


class Wishes:
    """Turns the words of a specification into networks."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def resolve(self, spec: ContainerSpec) -> list[tuple[Network, EndpointSpec]]:
        """The networks that a specification asks for, the one of its network mode first."""
        for port in spec.ports:
            check_wish(port)
        mode = network_mode(spec)
        if mode.partition(":")[0] == "container":
            _check_shared(spec, mode)
            return []
        if spec.network_disabled:
            return []
        if mode == "host" and spec.links:
            raise _conflict("host type networking can't be used with links. This would result in undefined behavior")
        wishes = [(self._networks.wanted(wish.network), wish) for wish in _all_wishes(spec, mode)]
        for network, wish in wishes:
            _check(network, wish)
        if len(wishes) > 1:
            for network, _ in wishes:
                _check_alone(network)
        return wishes

    def check_connection(self, network: Network, container: Container, wish: EndpointSpec) -> None:
        """Refuse to connect a container where it cannot be."""
        if network_mode(container.spec).startswith("container:"):
            what = "container sharing network namespace with another container or host"
            raise InvalidRequest(f"{what} cannot be connected to any other network", hint=CREATE_HINT)
        _check_alone(network)
        for endpoint in container.endpoints:
            if endpoint.network == network.id:
                raise Forbidden(
                    f"endpoint with name {container.name} already exists in network {network.name}",
                    hint=f"pyke network disconnect {network.name} {container.name}",
                )
            with contextlib.suppress(NoSuchNetwork):  # it was removed while the container did not run
                _check_alone(self._networks.get(endpoint.network_name))
        _check(network, wish)


def network_mode(spec: ContainerSpec) -> str:
    """The network mode, with "default" spelt out."""
    return "bridge" if spec.network_mode in ("", "default") else spec.network_mode


def _all_wishes(spec: ContainerSpec, mode: str) -> Iterator[EndpointSpec]:
    own = [each for each in spec.endpoints if each.network in (mode, spec.network_mode)]
    yield replace(own[0], network=mode) if own else EndpointSpec(mode)
    for each in spec.endpoints:
        if each not in own:
            yield each


def _check(network: Network, wish: EndpointSpec) -> None:
    if network.builtin and (wish.ipv4 or wish.ipv6):
        raise InvalidRequest("user specified IP address is supported on user defined networks only", hint=CREATE_HINT)
    if network.builtin and wish.aliases:
        raise InvalidRequest("network-scoped alias is supported only for containers in user defined networks", hint=CREATE_HINT)
    for address in filter(None, (wish.ipv4, wish.ipv6)):
        check_address(network, address)
    if wish.mac and not _is_mac(wish.mac):
        raise InvalidRequest(f"invalid MAC address: {wish.mac}", hint=HINT)


def _check_alone(network: Network) -> None:
    """The host's namespace and an empty one are no places from which to be on another network."""
    if network.driver == "host":
        raise InvalidRequest("container cannot be disconnected from host network or connected to host network", hint=CREATE_HINT)
    if network.driver == "none":
        what = "multiple networks with one of the networks in private (none) mode"
        raise InvalidRequest(f"container cannot be connected to {what}", hint=CREATE_HINT)


def _check_shared(spec: ContainerSpec, mode: str) -> None:
    """A container that joins another's namespace has no network of its own to configure."""
    if not mode.partition(":")[2]:
        message = "Invalid network mode: invalid container format container:<name|id>"
        raise InvalidRequest(message, hint="pyke run --network container:NAME IMAGE")
    if spec.links:
        raise _conflict("container type network can't be used with links. This would result in undefined behavior")
    conflicts = {
        "hostname": bool(spec.hostname),
        "dns": bool(spec.dns),
        "custom host-to-IP mapping": bool(spec.extra_hosts),
    }
    for option, given in conflicts.items():
        if given:
            raise _conflict(f"{option} and the network mode")
    if spec.ports or spec.publish_all_ports:
        raise _conflict("port publishing and the container type network mode")
    if spec.exposed_ports:
        raise _conflict("port exposing and the container type network mode")


def _conflict(what: str) -> InvalidRequest:
    return InvalidRequest(f"conflicting options: {what}", hint=HINT)


def _is_mac(text: str) -> bool:
    parts = text.replace("-", ":").split(":")
    return len(parts) == 6 and all(len(part) == 2 and set(part) <= set("0123456789abcdefABCDEF") for part in parts)
