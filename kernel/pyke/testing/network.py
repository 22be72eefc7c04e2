"""What every network driver promises, as tests. A driver's own test file is one fixture:

    class TestMine(NetworkConformance):
        @pytest.fixture
        def driver_class(self) -> type[MyDriver]:
            return MyDriver

Each test lives on a `FakeHost` of its own. Override `options` to test your driver with other settings, and `network` with other options.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pyke.codec import from_data, to_data
from pyke.drivers import DriverHome, NetworkDriver, ReconcilesNetworks, replace
from pyke.errors import PykeError
from pyke.model import Endpoint, Network
from pyke.testing.fakehost import FakeHost, Namespace
from pyke.testing.patience import eventually

T = TypeVar("T")


class NetworkConformance:
    """The suite. Give it the fixture `driver_class`."""

    @pytest.fixture
    def driver_class(self) -> type[NetworkDriver]:
        raise NotImplementedError("give your test class a fixture `driver_class` that returns the class of your driver")

    @pytest.fixture
    def options(self) -> dict[str, str]:
        """The driver's section of config.yaml."""
        return {}

    @pytest.fixture
    def host(self) -> Iterator[FakeHost]:
        with FakeHost() as host, host.entered():
            yield host

    @pytest.fixture
    def driver(self, driver_class: type[NetworkDriver], options: dict[str, str], host: FakeHost, tmp_path: Path) -> NetworkDriver:
        return driver_class(DriverHome(str(tmp_path / "driver"), str(tmp_path / "run"), "c0ffee", options))

    @pytest.fixture
    def network(self, driver_class: type[NetworkDriver]) -> Network:
        """A network as it is asked for, before `create`."""
        return Network(id="d1" * 32, name="conformance", driver=driver_class.__name__)

    @pytest.fixture
    def made(self, driver: NetworkDriver, network: Network) -> Iterator[Network]:
        """A network that exists."""
        settled = driver.create(network, [])
        yield settled
        driver.remove(settled)

    # networks

    def test_the_constructor_touches_nothing(self, driver: NetworkDriver, host: FakeHost, tmp_path: Path) -> None:
        assert host.interfaces() == {"lo", "uplink"}
        assert host.ruleset() == ""
        assert list(tmp_path.iterdir()) == []

    def test_create_settles_the_network(self, made: Network, network: Network) -> None:
        assert survives_json(made)
        assert (made.id, made.name, made.driver) == (network.id, network.name, network.driver)
        for subnet in made.subnets:
            assert ipaddress.ip_address(subnet.gateway) in ipaddress.ip_network(subnet.subnet)

    def test_create_again_changes_nothing(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before = host.interfaces(), host.ruleset()
        assert driver.create(made, []) == made
        assert (host.interfaces(), host.ruleset()) == before

    def test_create_keeps_clear_of_what_is_taken(self, driver: NetworkDriver, made: Network) -> None:
        second = replace(made, id="d2" * 32, name="second", subnets=(), interface="")
        settled = driver.create(second, [subnet.subnet for subnet in made.subnets])
        for mine, other in itertools.product(settled.subnets, made.subnets):
            assert not ipaddress.ip_network(mine.subnet).overlaps(ipaddress.ip_network(other.subnet))
        driver.remove(settled)

    def test_remove_leaves_nothing(self, driver: NetworkDriver, network: Network, host: FakeHost) -> None:
        made = driver.create(network, [])
        driver.remove(made)
        assert host.interfaces() == {"lo", "uplink"}
        assert host.ruleset() == ""
        driver.remove(made)

    # endpoints

    def test_attach_and_detach(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before, container, wish = host.interfaces(), host.container(), endpoint(made)
        attached = driver.attach(made, wish, container.path)
        assert survives_json(attached)
        assert (attached.id, attached.ipv4, attached.ports) == (wish.id, wish.ipv4, wish.ports)
        check_inside(attached, container)
        driver.detach(made, attached, container.path)
        eventually(lambda: host.interfaces() == before)
        assert inside(container) <= {"lo"}

    def test_detach_twice(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        container = host.container()
        attached = driver.attach(made, endpoint(made), container.path)
        driver.detach(made, attached, container.path)
        driver.detach(made, attached, container.path)

    @pytest.mark.parametrize("namespace", ["", "/proc/self/ns/nothing"])
    def test_detach_what_was_never_attached(self, driver: NetworkDriver, made: Network, namespace: str) -> None:
        driver.detach(made, endpoint(made), namespace)

    def test_detach_when_the_namespace_is_gone(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before, container = host.interfaces(), host.container()
        attached = driver.attach(made, endpoint(made), container.path)
        container.close()
        driver.detach(made, attached, container.path)
        eventually(lambda: host.interfaces() == before)

    def test_detach_frees_the_host_while_the_namespace_lives_on(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before, container = host.interfaces(), host.container()
        attached = driver.attach(made, endpoint(made), container.path)
        driver.detach(made, attached, "")
        eventually(lambda: host.interfaces() == before)

    def test_a_container_comes_back(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        for _ in range(3):
            container = host.container()
            attached = driver.attach(made, endpoint(made), container.path)
            check_inside(attached, container)
            driver.detach(made, attached, container.path)
            container.close()

    def test_attach_undoes_what_it_did_when_it_fails(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before, container = (host.interfaces(), host.ruleset()), host.container()
        container.run("ip", "link", "add", "eth0", "type", "bridge")  # the name is taken
        wish = endpoint(made)
        try:
            driver.attach(made, wish, container.path)
        except PykeError:
            assert (host.interfaces(), host.ruleset()) == before
        else:  # a driver that needs no interface inside
            driver.detach(made, wish, container.path)

    def test_attach_to_a_namespace_that_is_gone(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before = host.interfaces(), host.ruleset()
        container = host.container()
        container.close()
        with contextlib.suppress(PykeError):  # a driver that does nothing in there need not notice
            driver.attach(made, endpoint(made), container.path)
        assert (host.interfaces(), host.ruleset()) == before

    def test_many_at_once(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        before, containers = host.interfaces(), [host.container() for _ in range(6)]
        wishes = [endpoint(made, number) for number in range(6)]
        with ThreadPoolExecutor(6) as pool:
            attached = list(pool.map(lambda wish, container: driver.attach(made, wish, container.path), wishes, containers))
            for each, container in zip(attached, containers, strict=True):
                check_inside(each, container)
            list(pool.map(lambda each, container: driver.detach(made, each, container.path), attached, containers))
        eventually(lambda: host.interfaces() == before)

    # after a crash, for drivers that can clean up

    def test_reconcile_removes_what_nobody_owns(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        reconciling = able(driver)
        before, container = host.interfaces(), host.container()
        driver.attach(made, endpoint(made), container.path)
        reconciling.reconcile([made], [])
        eventually(lambda: host.interfaces() == before)
        reconciling.reconcile([], [])
        assert host.interfaces() == {"lo", "uplink"}
        assert host.ruleset() == ""

    def test_reconcile_restores_what_the_host_lost(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        reconciling, container = able(driver), host.container()
        attached = driver.attach(made, endpoint(made), container.path)
        before = host.ruleset()
        host.run("nft", "flush", "ruleset")
        assert reconciling.reconcile([made], [attached]) or not before
        assert host.ruleset() == before
        assert list(reconciling.reconcile([made], [attached])) == []
        check_inside(attached, container)
        driver.detach(made, attached, container.path)

    def test_reconcile_leaves_others_alone(self, driver: NetworkDriver, made: Network, host: FakeHost) -> None:
        host.run("ip", "link", "add", "br-mine", "type", "bridge")
        host.run("nft", "add", "table", "inet", "mine")
        able(driver).reconcile([], [])
        assert host.interfaces() == {"lo", "uplink", "br-mine"}
        assert host.ruleset().split() == ["table", "inet", "mine", "{", "}"]


def endpoint(network: Network, number: int = 0) -> Endpoint:
    """The endpoint that an engine would ask for: the container `number` of a settled network."""
    id = f"{number:02x}" * 32
    plain = Endpoint(id=id, network=network.id, network_name=network.name, container=id, interface="eth0")
    if not network.subnets:
        return plain
    subnet = ipaddress.ip_network(network.subnets[0].subnet)
    return replace(plain, ipv4=f"{subnet[number + 2]}/{subnet.prefixlen}", gateway=network.subnets[0].gateway)


def inside(container: Namespace) -> set[str]:
    """The names of a container's interfaces."""
    return {link["ifname"] for link in json.loads(container.run("ip", "-j", "link").stdout)}


def check_inside(attached: Endpoint, container: Namespace) -> None:
    """Where the driver made an interface, it has the endpoint's address and MAC, and is up."""
    if attached.interface not in inside(container):
        return
    link: dict[str, Any] = json.loads(container.run("ip", "-j", "address", "show", attached.interface).stdout)[0]
    addresses = {f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["family"] == "inet"}
    assert addresses == {attached.ipv4}
    assert link["address"] == attached.mac
    assert "UP" in link["flags"]


def able(driver: NetworkDriver) -> ReconcilesNetworks:
    """The driver, where it offers to clean up; else the test is not for it."""
    if not isinstance(driver, ReconcilesNetworks):
        pytest.skip("the driver does not offer reconcile()")
    return driver


def survives_json(value: T) -> bool:
    """Whether a value is the same after a way through JSON, as it takes between processes."""
    return from_data(type(value), json.loads(json.dumps(to_data(value)))) == value
