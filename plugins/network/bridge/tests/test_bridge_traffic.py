"""Where packets go and where they do not: real sockets between real namespaces on a fake host."""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.api import DriverHome, Endpoint, Network, PublishedPort, Subnet, replace
from pyke.testing import FakeHost, Namespace
from pyke.testing.fakehost import OUTSIDE, OUTSIDE6, UPLINK, UPLINK6
from pyke.testing.network import eventually
from pyke_network_bridge.driver import BridgeDriver

PREFIX = "com.docker.network.bridge."
numbers = itertools.count(1)


class Site:
    """A fake host with the driver under test on it."""

    def __init__(self, host: FakeHost, directory: Path) -> None:
        self.host = host
        self.driver = BridgeDriver(DriverHome(str(directory), str(directory), "c0ffee"))

    def network(self, name: str, /, *, internal: bool = False, subnets: tuple[str, ...] = (), **options: str) -> Network:
        asked = Network(f"{next(numbers):064x}"[::-1], name, "bridge", internal=internal, subnets=tuple(map(Subnet, subnets)))
        asked = replace(asked, ipv6=len(subnets) > 1, options={PREFIX + key: value for key, value in options.items()})
        return self.driver.create(asked, [])

    def container(self, network: Network, number: int = 2, ports: tuple[PublishedPort, ...] = ()) -> tuple[Namespace, Endpoint]:
        """A container on a network, with the given address in its subnet."""
        namespace = self.host.container()
        id = f"{next(numbers):064x}"[::-1]
        endpoint = Endpoint(id=id, network=network.id, network_name=network.name, container=id, interface="eth0", ports=ports)
        for subnet in network.subnets:
            base, _, length = subnet.subnet.partition("/")
            if ":" in base:
                endpoint = replace(endpoint, ipv6=f"{base}{number:x}/{length}", gateway6=subnet.gateway)
            else:
                address = f"{base.rpartition('.')[0]}.{number}/{length}"
                endpoint = replace(endpoint, ipv4=address, gateway="" if network.internal else subnet.gateway)
        return namespace, self.driver.attach(network, endpoint, namespace.path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FakeHost() as host, host.entered():
        yield Site(host, tmp_path)


@contextlib.contextmanager
def answering(where: Namespace, port: int, family: socket.AddressFamily = socket.AF_INET) -> Iterator[None]:
    """A server in a namespace that tells each client the address it sees."""
    server = where.call(lambda: socket.create_server(("", port), family=family))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, address = server.accept()
                with client:
                    client.sendall(address[0].encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def ask(where: Namespace, address: str, port: int) -> str:
    """What a server answers to a client in a namespace: the address that it sees; "" where it cannot be reached."""

    def work() -> str:
        try:
            with socket.create_connection((address, port), timeout=0.7) as client:
                return client.recv(100).decode()
        except OSError:
            return ""

    return where.call(work)


def plain(address: str) -> str:
    return address.partition("/")[0]


def test_containers_of_one_network_reach_each_other_with_their_own_addresses(site: Site) -> None:
    network = site.network("n")
    (one, first), (two, second) = site.container(network, 2), site.container(network, 3)
    with answering(one, 80):
        assert ask(two, plain(first.ipv4), 80) == plain(second.ipv4)
        assert ask(site.host, plain(first.ipv4), 80) == network.subnets[0].gateway


def test_a_container_reaches_the_host_and_the_world_with_the_host_s_address(site: Site) -> None:
    network = site.network("n")
    container, _ = site.container(network)
    with answering(site.host.outside, 80):
        assert ask(container, OUTSIDE, 80) == UPLINK
    with answering(site.host, 81):
        assert ask(container, network.subnets[0].gateway, 81) == "172.17.0.2"


def test_without_masquerading_a_container_shows_its_own_address(site: Site) -> None:
    container, endpoint = site.container(site.network("n", enable_ip_masquerade="false"))
    site.host.outside.run("ip", "route", "add", "172.17.0.0/16", "via", UPLINK)
    with answering(site.host.outside, 80):
        assert ask(container, OUTSIDE, 80) == plain(endpoint.ipv4)


def test_networks_do_not_reach_each_other(site: Site) -> None:
    (one, first), (two, second) = site.container(site.network("n1")), site.container(site.network("n2"))
    with answering(one, 80), answering(two, 80):
        assert ask(two, plain(first.ipv4), 80) == ""
        assert ask(one, plain(second.ipv4), 80) == ""


def test_the_world_reaches_no_container_even_with_a_route(site: Site) -> None:
    container, endpoint = site.container(site.network("n"))
    site.host.outside.run("ip", "route", "add", "172.17.0.0/16", "via", UPLINK)
    with answering(container, 80):
        assert ask(site.host.outside, plain(endpoint.ipv4), 80) == ""


def test_a_published_port_is_reached_from_everywhere(site: Site) -> None:
    network, other = site.network("n"), site.network("other")
    server, _ = site.container(network, 2, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    neighbour, stranger = site.container(network, 3)[0], site.container(other, 2)[0]
    with answering(server, 80):
        assert ask(site.host.outside, UPLINK, 8080) == OUTSIDE  # with the client's own address
        assert ask(site.host, "127.0.0.1", 8080) == network.subnets[0].gateway
        assert ask(site.host, UPLINK, 8080) != ""
        assert ask(neighbour, UPLINK, 8080) != ""
        assert ask(stranger, UPLINK, 8080) != ""
        assert ask(server, UPLINK, 8080) != "", "hairpin: a container reaches itself through the host"
        assert ask(server, network.subnets[0].gateway, 8080) != ""


def test_a_port_published_on_one_address_is_reached_there_only(site: Site) -> None:
    server, _ = site.container(site.network("n"), 2, (PublishedPort(80, "tcp", "127.0.0.1", 8080),))
    with answering(server, 80):
        assert ask(site.host, "127.0.0.1", 8080) != ""
        assert ask(site.host, UPLINK, 8080) == ""
        assert ask(site.host.outside, UPLINK, 8080) == ""


def test_udp_is_published_too(site: Site) -> None:
    container, _ = site.container(site.network("n"), 2, (PublishedPort(53, "udp", "0.0.0.0", 5353),))
    server = container.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client = site.host.outside.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with server, client:
        server.bind(("", 53))
        server.settimeout(2)
        client.settimeout(2)
        client.sendto(b"question", (UPLINK, 5353))
        data, sender = server.recvfrom(100)
        server.sendto(data + b" answered", sender)
        assert client.recvfrom(100) == (b"question answered", (UPLINK, 5353))


def test_a_port_is_closed_when_its_container_is_detached(site: Site) -> None:
    network = site.network("n")
    server, endpoint = site.container(network, 2, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    site.driver.detach(network, endpoint, server.path)
    assert "8080" not in site.host.ruleset()
    successor, _ = site.container(network, 3, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    site.driver.detach(network, endpoint, server.path)  # again, late: the port is another container's now
    with answering(successor, 80):
        assert ask(site.host.outside, UPLINK, 8080) == OUTSIDE


def test_an_internal_network_leads_nowhere(site: Site) -> None:
    network = site.network("inner", internal=True)
    (one, first), (two, second) = site.container(network, 2), site.container(network, 3)
    gateway = network.subnets[0].gateway
    one.run("ip", "route", "add", "default", "via", gateway)  # as a container with CAP_NET_ADMIN may
    with answering(site.host.outside, 80), answering(site.host, 81), answering(two, 80):
        assert ask(one, OUTSIDE, 80) == ""
        assert ask(one, UPLINK, 81) == "", "the host's other addresses are out of reach"
        assert ask(one, gateway, 81) == plain(first.ipv4)
        assert ask(one, plain(second.ipv4), 80) == plain(first.ipv4)


def test_the_world_does_not_get_into_an_internal_network(site: Site) -> None:
    container, endpoint = site.container(site.network("inner", internal=True), 2, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    container.run("ip", "route", "add", "default", "via", "172.17.0.1")
    site.host.outside.run("ip", "route", "add", "172.17.0.0/16", "via", UPLINK)
    with answering(container, 80):
        assert ask(site.host.outside, plain(endpoint.ipv4), 80) == ""
        assert ask(site.host.outside, UPLINK, 8080) == ""


def test_without_inter_container_communication_neighbours_are_strangers(site: Site) -> None:
    network = site.network("n", enable_icc="false")
    (one, first), (two, second) = site.container(network, 2), site.container(network, 3)
    with answering(one, 80), answering(site.host.outside, 80):
        assert ask(two, plain(first.ipv4), 80) == ""
        two.run("ip", "route", "add", plain(first.ipv4), "via", network.subnets[0].gateway)
        assert ask(two, plain(first.ipv4), 80) == "", "nor by way of the host"
        assert ask(two, OUTSIDE, 80) == UPLINK
        assert ask(site.host, plain(first.ipv4), 80) != ""
    assert plain(second.ipv4) != plain(first.ipv4)


def test_the_host_s_loopback_is_out_of_reach(site: Site) -> None:
    """The bridge has route_localnet for published ports; a container that routes 127.0.0.0/8 at it must not get in (CVE-2020-8558)."""
    network = site.network("n")
    container, _ = site.container(network)
    container.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    container.run("ip", "address", "flush", "dev", "lo")
    container.run("ip", "route", "flush", "table", "local", "root", "127.0.0.0/8", check=False)
    container.run("ip", "route", "add", "127.0.0.1/32", "via", network.subnets[0].gateway)
    with answering(site.host, 80):
        assert ask(container, "127.0.0.1", 80) == ""


def test_router_advertisements_are_not_believed(site: Site) -> None:
    """CVE-2020-13401: a container could make itself the host's IPv6 router."""
    network = site.network("n")
    six = site.network("six", subnets=("10.6.0.0/24", "fd00:6::/64"))
    for bridge in (network.interface, six.interface):
        assert site.host.run("sysctl", "-n", f"net.ipv6.conf.{bridge}.accept_ra").stdout.strip() == "0"
    assert site.host.run("ip", "-6", "address", "show", network.interface).stdout == ""


def test_ipv6(site: Site) -> None:
    network = site.network("six", subnets=("10.6.0.0/24", "fd00:6::/64"))
    server, first = site.container(network, 2, (PublishedPort(80, "tcp", "::", 8080), PublishedPort(80, "tcp", "0.0.0.0", 8080)))
    client, second = site.container(network, 3)
    with answering(server, 80, socket.AF_INET6), answering(site.host.outside, 80, socket.AF_INET6):
        eventually(lambda: ask(site.host, OUTSIDE6, 80) == UPLINK6)  # the kernel takes its time with a new uplink
        assert ask(client, plain(first.ipv6), 80) == plain(second.ipv6)
        assert ask(client, OUTSIDE6, 80) == UPLINK6
        assert ask(site.host.outside, UPLINK6, 8080) == OUTSIDE6
    with answering(server, 80):
        assert ask(site.host.outside, UPLINK, 8080) == OUTSIDE


@pytest.mark.parametrize("ports", [(), (PublishedPort(80, "tcp", "0.0.0.0", 8081),)], ids=["without ports", "with a port"])
def test_a_flushed_firewall_heals_with_the_next_container(site: Site, ports: tuple[PublishedPort, ...]) -> None:
    """And for all: the ports, walls and masquerades of those that run already come back with it."""
    network, apart = site.network("n"), site.network("apart")
    one, first = site.container(network, 2, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    stranger, other = site.container(apart, 9)
    site.host.run("nft", "flush", "ruleset")
    two, second = site.container(network, 3, ports)
    with answering(one, 80), answering(two, 80):
        assert ask(site.host.outside, UPLINK, 8080) == OUTSIDE
        assert ask(site.host.outside, UPLINK, 8081) == (OUTSIDE if ports else "")
        assert ask(stranger, plain(first.ipv4), 80) == ""
    _, third = site.container(apart, 10)
    assert site.driver.reconcile([network, apart], [first, other, second, third]) == []


def test_a_flushed_firewall_heals_with_reconcile(site: Site) -> None:
    network = site.network("n")
    one, first = site.container(network, 2, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    site.host.run("nft", "flush", "ruleset")
    with answering(one, 80):
        assert ask(site.host.outside, UPLINK, 8080) == ""
        assert site.driver.reconcile([network], [first]) == ["table inet pyke_c0ffee: put right"]
        assert ask(site.host.outside, UPLINK, 8080) == OUTSIDE


def test_a_deleted_bridge_comes_back_with_the_next_container_and_with_reconcile_for_all(site: Site) -> None:
    network = site.network("n")
    one, first = site.container(network, 2)
    site.host.run("ip", "link", "delete", network.interface)
    two, second = site.container(network, 3)
    with answering(site.host.outside, 80):
        eventually(lambda: ask(two, OUTSIDE, 80) == UPLINK)  # the kernel may take a second to believe in the new bridge's carrier
    with answering(one, 80):
        assert ask(two, plain(first.ipv4), 80) == ""
        (line,) = site.driver.reconcile([network], [first, second])
        assert line.endswith(f"put back on {network.interface}")
        eventually(lambda: ask(two, plain(first.ipv4), 80) == plain(second.ipv4))


def test_a_rebooted_host_gets_its_networks_back(site: Site) -> None:
    network = site.network("n")
    site.host.run("ip", "link", "delete", network.interface)
    site.host.run("nft", "flush", "ruleset")
    assert site.driver.reconcile([network], []) == [
        f"bridge {network.interface} of network n: made again",
        "table inet pyke_c0ffee: put right",
    ]
    container, _ = site.container(network)
    with answering(site.host.outside, 80):
        assert ask(container, OUTSIDE, 80) == UPLINK


def test_a_bridge_of_the_user_s_is_used_and_left(site: Site) -> None:
    site.host.run("ip", "link", "add", "br-user", "type", "bridge")
    network = site.network("n", name="br-user")
    assert network.interface == "br-user"
    site.driver.remove(network)
    assert "br-user" in site.host.interfaces()


def test_a_subnet_of_the_host_s_is_avoided(site: Site) -> None:
    site.host.run("ip", "address", "add", "172.17.5.1/24", "dev", "uplink")
    site.host.run("ip", "route", "add", "172.18.0.0/15", "via", OUTSIDE)
    assert site.network("n").subnets[0] == Subnet("172.20.0.0/16", "172.20.0.1")


def test_mtu(site: Site) -> None:
    asked = Network("e" * 64, "n", "bridge", options={"com.docker.network.driver.mtu": "1400"})
    network = site.driver.create(asked, [])
    container, _ = site.container(network)
    assert "mtu 1400" in container.run("ip", "link", "show", "eth0").stdout
    assert "mtu 1400" in site.host.run("ip", "link", "show", network.interface).stdout


def test_two_engines_do_not_meet(site: Site, tmp_path: Path) -> None:
    other = BridgeDriver(DriverHome(str(tmp_path), str(tmp_path), "beef01"))
    network = site.network("n")
    others = other.create(Network("9" * 64, "n", "bridge"), [])
    container, endpoint = site.container(network, 2, (PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    other.reconcile([], [])
    assert others.interface not in site.host.interfaces()
    with answering(container, 80):
        assert ask(site.host.outside, UPLINK, 8080) == OUTSIDE
    assert site.driver.reconcile([network], [endpoint]) == []


def test_no_program_is_started_for_a_container_without_ports(site: Site) -> None:
    network = site.network("n")
    namespace, id = site.host.container(), "7" * 64
    endpoint = Endpoint(id, network.id, "n", id, ipv4="172.17.0.7/16", gateway="172.17.0.1", interface="eth0")
    with started_programs() as started:
        attached = site.driver.attach(network, endpoint, namespace.path)
        site.driver.detach(network, attached, namespace.path)
    assert started == []


@contextlib.contextmanager
def started_programs() -> Iterator[list[str]]:
    """What this process forks or executes meanwhile, as the interpreter tells its audit hooks, which stay for ever."""
    started: list[str] = []
    is_listening = True

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if is_listening and event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"):
            started.append(f"{event} {arguments}")

    sys.addaudithook(hear)
    try:
        yield started
    finally:
        is_listening = False
