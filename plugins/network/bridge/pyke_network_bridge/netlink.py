"""The kernel's links, addresses and routes: the only module that knows pyroute2.

`Netlink()` speaks to the network namespace of the calling thread. For another namespace, `inside` runs a function in a thread that lives
there and ends with it: setns(2) changes one thread alone, so the engine needs no child process.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pyke.api import PykeError
from pyke_network_bridge.sparing import sparing

with sparing("pyroute2"):  # its database, file server and other protocols are 6 MB and a tenth of a second of every engine
    from pyroute2.iproute.linux import IPRoute  # type: ignore[import-untyped]
    from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
    from pyroute2.netns import setns  # type: ignore[import-untyped]

T = TypeVar("T")
IFA_F_NODAD = 0x02


@dataclass(frozen=True, slots=True)
class Link:
    """An interface: its name, the word that somebody wrote on it, and whether it is a port of another."""

    name: str
    alias: str
    has_master: bool = False


class Netlink:
    """One rtnetlink socket. Failures become `PykeError`s that name the interface and the kernel's reason."""

    def __enter__(self) -> Netlink:
        self._socket = IPRoute()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._socket.close()

    def links(self) -> list[Link]:
        """Every interface of the namespace."""
        return [
            Link(each.get_attr("IFLA_IFNAME"), each.get_attr("IFLA_IFALIAS") or "", bool(each.get_attr("IFLA_MASTER")))
            for each in self._socket.get_links()
        ]

    def routed(self) -> list[str]:
        """Every destination that the namespace has an address in or a route to, in CIDR notation."""
        found = []
        for route in self._socket.get_routes(family=socket.AF_INET):
            if destination := route.get_attr("RTA_DST"):
                found.append(f"{destination}/{route['dst_len']}")
        return found

    def add_bridge(self, name: str, *, address: str, mtu: int) -> None:
        """Make a bridge, down and without ports; one that exists is left as it is.

        `address` is a fixed MAC: without one, a bridge takes the lowest of its ports', and changes it under its neighbours' caches.
        """
        wanted = {"ifname": name, "kind": "bridge", "address": address} | ({"mtu": mtu} if mtu else {})
        with _translated(f"make the bridge {name}", unless=errno.EEXIST):
            self._socket.link("add", **wanted)

    def add_pair(self, name: str, *, bridge: str, peer: str, peer_address: str, peer_namespace: int, mtu: int) -> None:
        """Make a veth pair in one request: this end on the bridge, the other already inside `peer_namespace` (a descriptor), still down."""
        sizes = {"mtu": mtu} if mtu else {}
        inside = {"ifname": peer, "address": peer_address, "net_ns_fd": peer_namespace, **sizes}
        with _translated(f"make the pair {name} on {bridge}"):
            self._socket.link("add", ifname=name, kind="veth", state="up", master=index_of(bridge), peer=inside, **sizes)

    def set_alias(self, name: str, alias: str) -> None:
        """Write a word of ours on an interface, for whoever cleans up."""
        with _translated(f"mark {name}"):
            self._socket.link("set", index=index_of(name), ifalias=alias)

    def set_master(self, name: str, bridge: str) -> None:
        """Make an interface a port of a bridge."""
        with _translated(f"put {name} on {bridge}"):
            self._socket.link("set", index=index_of(name), master=index_of(bridge))

    def set_up(self, name: str) -> None:
        with _translated(f"bring up {name}"):
            self._socket.link("set", index=index_of(name), state="up")

    def isolate_port(self, name: str) -> None:
        """Forbid a port of a bridge to speak to other isolated ports."""
        with _translated(f"isolate the port {name}"):
            self._socket.brport("set", index=index_of(name), isolated=1)

    def allow_hairpin(self, name: str) -> None:
        """Let a port of a bridge send back what came from it."""
        with _translated(f"set hairpin mode of {name}"):
            self._socket.brport("set", index=index_of(name), mode=1)

    def add_address(self, name: str, address: str) -> None:
        """Give an interface an address ("172.30.0.2/16"); one that it has already is fine. IPv6 addresses are usable at once."""
        interface = ipaddress.ip_interface(address)
        extra: dict[str, Any] = {"flags": IFA_F_NODAD}  # the engine hands out each address once: no second to wait for a duplicate
        if isinstance(interface, ipaddress.IPv4Interface):
            extra = {"broadcast": str(interface.network.broadcast_address)}
        with _translated(f"give {name} the address {address}", unless=errno.EEXIST):
            self._socket.addr("add", index=index_of(name), address=str(interface.ip), prefixlen=interface.network.prefixlen, **extra)

    def add_default_route(self, name: str, gateway: str) -> None:
        with _translated(f"route through {gateway}"):
            family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
            self._socket.route("add", family=family, dst="default", gateway=gateway, oif=index_of(name))

    def delete(self, name: str) -> bool:
        """Delete an interface (of a pair, both ends); say whether it was there."""
        with _translated(f"delete {name}", unless=errno.ENODEV), contextlib.suppress(OSError):
            self._socket.link("del", index=socket.if_nametoindex(name))
            return True
        return False


def index_of(name: str) -> int:
    """An interface's index in the namespace of the calling thread; `PykeError` when there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise PykeError(f"there is no interface {name}", hint="ip link") from error


def exists(name: str) -> bool:
    """Whether the calling thread's namespace has an interface of this name."""
    try:
        return socket.if_nametoindex(name) > 0
    except OSError:
        return False


@contextlib.contextmanager
def opened(namespace: str) -> Iterator[int]:
    """A descriptor of a network namespace."""
    try:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PykeError(f"the network namespace {namespace} cannot be opened: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def inside(namespace: int, work: Callable[[], T]) -> T:
    """Run `work` in the network namespace of a descriptor and return what it returns, or raise what it raises."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def live_there() -> None:
        try:
            setns(namespace)
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=live_there, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@contextlib.contextmanager
def _translated(what: str, unless: int = 0) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != unless:
            raise PykeError(f"cannot {what}: {_reason(error)}") from error


def _reason(error: Any) -> str:
    return os.strerror(error.code) if isinstance(error.code, int) else str(error)
