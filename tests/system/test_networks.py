"""Networks of an engine, with the real drivers on a fake host."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pyke.engine.identifiers import new_id
from pyke.errors import Conflict, Forbidden, InvalidRequest, NameInUse, NoSuchNetwork, NotInstalled, PykeError
from pyke.model import Caller, ContainerSpec, EndpointSpec, ImageConfig, Network, PortSpec, Subnet
from pyke.testing.engine import TestEngine
from pyke.testing.network import eventually

if TYPE_CHECKING:
    from tests.system.conftest import Site

ROOT = Caller(0, 0, 0)

# networks


def test_the_predefined_networks_exist(site: Site) -> None:
    assert [(network.name, network.driver, network.builtin) for network in site.networks.all()] == [
        ("bridge", "bridge", True),
        ("host", "host", True),
        ("none", "none", True),
    ]
    bridge = site.networks.get("bridge")
    assert bridge.subnets == (Subnet("172.17.0.0/16", "172.17.0.1"),)
    assert bridge.options["com.docker.network.bridge.name"] == bridge.interface


def test_a_network_of_the_user_s(site: Site) -> None:
    network = site.create("n1", labels={"k": "v"})
    assert network.subnets == (Subnet("172.18.0.0/16", "172.18.0.1"),)
    assert network.interface == f"pk-{network.id[:12]}"
    assert site.networks.get("n1") == site.networks.get(network.id) == site.networks.get(network.id[:9]) == network
    site.networks.remove("n1", caller=ROOT)
    assert network.interface not in site.host.interfaces()
    with pytest.raises(NoSuchNetwork, match="network n1 not found"):
        site.networks.get("n1")


def test_refusals_when_a_network_is_made(site: Site) -> None:
    site.create("n1", subnets=(Subnet("10.99.0.0/24", "10.99.0.254"),))
    cases: list[tuple[Network, type[PykeError], str]] = [
        (Network("", "n1", ""), NameInUse, "network with name n1 already exists"),
        (Network("", "", ""), NameInUse, "network with name  already exists"),
        (Network("", "bridge", ""), Forbidden, "operation is not permitted on predefined bridge network"),
        (Network("", "h2", "host"), Forbidden, 'only one instance of "host" network is allowed'),
        (Network("", "x", "nosuchdriver"), NotInstalled, "no network driver 'nosuchdriver' is installed"),
        (Network("", "x", "", subnets=(Subnet("300.0.0.0/8"),)), InvalidRequest, "Invalid subnet 300.0.0.0/8 : invalid CIDR address: "),
        (Network("", "x", "", subnets=(Subnet("10.1.0.0/16", "10.2.0.1"),)), InvalidRequest, "no matching subnet for gateway 10.2.0.1"),
        (Network("", "x", "", subnets=(Subnet("10.1.0.0/16", ip_range="10.2.0.0/24"),)), InvalidRequest, "no matching subnet for range"),
        (Network("", "x", "", subnets=(Subnet("10.99.0.128/25"),)), Forbidden, "Pool overlaps with other one on this address space"),
        (Network("", "x", "", subnets=(Subnet("10.5.0.0/24"), Subnet("10.5.0.0/16"))), Forbidden, "Pool overlaps"),
        (Network("", "x", "", options={"com.docker.network.driver.mtu": "many"}), InvalidRequest, "not a number of bytes"),
        (Network("", "x", "", options={"com.docker.network.bridge.name": 'a"; flush ruleset'}), InvalidRequest, "invalid bridge name"),
    ]
    before = site.host.interfaces()
    for asked, kind, words in cases:
        with pytest.raises(kind) as caught:
            site.networks.create(asked, caller=ROOT)
        assert caught.value.message.startswith(words) or words in caught.value.message
    assert [network.name for network in site.networks.all()] == ["bridge", "host", "n1", "none"]
    assert site.host.interfaces() == before


def test_the_package_of_an_unknown_driver_is_not_guessed(site: Site) -> None:
    with pytest.raises(NotInstalled) as caught:
        site.networks.create(Network("", "n", "macvlan"), caller=ROOT)
    assert not caught.value.hint.startswith("pip install")


def test_predefined_networks_stay(site: Site) -> None:
    with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
        site.networks.remove("bridge", caller=ROOT)


def test_prune_keeps_what_is_used(site: Site) -> None:
    site.create("used"), site.create("unused"), site.create("kept", labels={"keep": ""})
    site.start(site.container(network_mode="used"))
    assert site.networks.prune({"label!": ["keep"]}, caller=ROOT).deleted == ("unused",)
    assert [network.name for network in site.networks.all() if not network.builtin] == ["kept", "used"]


def test_an_ambiguous_prefix(site: Site) -> None:
    names = [site.create(f"n{number}").id for number in range(18)]
    first = next(prefix for prefix, count in _counted(id[0] for id in names).items() if count > 1)
    with pytest.raises(InvalidRequest, match=f"network {first} is ambiguous"):
        site.networks.get(first)


def _counted(letters: Iterator[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for letter in letters:
        counts[letter] = counts.get(letter, 0) + 1
    return counts


# containers


def test_a_container_s_life_on_the_default_network(site: Site) -> None:
    events = site.engine.events.subscribe()
    container, namespace = site.start(site.container())
    (endpoint,) = container.endpoints
    assert (endpoint.ipv4, endpoint.gateway, endpoint.interface) == ("172.17.0.2/16", "172.17.0.1", "eth0")
    assert endpoint.mac == "02:42:ac:11:00:02"
    assert "172.17.0.2/16" in namespace.run("ip", "address").stdout
    assert site.networks.endpoints(site.networks.get("bridge")) == [(container, endpoint)]
    stopped = site.stop(container)
    assert [(each.id, each.ipv4, each.network_name) for each in stopped.endpoints] == [("", "", "bridge")]
    assert site.networks.endpoints(site.networks.get("bridge")) == []
    again, _ = site.start(stopped)
    assert again.endpoints[0].ipv4 == "172.17.0.2/16", "kept over a restart, where nobody took it"
    told = [event.action for event in iter(lambda: events.next(0.1), None) if event.kind == "network"]
    assert told == ["connect", "disconnect", "connect"]


def test_detach_twice_frees_once(site: Site) -> None:
    container, _ = site.start(site.container())
    site.networks.detach(container)
    successor, _ = site.start(site.container(network_mode="bridge"))
    site.networks.detach(container)
    assert site.networks.endpoints(site.networks.get("bridge"))[0][0].id == successor.id


def test_no_place_for_some_modes(site: Site) -> None:
    other = site.container()
    for spec in (ContainerSpec("i", network_disabled=True), ContainerSpec("i", network_mode=f"container:{other.id}")):
        assert site.networks.resolve(spec) == []
    assert site.networks.shares_host_namespace(ContainerSpec("i", network_mode="host"))
    assert not site.networks.shares_host_namespace(ContainerSpec("i", network_mode="none"))
    container, namespace = site.start(site.container(network_mode="none"))
    assert [each.network_name for each in container.endpoints] == ["none"]
    assert "eth0" not in namespace.run("ip", "link").stdout


NETWORK_MODE_WORDS = "Invalid network mode: invalid container format container:<name|id>"
OUTSIDE_WORDS = "Invalid address 10.98.0.77: It does not belong to any of this network's subnets"
DEFAULT_ADDRESS_WORDS = "user specified IP address is supported on user defined networks only"
DEFAULT_ALIAS_WORDS = "network-scoped alias is supported only for containers in user defined networks"
HOST_WORDS = "container cannot be disconnected from host network or connected to host network"
SHARED_PORT_WORDS = "conflicting options: port publishing and the container type network mode"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"network_mode": "nosuch"}, NoSuchNetwork, "network nosuch not found"),
        ({"network_mode": "container:"}, InvalidRequest, NETWORK_MODE_WORDS),
        ({"network_mode": "container:x", "hostname": "h"}, InvalidRequest, "conflicting options: hostname and the network mode"),
        ({"network_mode": "container:x", "ports": (PortSpec(80),)}, InvalidRequest, SHARED_PORT_WORDS),
        ({"network_mode": "n2", "endpoints": (EndpointSpec("n2", ipv4="10.98.0.77"),)}, InvalidRequest, OUTSIDE_WORDS),
        ({"endpoints": (EndpointSpec("bridge", ipv4="172.17.0.99"),)}, InvalidRequest, DEFAULT_ADDRESS_WORDS),
        ({"endpoints": (EndpointSpec("bridge", aliases=("a",)),)}, InvalidRequest, DEFAULT_ALIAS_WORDS),
        ({"network_mode": "host", "endpoints": (EndpointSpec("n2"),)}, InvalidRequest, HOST_WORDS),
        ({"ports": (PortSpec(0),)}, InvalidRequest, "invalid port: 0:0"),
    ],
)
def test_impossible_wishes(site: Site, fields: dict[str, object], kind: type[PykeError], words: str) -> None:
    site.create("n2", subnets=(Subnet("10.99.0.0/24"),))
    with pytest.raises(kind) as caught:
        site.networks.resolve(ContainerSpec("busybox", **fields))  # type: ignore[arg-type]
    assert caught.value.message == words


def test_a_used_network_is_not_removed(site: Site) -> None:
    network = site.create("n1")
    container, _ = site.start(site.container(network_mode="n1"))
    with pytest.raises(Forbidden) as caught:
        site.networks.remove("n1", caller=ROOT)
    assert caught.value.message == f"error while removing network: network n1 id {network.id} has active endpoints"
    site.stop(container)
    site.networks.remove("n1", caller=ROOT)
    with pytest.raises(NoSuchNetwork, match="network n1 not found"):
        site.start(site.now(container))
    again = site.create("n1")
    restarted, _ = site.start(site.now(container))
    assert restarted.endpoints[0].network == again.id


def test_two_networks_at_once_or_none(site: Site) -> None:
    site.create("n1"), site.create("n2", subnets=(Subnet("10.9.0.0/30"),))  # room for one
    both = {"network_mode": "n1", "endpoints": (EndpointSpec("n1", aliases=("web",)), EndpointSpec("n2"))}
    container, namespace = site.start(site.container(**both))
    places = [(each.network_name, each.interface, each.default_route) for each in container.endpoints]
    assert places == [("n1", "eth0", True), ("n2", "eth1", False)]
    assert container.endpoints[0].aliases == ("web", container.short_id)
    assert namespace.run("ip", "route", "show", "default").stdout.split()[2] == container.endpoints[0].gateway
    with pytest.raises(PykeError, match="no available IPv4 addresses"):
        site.networks.reserve(site.container(**both))
    assert len(site.networks.endpoints(site.networks.get("n1"))) == 1, "what was reserved before the failure was given back"


def test_connect_and_disconnect_a_running_container(site: Site) -> None:
    site.create("n2", subnets=(Subnet("10.99.0.0/24"),))
    container, namespace = site.start(site.container())
    site.networks.connect("n2", container.name, EndpointSpec("n2", ipv4="10.99.0.50"), caller=ROOT)
    assert "10.99.0.50/24" in namespace.run("ip", "address", "show", "eth1").stdout
    with pytest.raises(Forbidden, match=f"endpoint with name {container.name} already exists in network n2"):
        site.networks.connect("n2", container.name, EndpointSpec("n2"), caller=ROOT)
    site.networks.disconnect("n2", container.name, force=False, caller=ROOT)
    assert "eth1" not in namespace.run("ip", "link").stdout
    with pytest.raises(PykeError, match=f"container {container.id} is not connected to network n2"):
        site.networks.disconnect("n2", container.name, force=False, caller=ROOT)
    with pytest.raises(InvalidRequest, match="connected to host network"):
        site.networks.connect("host", container.name, EndpointSpec("host"), caller=ROOT)


def test_connect_a_container_that_does_not_run(site: Site) -> None:
    site.create("n2")
    container = site.container()
    site.engine.containers.put(replace(container, endpoints=site.networks.planned(container)))
    site.networks.connect("n2", container.name, EndpointSpec("n2"), caller=ROOT)
    started, _ = site.start(site.now(container))
    assert [each.network_name for each in started.endpoints] == ["bridge", "n2"]


def test_the_way_out_passes_to_another_network(site: Site) -> None:
    site.create("n2", subnets=(Subnet("10.99.0.0/24"),))
    container, namespace = site.start(site.container(ports=(PortSpec(80, host_port=8080),)))
    site.networks.connect("n2", container.name, EndpointSpec("n2"), caller=ROOT)
    site.networks.disconnect("bridge", container.name, force=False, caller=ROOT)
    (left,) = site.now(container).endpoints
    assert (left.network_name, left.default_route, left.ports[0].host_port) == ("n2", True, 8080)
    assert namespace.run("ip", "route", "show", "default").stdout.split()[2] == "10.99.0.1"
    assert "10.99.0.2" in site.host.ruleset()


# ports


def test_a_port_has_one_holder(site: Site) -> None:
    first, _ = site.start(site.container(ports=(PortSpec(80, host_port=18080),)))
    assert [(port.host_ip, port.host_port) for port in first.endpoints[0].ports] == [("0.0.0.0", 18080)]
    second = site.container(ports=(PortSpec(80, host_port=18080),))
    with pytest.raises(PykeError) as caught:
        site.networks.reserve(second)
    assert caught.value.message.startswith(f"driver failed programming external connectivity on endpoint {second.name} (")
    assert caught.value.message.endswith("): Bind for 0.0.0.0:18080 failed: port is already allocated")
    site.stop(first)
    site.start(second)


def test_a_port_of_a_program_on_the_host_is_refused(site: Site) -> None:
    words = r"Bind for 0\.0\.0\.0:18081 failed: port is already allocated"
    with socket.create_server(("127.0.0.1", 18081)), pytest.raises(PykeError, match=words):
        site.networks.reserve(site.container(ports=(PortSpec(80, host_port=18081),)))


def test_a_published_port_is_refused_to_programs_on_the_host(site: Site) -> None:
    container, _ = site.start(site.container(ports=(PortSpec(80, host_port=18082), PortSpec(53, "udp", host_port=18082))))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as program, pytest.raises(OSError, match="already in use"):
            program.bind(("0.0.0.0", 18082))
    site.stop(container)
    with socket.create_server(("0.0.0.0", 18082)):
        pass


def test_ports_of_the_engine_s_choice(site: Site) -> None:
    image = ImageConfig(exposed_ports=("81/tcp", "82/udp", "nonsense"))
    wishes = (PortSpec(80), PortSpec(83, host_port=20000, host_port_end=20005))
    container = replace(site.container(ports=wishes, publish_all_ports=True), image_config=image)
    with socket.create_server(("", 20000)):
        started, _ = site.start(container)
    ports = {(port.container_port, port.protocol): port.host_port for port in started.endpoints[0].ports}
    assert set(ports) == {(80, "tcp"), (83, "tcp"), (81, "tcp"), (82, "udp")}
    assert ports[83, "tcp"] == 20001
    assert all(32768 <= ports[key] <= 60999 for key in ports if key != (83, "tcp"))
    assert len(set(ports.values())) == 4


# the engine dies


def test_a_next_engine_knows_what_is_taken(site: Site) -> None:
    network = site.create("n1")
    container, _ = site.start(site.container(network_mode="n1", ports=(PortSpec(80, host_port=18083),)))
    site.next_engine()
    assert site.networks.get("n1") == network
    assert [found.id for found, _ in site.networks.endpoints(network)] == [container.id]
    second, _ = site.start(site.container(network_mode="n1"))
    assert second.endpoints[0].ipv4 == "172.18.0.3/16"
    with pytest.raises(PykeError, match="port is already allocated"):
        site.networks.reserve(site.container(network_mode="n1", ports=(PortSpec(80, host_port=18083),)))
    site.stop(container)


def test_what_a_dead_engine_left_is_swept(site: Site) -> None:
    container, _ = site.start(site.container())
    site.engine.containers.put(replace(container, endpoints=site.networks.released(container)))  # it died before it detached
    site.next_engine()
    veth = container.endpoints[0].host_interface
    eventually(lambda: veth not in site.host.interfaces())


def test_dismantle_leaves_nothing(site: Site) -> None:
    site.create("n1")
    site.networks.dismantle()
    assert site.host.interfaces() == {"lo", "uplink"}
    assert site.host.ruleset() == ""


def test_links(site: Site) -> None:
    database = site.container()
    client = site.container(links=(f"{database.id}:db",))
    with pytest.raises(Conflict, match=f"Cannot link to a non running container: /{database.name} AS /{client.name}/db"):
        site.engine.containers.links.hosts(client)
    site.start(database)
    assert site.engine.containers.links.hosts(client) == [f"172.17.0.2\tdb {database.short_id} {database.name}"]


def test_the_cost_of_a_start_does_not_grow(site: Site) -> None:
    """With 60 networks and 300 stopped containers, a place is reserved as quickly as without."""
    container = site.container()

    def cost() -> float:
        start = time.process_time()
        for _ in range(20):
            site.networks.reserve(container)
            site.networks.release(container)
        return time.process_time() - start

    cost()
    alone = min(cost() for _ in range(3))
    with site.engine.state.transaction():
        for number in range(60):
            subnet = Subnet(f"10.{number}.0.0/24", f"10.{number}.0.1")
            site.engine.state.networks.put(Network(f"{number:064x}", f"many{number}", "bridge", subnets=(subnet,)))
        for number in range(300):
            other = replace(container, id=new_id(), name=f"many{number}", endpoints=site.networks.planned(container))
            site.engine.state.containers.put(other)
    assert min(cost() for _ in range(3)) < alone * 2 + 0.01


def test_host_gateway_is_the_host_and_links_are_names_on_a_network_of_the_user_s(busybox: TestEngine) -> None:
    gateway = busybox.ok("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    busybox.ok("network", "create", "n")
    busybox.ok("run", "-d", "--name", "linked", "--network", "n", "busybox", "sleep", "60")
    for network in ("bridge", "n"):
        hosts = busybox.ok("run", "--rm", "--network", network, "--add-host", "gw:host-gateway", "busybox", "cat", "/etc/hosts")
        assert f"{gateway}\tgw" in hosts.splitlines()
    busybox.ok("run", "--rm", "--network", "n", "--link", "linked:other", "busybox", "ping", "-c1", "-W2", "other")
    busybox.ok("network", "create", "-o", "com.docker.network.bridge.whatever=1", "odd")
