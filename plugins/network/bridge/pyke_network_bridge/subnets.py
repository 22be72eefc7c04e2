"""Which subnet a network gets when nobody asked for one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from pyke.api import InvalidRequest, NoSpace, Subnet

IPv4Network = ipaddress.IPv4Network
Pool = tuple[IPv4Network, int]  # where to cut from, and the length of the prefix to cut

#: Docker's: sixteen bits each from 172.17 to 172.31, then twelve bits each in 192.168.
DEFAULT_POOLS: tuple[Pool, ...] = (
    *((IPv4Network(f"172.{second}.0.0/16"), 16) for second in range(17, 32)),
    (IPv4Network("192.168.0.0/16"), 20),
)
POOL = re.compile(r"base=([0-9./]+),size=([0-9]{1,2})\Z")


def parse_pools(text: str) -> tuple[Pool, ...]:
    """The pools of the setting `default_address_pools`: "base=10.10.0.0/16,size=24", several separated by blanks; "" is Docker's."""
    return tuple(_parse_pool(word) for word in text.split()) or DEFAULT_POOLS


def _parse_pool(word: str) -> Pool:
    match = POOL.match(word)
    try:
        if not match:
            raise ValueError("not of the form base=10.10.0.0/16,size=24")
        base, size = IPv4Network(match[1]), int(match[2])
        if not base.prefixlen <= size <= 30:
            raise ValueError(f"size must be between {base.prefixlen} and 30")
    except ValueError as error:
        raise InvalidRequest(f"invalid entry {word!r} in default_address_pools: {error}") from error
    return base, size


def free_subnet(pools: Iterable[Pool], used: Iterable[str]) -> Subnet:
    """The first subnet of the pools that touches none of `used` (in CIDR notation, of either family), with its first address as gateway."""
    taken = sorted(_ipv4(used))
    for base, size in pools:
        subnet = _first_gap(base, size, taken)
        if subnet is not None:
            return Subnet(str(subnet), str(subnet[1]))
    raise NoSpace(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        hint="pyke network prune",
    )


def _ipv4(networks: Iterable[str]) -> Iterator[tuple[int, int]]:
    for text in networks:
        network = ipaddress.ip_network(text, strict=False)
        if isinstance(network, IPv4Network) and network.prefixlen:  # a default route is everywhere and forbids nothing
            yield int(network[0]), int(network[-1])


def _first_gap(base: IPv4Network, size: int, taken: list[tuple[int, int]]) -> IPv4Network | None:
    """Walk over what is taken once, however many subnets the pool could be cut into."""
    step, start, end = 1 << (32 - size), int(base[0]), int(base[-1])
    for first, last in taken:
        if last < start:
            continue
        if first >= start + step:
            break
        start = (last // step + 1) * step
    return IPv4Network((start, size)) if start + step - 1 <= end else None
