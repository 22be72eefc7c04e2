"""Published ports: chosen, and held as long as a container has them.

A port is held by a socket that listens and never accepts: the packet filter takes the connections before it sees one. The kernel then
refuses the port to everybody else on the host, other engines included, and tells this engine which ports others have.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator

from pyke.errors import InvalidRequest, PykeError
from pyke.model import Container, PortSpec, PublishedPort

LOCAL_PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
PROTOCOLS = ("tcp", "udp", "sctp")
EVERYWHERE = ("0.0.0.0", "::")


class PortTaken(PykeError):
    """Somebody else has the port: a container, or a program on the host."""


class Ports:
    """The ports of all containers of one engine. Safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, list[socket.socket]] = {}
        self._unbound: dict[PublishedPort, str] = {}  # whose they are, although no socket of ours holds them
        self._next = 0

    def publish(self, owner: str, wishes: Iterable[PortSpec], *, default_ip: str, with_ipv6: bool) -> tuple[PublishedPort, ...]:
        """Choose and hold a host port for each wish, all or none. `PortTaken` names the one that cannot be had."""
        try:
            return tuple(itertools.chain.from_iterable(self._publish(owner, wish, default_ip, with_ipv6) for wish in wishes))
        except BaseException:
            self.release(owner)
            raise

    def hold(self, owner: str, ports: Iterable[PublishedPort]) -> list[PublishedPort]:
        """Hold what a running container has already, for an engine that takes over; return what somebody else took meanwhile.

        That is the container's all the same: the packet filter says so, and no other container is given it.
        """
        lost = [port for port in ports if not self._take_all(owner, [port])]
        with self._lock:
            self._unbound.update(dict.fromkeys(lost, owner))
        return lost

    def release(self, owner: str) -> None:
        """Let all ports of a container go; twice is fine."""
        with self._lock:
            for each in self._held.pop(owner, ()):
                each.close()
            self._unbound = {port: holder for port, holder in self._unbound.items() if holder != owner}

    def close(self) -> None:
        """Let everything go."""
        for owner in list(self._held):
            self.release(owner)

    def _publish(self, owner: str, wish: PortSpec, default_ip: str, with_ipv6: bool) -> list[PublishedPort]:
        addresses = _addresses(wish.host_ip or default_ip, explicit=bool(wish.host_ip), with_ipv6=with_ipv6)
        for number in self._candidates(wish):
            ports = [PublishedPort(wish.container_port, wish.protocol, address, number) for address in addresses]
            if self._take_all(owner, ports):
                return ports
        where = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        asked = f"{wish.host_port}-{wish.host_port_end}" if wish.host_port_end > wish.host_port else str(wish.host_port)
        raise PortTaken(f"Bind for {where}:{asked} failed: port is already allocated", hint="pyke ps --filter status=running")

    def _candidates(self, wish: PortSpec) -> Iterator[int]:
        if wish.host_port:
            yield from range(wish.host_port, max(wish.host_port, wish.host_port_end) + 1)
            return
        first, last = _local_port_range()
        with self._lock:
            start = self._next if first <= self._next <= last else first
        for number in itertools.chain(range(start, last + 1), range(first, start)):
            with self._lock:
                self._next = number + 1
            yield number

    def _take_all(self, owner: str, ports: list[PublishedPort]) -> bool:
        """Hold all of these, or none and say False."""
        if not self._take_unbound(owner, ports):
            return False
        if ports[0].protocol == "sctp":
            return True
        with contextlib.ExitStack() as undo:
            held = []
            for port in ports:
                holder = _bound(port)
                if holder is None:
                    return False
                held.append(undo.enter_context(holder))
            undo.pop_all()
        with self._lock:
            self._held.setdefault(owner, []).extend(held)
        return True

    def _take_unbound(self, owner: str, ports: list[PublishedPort]) -> bool:
        """Whether no other container has one of these where no socket tells so. Those of a protocol that the kernel may not have, and so
        no socket can hold, are the owner's from now on."""
        with self._lock:
            others = [port for port, holder in self._unbound.items() if holder != owner]
            if any(_meet(port, other) for port in ports for other in others):
                return False
            if ports[0].protocol == "sctp":
                self._unbound.update(dict.fromkeys(ports, owner))
            return True


def _meet(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether two published ports are in each other's way, as they are for bind(2)."""
    if (one.protocol, one.host_port, ":" in one.host_ip) != (other.protocol, other.host_port, ":" in other.host_ip):
        return False
    return one.host_ip == other.host_ip or not {one.host_ip, other.host_ip}.isdisjoint(EVERYWHERE)


def check_wish(wish: PortSpec) -> None:
    """`InvalidRequest` where a port cannot be meant."""
    if wish.protocol not in PROTOCOLS:
        raise InvalidRequest(f"invalid proto: {wish.protocol}", hint="pyke run -p 8080:80/tcp IMAGE")
    if not 0 < wish.container_port < 65536 or not 0 <= wish.host_port < 65536 or not 0 <= wish.host_port_end < 65536:
        raise InvalidRequest(f"invalid port: {wish.host_port}:{wish.container_port}", hint="pyke run -p 8080:80 IMAGE")
    try:
        ipaddress.ip_address(wish.host_ip or "0.0.0.0")
    except ValueError as error:
        raise InvalidRequest(f"invalid IP address: {wish.host_ip}", hint="pyke run -p 127.0.0.1:8080:80 IMAGE") from error


def wanted_ports(container: Container) -> list[PortSpec]:
    """The ports that a container asks to have published; with `-P`, the other exposed ones too, each on a port of the engine's choice."""
    wishes = list(container.spec.ports)
    if container.spec.publish_all_ports:
        named = {(wish.container_port, wish.protocol) for wish in wishes}
        exposed = dict.fromkeys((*container.image_config.exposed_ports, *container.spec.exposed_ports))
        wishes += [PortSpec(*port) for port in exposed_ports(exposed) if port not in named]
    return wishes


def exposed_ports(texts: Iterable[str]) -> list[tuple[int, str]]:
    """("80/tcp", "7000-7002/udp") as port and protocol; what an image says that is no port is passed over."""
    ports = []
    for text in texts:
        numbers, _, protocol = text.partition("/")
        first, _, last = numbers.partition("-")
        if first.isdecimal() and (last or first).isdecimal() and 0 < int(first) <= int(last or first) < 65536:
            ports += [(number, protocol or "tcp") for number in range(int(first), int(last or first) + 1)]
    return list(dict.fromkeys(ports))


def _addresses(address: str, *, explicit: bool, with_ipv6: bool) -> list[str]:
    """Where to publish: on all addresses means on those of IPv6 too, where the container has one."""
    if explicit or address != "0.0.0.0" or not with_ipv6:
        return [address]
    return ["0.0.0.0", "::"]


def _bound(port: PublishedPort) -> socket.socket | None:
    """A socket that has the port, or None when somebody else has it."""
    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    holder = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier holder in TIME_WAIT do not matter
        holder.bind((port.host_ip, port.host_port))
        if kind == socket.SOCK_STREAM:
            holder.listen(1)
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise PykeError(f"Bind for {port.host_ip}:{port.host_port} failed: {error.strerror}", hint="ip address") from error
    return holder


def _local_port_range() -> tuple[int, int]:
    try:
        with open(LOCAL_PORT_RANGE, encoding="ascii") as file:
            first, last = file.read().split()
            return int(first), int(last)
    except (OSError, ValueError):
        return 32768, 60999
