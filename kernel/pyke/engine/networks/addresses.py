"""Addresses: which of a network's are taken, and which is next.

An address that was given back is not given out again at once: the search goes on where it ended (next fit), so that a neighbour's cache
or a client's connection does not meet a stranger. What is taken follows from the containers' records; nothing here is persisted.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable

from pyke.errors import Forbidden, InvalidRequest, NoSpace
from pyke.model import Network, Subnet

CHUNK = 1024  # addresses in one bitmap: a full one is skipped in one step
FULL = (1 << CHUNK) - 1


class AddressPool:
    """The addresses of one subnet, counted from its first. Not thread-safe: `Addresses` is."""

    def __init__(self, subnet: Subnet) -> None:
        self.network = ipaddress.ip_network(subnet.subnet)
        self._base = int(self.network[0])
        part = ipaddress.ip_network(subnet.ip_range) if subnet.ip_range else self.network
        self._first, self._last = int(part[0]) - self._base, int(part[-1]) - self._base
        self._next = self._first
        self._taken: dict[int, int] = {}
        self._reserve(subnet)

    def _reserve(self, subnet: Subnet) -> None:
        self._set(0)  # the network itself; for IPv6, the routers' anycast address
        if self.network.version == 4:
            self._set(self.network.num_addresses - 1)  # broadcast
        for address in filter(None, (subnet.gateway, *subnet.reserved.values())):
            self._set(self._offset(address))

    def __contains__(self, address: str) -> bool:
        return ipaddress.ip_address(address) in self.network

    def take(self, address: str) -> bool:
        """Take one address; say whether it was free."""
        offset = self._offset(address)
        if self._is_set(offset):
            return False
        self._set(offset)
        return True

    def take_next(self) -> str:
        """Take the next free address; "" when none is left."""
        offset = self._free(self._next, self._last)
        if offset is None:
            offset = self._free(self._first, self._next - 1)
        if offset is None:
            return ""
        self._set(offset)
        self._next = offset + 1 if offset < self._last else self._first
        return str(self.network[offset])

    def give_back(self, address: str) -> None:
        """Free an address; twice is fine."""
        chunk, bit = divmod(self._offset(address), CHUNK)
        self._taken[chunk] = self._taken.get(chunk, 0) & ~(1 << bit)

    def _offset(self, address: str) -> int:
        return int(ipaddress.ip_address(address)) - self._base

    def _is_set(self, offset: int) -> bool:
        chunk, bit = divmod(offset, CHUNK)
        return bool(self._taken.get(chunk, 0) >> bit & 1)

    def _set(self, offset: int) -> None:
        chunk, bit = divmod(offset, CHUNK)
        self._taken[chunk] = self._taken.get(chunk, 0) | 1 << bit

    def _free(self, start: int, end: int) -> int | None:
        while start <= end:
            chunk, bit = divmod(start, CHUNK)
            free = ~self._taken.get(chunk, 0) & FULL & (FULL << bit)
            if free:
                found = chunk * CHUNK + (free & -free).bit_length() - 1
                return found if found <= end else None
            start = (chunk + 1) * CHUNK
        return None


class Addresses:
    """The addresses of all networks. Safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, tuple[tuple[Subnet, ...], list[AddressPool]]] = {}

    def take(self, network: Network, version: int, *, wanted: str = "", preferred: str = "") -> str:
        """Take an address of IP `version` on a network and return it with its prefix ("172.30.0.2/16"); "" where it has no such subnet.

        `wanted` or none: `InvalidRequest` when it is of no subnet, `Forbidden` when it is taken. `preferred` is taken where it is free.
        `NoSpace` when nothing is left.
        """
        with self._lock:
            pools = [pool for pool in self._of(network) if pool.network.version == version]
            if wanted:
                return _taken_in(_pool_of(wanted, pools), wanted)
            if not pools:
                return ""
            for pool in pools:
                if preferred and preferred in pool and pool.take(preferred):
                    return f"{preferred}/{pool.network.prefixlen}"
            for pool in pools:
                if address := pool.take_next():
                    return f"{address}/{pool.network.prefixlen}"
        raise NoSpace(
            f"no available IPv{version} addresses on this network's address pools: {network.name} ({network.id})",
            hint="pyke network create --subnet 10.0.0.0/16 NAME",
        )

    def mark(self, network: Network, addresses: Iterable[str]) -> None:
        """Note as taken what a record says is taken; what is of no subnet any more is passed over."""
        with self._lock:
            for address in addresses:
                for pool in self._of(network):
                    if _plain(address) in pool:
                        pool.take(_plain(address))

    def give_back(self, network: Network, addresses: Iterable[str]) -> None:
        """Free addresses (with or without prefix); twice is fine."""
        with self._lock:
            for address in addresses:
                for pool in self._of(network):
                    if _plain(address) in pool:
                        pool.give_back(_plain(address))

    def forget(self, network: str) -> None:
        """A network is gone."""
        with self._lock:
            self._pools.pop(network, None)

    def _of(self, network: Network) -> list[AddressPool]:
        subnets, pools = self._pools.get(network.id, ((), []))
        if subnets != network.subnets:
            pools = [AddressPool(subnet) for subnet in network.subnets]
            self._pools[network.id] = network.subnets, pools
        return pools


def gateway_of(network: Network, address: str) -> str:
    """The gateway of the subnet that an address belongs to, or ""."""
    if not address:
        return ""
    plain = ipaddress.ip_address(_plain(address))
    return next((subnet.gateway for subnet in network.subnets if plain in ipaddress.ip_network(subnet.subnet)), "")


def check_address(network: Network, address: str) -> None:
    """`InvalidRequest` where an address is none, or is of none of a network's subnets."""
    try:
        inside = any(ipaddress.ip_address(address) in ipaddress.ip_network(subnet.subnet) for subnet in network.subnets)
    except ValueError as error:
        raise InvalidRequest(f"invalid IP address: {address}") from error
    if not inside:
        raise _outside(address)


def _pool_of(address: str, pools: list[AddressPool]) -> AddressPool:
    for pool in pools:
        if address in pool:
            return pool
    raise _outside(address)


def _outside(address: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid address {address}: It does not belong to any of this network's subnets", hint="pyke network inspect NETWORK"
    )


def _taken_in(pool: AddressPool, address: str) -> str:
    if not pool.take(address):
        raise Forbidden("Address already in use", hint="pyke network inspect NETWORK")
    return f"{address}/{pool.network.prefixlen}"


def _plain(address: str) -> str:
    return address.partition("/")[0]
