"""Addresses: what is taken, what is next, and what a request may ask for."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.networks.addresses import Addresses, check_address, gateway_of
from pyke.errors import Forbidden, InvalidRequest, NoSpace
from pyke.model import Network, Subnet

SMALL = Network("a" * 64, "small", "bridge", subnets=(Subnet("10.9.0.0/29", "10.9.0.1"),))  # five addresses for containers
WIDE = Network("b" * 64, "wide", "bridge", subnets=(Subnet("172.30.0.0/16", "172.30.0.1"),))


def test_the_first_address_after_the_gateway_is_the_first() -> None:
    addresses = Addresses()
    assert [addresses.take(WIDE, 4) for _ in range(3)] == ["172.30.0.2/16", "172.30.0.3/16", "172.30.0.4/16"]


def test_an_address_that_was_given_back_is_not_reused_at_once() -> None:
    addresses = Addresses()
    first = addresses.take(SMALL, 4)
    addresses.give_back(SMALL, [first])
    assert addresses.take(SMALL, 4) == "10.9.0.3/29"


def test_the_search_comes_round() -> None:
    addresses = Addresses()
    taken = [addresses.take(SMALL, 4) for _ in range(5)]
    addresses.give_back(SMALL, [taken[1]])
    assert addresses.take(SMALL, 4) == taken[1]


def test_a_container_gets_its_last_address_again_where_it_is_free() -> None:
    addresses = Addresses()
    assert addresses.take(WIDE, 4, preferred="172.30.7.7") == "172.30.7.7/16"
    assert addresses.take(WIDE, 4, preferred="172.30.7.7") == "172.30.0.2/16"


def test_exhaustion_names_the_network() -> None:
    addresses = Addresses()
    for _ in range(5):
        addresses.take(SMALL, 4)
    with pytest.raises(NoSpace, match=r"no available IPv4 addresses on this network's address pools: small \(a{64}\)"):
        addresses.take(SMALL, 4)


def test_requested_addresses() -> None:
    addresses = Addresses()
    assert addresses.take(WIDE, 4, wanted="172.30.9.9") == "172.30.9.9/16"
    for taken in ("172.30.9.9", "172.30.0.1", "172.30.0.0", "172.30.255.255"):
        with pytest.raises(Forbidden, match="Address already in use"):
            addresses.take(WIDE, 4, wanted=taken)
    with pytest.raises(InvalidRequest, match=r"Invalid address 10\.98\.0\.77: It does not belong to any of this network's subnets"):
        addresses.take(WIDE, 4, wanted="10.98.0.77")


def test_addresses_come_from_the_range_but_may_be_requested_outside_of_it() -> None:
    network = Network("c" * 64, "ranged", "bridge", subnets=(Subnet("10.1.0.0/16", "10.1.0.1", "10.1.5.0/30", {"printer": "10.1.5.1"}),))
    addresses = Addresses()
    assert [addresses.take(network, 4) for _ in range(3)] == ["10.1.5.0/16", "10.1.5.2/16", "10.1.5.3/16"]
    with pytest.raises(NoSpace):
        addresses.take(network, 4)
    assert addresses.take(network, 4, wanted="10.1.0.9") == "10.1.0.9/16"


def test_ipv6() -> None:
    network = Network("d" * 64, "six", "bridge", ipv6=True, subnets=(Subnet("10.2.0.0/24", "10.2.0.1"), Subnet("fd00:2::/64", "fd00:2::1")))
    addresses = Addresses()
    assert addresses.take(network, 6) == "fd00:2::2/64"
    assert addresses.take(network, 4) == "10.2.0.2/24"
    assert addresses.take(WIDE, 6) == ""
    assert gateway_of(network, "fd00:2::2/64") == "fd00:2::1"
    assert gateway_of(network, "10.2.0.2/24") == "10.2.0.1"


def test_a_second_subnet_takes_over_when_the_first_is_full() -> None:
    network = Network("e" * 64, "two", "bridge", subnets=(Subnet("10.9.0.0/30", "10.9.0.1"), Subnet("10.9.1.0/30", "10.9.1.1")))
    addresses = Addresses()
    assert [addresses.take(network, 4) for _ in range(2)] == ["10.9.0.2/30", "10.9.1.2/30"]


def test_what_records_say_is_taken() -> None:
    addresses = Addresses()
    addresses.mark(WIDE, ["172.30.0.2/16", "172.30.0.3/16", "10.0.0.1/8"])
    assert addresses.take(WIDE, 4) == "172.30.0.4/16"


@pytest.mark.parametrize("address", ["", "no address", "10.9.0.999", "::1", "10.9.0.2/29"])
def test_check_address_refuses(address: str) -> None:
    with pytest.raises(InvalidRequest):
        check_address(SMALL, address)


@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=60))
def test_an_address_has_one_holder(steps: list[int | None]) -> None:
    """None takes one; a number gives the one at that place back. Never is one handed out that is held, or that is not the network's."""
    addresses, held = Addresses(), list[str]()
    network = Network("f" * 64, "tiny", "bridge", subnets=(Subnet("10.9.0.0/28", "10.9.0.1"),))
    for step in steps:
        if step is None:
            if len(held) == 13:
                with pytest.raises(NoSpace):
                    addresses.take(network, 4)
                continue
            address = addresses.take(network, 4)
            assert address not in held
            assert ipaddress.ip_interface(address).ip in list(ipaddress.ip_network("10.9.0.0/28").hosts())[1:]
            held.append(address)
        elif step < len(held):
            addresses.give_back(network, [held.pop(step)])


def test_the_cost_does_not_grow_with_what_is_taken() -> None:
    """With 60,000 of 65,533 taken, a hundred more cost milliseconds."""
    addresses = Addresses()
    base = int(ipaddress.ip_address("172.30.0.2"))
    addresses.mark(WIDE, (str(ipaddress.ip_address(base + offset)) for offset in range(60_000)))
    start = time.process_time()
    for _ in range(100):
        addresses.take(WIDE, 4)
    assert time.process_time() - start < 0.1
