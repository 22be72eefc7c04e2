"""The driver "bridge": each network a Linux bridge, each container a veth pair, the way out and in through the packet filter."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import threading
from collections.abc import Sequence

from pyke.api import DriverHome, Endpoint, InvalidRequest, Network, NetworkDriver, Subnet, replace
from pyke_network_bridge import netlink, subnets, sysctl
from pyke_network_bridge.firewall import Firewall, check_installed, endpoint_elements, network_elements
from pyke_network_bridge.names import Names, mac_address
from pyke_network_bridge.netlink import Netlink
from pyke_network_bridge.options import BridgeOptions
from pyke_network_bridge.sweeper import Sweeper


class BridgeDriver(NetworkDriver):
    """See the README for what is made on the host. Safe to use from several threads."""

    def __init__(self, home: DriverHome) -> None:
        super().__init__(home)
        self._names = Names(home.tag)
        self._firewall = Firewall(self._names.table)
        self._sweeper = Sweeper()
        self._lock = threading.Lock()  # held while networks come and go: the table comes with the first and goes with the last

    # networks

    def validate(self, network: Network) -> None:
        BridgeOptions.of(network)
        subnets.parse_pools(self.home.options.get("default_address_pools", ""))
        for subnet in network.subnets:
            _check_subnet(subnet)
        if network.ipv6 and not any(":" in subnet.subnet for subnet in network.subnets):
            raise InvalidRequest(
                f"network {network.name} asks for IPv6 without an IPv6 subnet", hint="pyke network create --ipv6 --subnet fd00:1::/64 NAME"
            )

    def create(self, network: Network, taken: Sequence[str]) -> Network:
        self.validate(network)
        check_installed()
        with self._lock, Netlink() as host:
            settled = replace(network, subnets=self._settled_subnets(network, taken, host), interface=self._names.bridge(network))
            existed = netlink.exists(settled.interface)
            try:
                self._make_bridge(settled, host)
                self._firewall.add(network_elements(settled, settled.interface))
            except BaseException:
                if not existed:
                    with contextlib.suppress(Exception):
                        host.delete(settled.interface)
                raise
        return settled

    def remove(self, network: Network) -> None:
        bridge = network.interface or self._names.bridge(network)
        with self._lock, Netlink() as host:
            self._firewall.discard(network_elements(network, bridge))
            if self._firewall.is_empty():
                self._firewall.remove()
            if any(link.name == bridge and link.alias == self._names.alias for link in host.links()):  # a bridge of the user's stays
                host.delete(bridge)

    def _settled_subnets(self, network: Network, taken: Sequence[str], host: Netlink) -> tuple[Subnet, ...]:
        """The network's subnets with gateways; where there is no IPv4 one, the first of the pools that nobody uses."""
        asked = tuple(_with_gateway(subnet) for subnet in network.subnets)
        if any(":" not in subnet.subnet for subnet in asked):
            return asked
        pools = subnets.parse_pools(self.home.options.get("default_address_pools", ""))
        return (subnets.free_subnet(pools, [*taken, *host.routed()]), *asked)

    def _make_bridge(self, network: Network, host: Netlink) -> None:
        """Make a bridge, or what is missing of it. One that the user made before is used, and not marked as ours."""
        bridge = network.interface
        if not netlink.exists(bridge):
            first = next(subnet.gateway for subnet in network.subnets if ":" not in subnet.gateway)
            host.add_bridge(bridge, address=mac_address(first), mtu=BridgeOptions.of(network).mtu)
            host.set_alias(bridge, self._names.alias)
        self._set_switches(network)
        for subnet in network.subnets:
            host.add_address(bridge, f"{subnet.gateway}/{ipaddress.ip_network(subnet.subnet).prefixlen}")
        host.set_up(bridge)

    def _set_switches(self, network: Network) -> None:
        """Written before the bridge is up: it must not believe a container's router advertisement even once (CVE-2020-13401)."""
        bridge = network.interface
        has_ipv6 = any(":" in subnet.subnet for subnet in network.subnets)
        sysctl.write_ipv6(f"conf/{bridge}/accept_ra", 0)
        sysctl.write_ipv6(f"conf/{bridge}/disable_ipv6", 0 if has_ipv6 else 1)
        sysctl.write(f"ipv4/conf/{bridge}/route_localnet", 1)  # ports are published on 127.0.0.1 too; the table's chain `raw` guards it
        sysctl.write("ipv4/ip_forward", 1)
        if has_ipv6:
            sysctl.write_ipv6(f"conf/{bridge}/accept_dad", 0)  # else it cannot ask for neighbours during its first seconds
            sysctl.write_ipv6("conf/all/forwarding", 1)

    # endpoints

    def attach(self, network: Network, endpoint: Endpoint, namespace: str) -> Endpoint:
        veth = self._names.veth(endpoint)
        connected = replace(endpoint, host_interface=veth, mac=endpoint.mac or mac_address(endpoint.ipv4))
        try:
            self._restore(network)
            with netlink.opened(namespace) as inside:
                self._make_pair(network, connected, inside)
                netlink.inside(inside, lambda: _configure(connected))
            self._firewall.publish(endpoint_elements(endpoint), network_elements(network, network.interface))
        except BaseException:
            with contextlib.suppress(Exception):
                self._delete_pair(veth)
            raise
        return connected

    def detach(self, network: Network, endpoint: Endpoint, namespace: str) -> None:
        veth = self._names.veth(endpoint)
        if namespace and os.path.exists(namespace):
            self._delete_pair(veth)
        elif netlink.exists(veth):
            self._sweeper.delete_later(veth)  # the kernel is about to do it
        self._firewall.discard(endpoint_elements(endpoint))

    def _restore(self, network: Network) -> None:
        """Make a bridge again that somebody deleted: this container is not to pay for it. The others come back to it with `reconcile`."""
        if not netlink.exists(network.interface):
            with self._lock, Netlink() as host:
                self._make_bridge(network, host)

    def _make_pair(self, network: Network, endpoint: Endpoint, inside: int) -> None:
        options, veth = BridgeOptions.of(network), endpoint.host_interface
        with Netlink() as host:
            host.add_pair(
                veth, bridge=network.interface, peer=endpoint.interface, peer_address=endpoint.mac, peer_namespace=inside, mtu=options.mtu
            )
            self._set_up_port(network, veth, host)

    def _set_up_port(self, network: Network, veth: str, host: Netlink) -> None:
        if not BridgeOptions.of(network).inter_container:
            host.isolate_port(veth)
        if sysctl.is_set("bridge/bridge-nf-call-iptables"):
            host.allow_hairpin(veth)  # br_netfilter: what a container sends to its own published port stays on the bridge

    def _delete_pair(self, veth: str) -> None:
        if netlink.exists(veth):
            with Netlink() as host:
                host.delete(veth)

    # after a crash

    def reconcile(self, networks: Sequence[Network], endpoints: Sequence[Endpoint]) -> Sequence[str]:
        whole = [replace(each, interface=each.interface or self._names.bridge(each)) for each in networks]
        elements = [element for each in whole for element in network_elements(each, each.interface)]
        elements += [element for each in endpoints for element in endpoint_elements(each)]
        with self._lock, Netlink() as host:
            done = self._sweep(whole, endpoints, host)
            for network in whole:
                if not netlink.exists(network.interface):
                    done.append(f"bridge {network.interface} of network {network.name}: made again")
                self._make_bridge(network, host)
            done += self._rejoin(whole, endpoints, host)
            if self._firewall.replace(elements) if elements else self._firewall.remove():
                done.append(f"table inet {self._firewall.table}: {'put right' if elements else 'removed'}")
        return done

    def _rejoin(self, networks: Sequence[Network], endpoints: Sequence[Endpoint], host: Netlink) -> list[str]:
        """Put pairs back on a bridge that was deleted under them and made again."""
        by_id = {network.id: network for network in networks}
        loose = {link.name for link in host.links() if not link.has_master}
        done = []
        for endpoint in endpoints:
            veth, network = self._names.veth(endpoint), by_id.get(endpoint.network)
            if network and veth in loose:
                host.set_master(veth, network.interface)
                self._set_up_port(network, veth, host)
                done.append(f"veth {veth}: put back on {network.interface}")
        return done

    def _sweep(self, networks: Sequence[Network], endpoints: Sequence[Endpoint], host: Netlink) -> list[str]:
        """Delete this engine's pairs and bridges that belong to nothing."""
        veths = {self._names.veth(each) for each in endpoints}
        bridges = {each.interface for each in networks}
        done = []
        for link in host.links():
            stray = self._names.is_veth(link.name) and link.name not in veths
            orphan = link.alias == self._names.alias and link.name not in bridges
            if (stray or orphan) and host.delete(link.name):
                done.append(f"{'veth' if stray else 'bridge'} {link.name}: removed")
        return done


def _check_subnet(subnet: Subnet) -> None:
    """Refuse what is not a subnet, or a gateway outside of it, in Docker's words."""
    try:
        network = ipaddress.ip_network(subnet.subnet, strict=False)
    except ValueError as error:
        raise InvalidRequest(f"Invalid subnet {subnet.subnet} : invalid CIDR address: {subnet.subnet}") from error
    if network.num_addresses < 4:
        raise InvalidRequest(f"subnet {subnet.subnet} has no room for a bridge and a container")
    try:
        inside = not subnet.gateway or ipaddress.ip_address(subnet.gateway) in network
    except ValueError as error:
        raise InvalidRequest(f"invalid gateway address {subnet.gateway}") from error
    if not inside:
        raise InvalidRequest(f"no matching subnet for gateway {subnet.gateway}")


def _with_gateway(subnet: Subnet) -> Subnet:
    network = ipaddress.ip_network(subnet.subnet, strict=False)
    return replace(subnet, subnet=str(network), gateway=subnet.gateway or str(network[1]))


def _configure(endpoint: Endpoint) -> None:
    """Addresses and routes; runs inside the container's namespace."""
    if endpoint.ipv6:
        sysctl.write_ipv6(f"conf/{endpoint.interface}/accept_dad", 0)
    else:
        sysctl.write_ipv6(f"conf/{endpoint.interface}/disable_ipv6", 1)
    with Netlink() as container:
        container.set_up("lo")
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            container.add_address(endpoint.interface, address)
        container.set_up(endpoint.interface)
        if endpoint.default_route:
            for gateway in filter(None, (endpoint.gateway, endpoint.gateway6)):
                container.add_default_route(endpoint.interface, gateway)
