"""A container's places on networks: planned, reserved, attached, detached, released; and connections while it runs.

An endpoint without ID is a plan: it holds what was asked for and nothing that another could want. A start reserves it (addresses, ports, an
ID), a driver attaches it, and the end of the container turns it back into a plan.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.engine.identifiers import new_id
from pyke.engine.networks.addresses import Addresses, gateway_of
from pyke.engine.networks.names import ADDRESS, Names, is_served
from pyke.engine.networks.ports import Ports, PortTaken, wanted_ports
from pyke.errors import Conflict, NoSuchNetwork, PykeError
from pyke.model import Container, Endpoint, EndpointSpec, Network, PublishedPort

if TYPE_CHECKING:
    from pyke.engine.engine import Engine
    from pyke.engine.networks.door import Networks

log = logging.getLogger("pyke.networks")
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


class Endpoints:
    """The places of all containers. What is taken follows from the containers' records, and is counted from them at the start."""

    def __init__(self, engine: Engine, networks: Networks) -> None:
        self._engine, self._networks = engine, networks
        self._addresses, self._ports, self._names = Addresses(), Ports(), Names(engine.layout)
        self._guard = threading.Lock()
        self._on: dict[str, dict[str, str]] = {}  # network ID: {container ID: endpoint ID}
        self._last: dict[tuple[str, str], str] = {}  # (container ID, network ID): the address it had, to have it again
        for container in engine.state.containers.all():
            for endpoint in filter(lambda each: each.id, container.endpoints):
                self._count(endpoint)

    def on(self, network: Network) -> list[tuple[Container, Endpoint]]:
        """The containers that have a place on a network now."""
        users = self.users(network)
        return [(container, each) for container in users for each in container.endpoints if each.network == network.id and each.id]

    def users(self, network: Network) -> list[Container]:
        """The same, with those that are about to have one: it has been taken for them, and is not on record yet."""
        with self._guard:
            ids = list(self._on.get(network.id, ()))
        return [*filter(None, map(self._engine.state.containers.get, ids))]

    def forget(self, network: Network) -> None:
        """A network is gone."""
        self._addresses.forget(network.id)
        self._names.forget(network)
        with self._guard:
            self._on.pop(network.id, None)

    # the life of a container

    def planned(self, container: Container) -> tuple[Endpoint, ...]:
        return tuple(_plan(container, network, wish) for network, wish in self._networks.resolve(container.spec))

    def reserve(self, container: Container) -> tuple[Endpoint, ...]:
        plans = container.endpoints
        if not plans and not container.state.started_at:
            plans = self.planned(container)
        reserved: list[Endpoint] = []
        try:
            for number, plan in enumerate(plans):
                reserved.append(self._reserve(container, _released(plan), f"eth{number}"))
            return self._with_ports(container, _with_default_route(reserved, self._networks))
        except BaseException:
            for endpoint in reserved:
                self._free(endpoint)
            raise

    def attach(self, container: Container, namespace: str) -> tuple[Endpoint, ...]:
        attached: list[Endpoint] = []
        try:
            for endpoint in container.endpoints:
                attached.append(self._attach(endpoint, namespace))
            self._serve_names(container, namespace)
        except BaseException:
            for endpoint in reversed(attached):
                with contextlib.suppress(PykeError):
                    self._network_of(endpoint, "detach", namespace)
            raise
        for endpoint in attached:
            self._tell("connect", endpoint)
        return tuple(attached)

    def detach(self, container: Container) -> None:
        now = self._engine.state.containers.get(container.id) or container
        problems = []
        for endpoint in filter(lambda each: each.id, now.endpoints):
            try:
                self._network_of(endpoint, "detach", "")  # no path: the process is gone, and its number may be another's by now
            except PykeError as error:
                problems.append(f"{endpoint.network_name}: {error.message}")
            if self._free(endpoint):
                self._tell("disconnect", endpoint)
                self._write_names(endpoint)
        if any(map(self._has_names, now.endpoints)):
            self._names.leave(container.id)
        self._ports.release(container.id)
        if problems:
            raise PykeError(f"container {now.name} could not be taken off its networks: {'; '.join(problems)}", hint="pyke network ls")

    def released(self, container: Container) -> tuple[Endpoint, ...]:
        return tuple(map(_released, container.endpoints))

    def release(self, container: Container) -> None:
        self.detach(container)
        with self._guard:
            for key in [each for each in self._last if each[0] == container.id]:
                del self._last[key]

    # connections while it lives

    def connect(self, network: Network, id: str, wish: EndpointSpec) -> None:
        """Give a container one more place."""
        with self._engine.locks.of("container", id):
            container = self._living(id)
            plan = _plan(container, network, wish)
            if not container.state.is_running:
                self._engine.containers.put(replace(container, endpoints=(*container.endpoints, plan)))
                return
            self._join(container, plan)

    def _join(self, container: Container, plan: Endpoint) -> None:
        """Connect a running container. Where it has no way out yet, this becomes it."""
        has_route = any(endpoint.default_route for endpoint in container.endpoints)
        endpoint = self._reserve(container, plan, _free_interface(container.endpoints))
        endpoint = replace(endpoint, default_route=bool(endpoint.gateway) and not has_route)
        try:
            if endpoint.default_route:
                (endpoint,) = self._with_ports(container, [endpoint])
            endpoint = self._attach(endpoint, f"/proc/{container.state.pid}/ns/net")
        except BaseException:
            self._free(endpoint)
            raise
        joined = self._engine.containers.put(replace(container, endpoints=(*container.endpoints, endpoint)))
        self._tell("connect", endpoint)
        self._serve_names(joined, f"/proc/{container.state.pid}/ns/net")

    def disconnect(self, network: Network, id: str, *, force: bool) -> None:
        """Take away one of a container's places."""
        with self._engine.locks.of("container", id):
            container = self._living(id)
            endpoint = next((each for each in container.endpoints if network.id in (each.network, each.network_name)), None)
            if endpoint is None:
                hint = f"pyke inspect {container.name}"
                raise PykeError(f"container {container.id} is not connected to network {network.name}", hint=hint)
            rest = tuple(each for each in container.endpoints if each is not endpoint)
            if container.state.is_running:
                rest = self._leave(container, endpoint, rest, force=force)
            left = self._engine.containers.put(replace(container, endpoints=rest))
            if self._has_names(endpoint) and container.state.is_running:
                self._write_names(endpoint)
                self._names.update(left, self._places(left))

    def _leave(self, container: Container, endpoint: Endpoint, rest: tuple[Endpoint, ...], *, force: bool) -> tuple[Endpoint, ...]:
        """Disconnect a running container; its way out and its published ports pass to another of its networks."""
        namespace = f"/proc/{container.state.pid}/ns/net"
        try:
            self._network_of(endpoint, "detach", namespace)
        except PykeError:
            if not force:
                raise
        self._free(endpoint)
        self._tell("disconnect", endpoint)
        if not endpoint.default_route:
            return rest
        self._ports.release(container.id)
        moved = []
        for each in self._with_ports(container, _with_default_route(list(rest), self._networks)):
            if each.default_route:
                self._network_of(each, "detach", namespace)
                moved.append(self._attach(each, namespace))
            else:
                moved.append(each)
        return tuple(moved)

    # names

    def renamed(self, container: Container) -> None:
        """The others on its networks find it by its new name."""
        for endpoint in filter(lambda each: each.id, container.endpoints):
            self._write_names(endpoint)

    def name_server(self, container: Container) -> str:
        return ADDRESS if any(map(self._has_names, container.endpoints)) else ""

    def _has_names(self, endpoint: Endpoint) -> bool:
        network = self._engine.state.networks.get(endpoint.network)
        return network is not None and is_served(network)

    def _write_names(self, endpoint: Endpoint) -> None:
        network = self._engine.state.networks.get(endpoint.network)
        if network is not None:
            self._names.write(network, self.on(network))

    def _places(self, container: Container) -> list[tuple[Network, Endpoint]]:
        return [(self._networks.get(endpoint.network), endpoint) for endpoint in container.endpoints]

    def _serve_names(self, container: Container, namespace: str) -> None:
        """Tell the others on its networks, and answer the container's own questions."""
        if not any(map(self._has_names, container.endpoints)):
            return
        for endpoint in container.endpoints:
            self._write_names(endpoint)
        if container.id in self._names.served():
            self._names.update(container, self._places(container))
        else:
            self._names.serve(container, self._places(container), namespace)

    # after a start of the engine

    def recover(self) -> None:
        """Hold the ports of what runs, and have its names answered."""
        served = self._names.served()
        for container in self._engine.state.containers.all():
            places = [endpoint for endpoint in container.endpoints if endpoint.id]
            for endpoint in places:
                for port in self._ports.hold(container.id, endpoint.ports):
                    log.error("container %s: somebody else took its port %s:%d", container.short_id, port.host_ip, port.host_port)
                self._write_names(endpoint)
            if container.state.is_running and container.id not in served and any(map(self._has_names, places)):
                self._names_again(container)

    def _names_again(self, container: Container) -> None:
        """The name server was killed: a container goes on without rather than not at all."""
        try:
            self._names.serve(container, self._places(container), f"/proc/{container.state.pid}/ns/net")
        except PykeError as error:
            log.error("container %s has no names: %s", container.short_id, error.message)

    def close(self) -> None:
        """Let the ports go, and the name server where it has nothing to do."""
        self._ports.close()
        self._names.rest()

    def dismantle(self) -> None:
        """Let the name server go too."""
        self._names.quit()

    # one endpoint

    def _reserve(self, container: Container, plan: Endpoint, interface: str) -> Endpoint:
        """Take addresses. A network that was removed and made again under its name is meant too."""
        try:
            network = self._networks.get(plan.network)
        except NoSuchNetwork:
            network = self._networks.wanted(plan.network_name)
        with self._engine.locks.of("network", network.id):
            self._networks.get(network.id)  # it may have been removed while we waited
            last = self._last.get((container.id, network.id), "")
            ipv4 = self._addresses.take(network, 4, wanted=plan.requested_ipv4, preferred=last)
            endpoint = replace(plan, id=new_id(), network=network.id, network_name=network.name, ipv4=ipv4, mac=plan.requested_mac)
            self._count(endpoint)
        try:
            ipv6 = self._addresses.take(network, 6, wanted=plan.requested_ipv6) if network.ipv6 else ""
        except BaseException:
            self._free(endpoint)
            raise
        endpoint = replace(endpoint, ipv6=ipv6, interface=interface if network.subnets else "", default_route=False)
        if network.internal:
            return endpoint
        return replace(endpoint, gateway=gateway_of(network, ipv4), gateway6=gateway_of(network, ipv6))

    def _attach(self, endpoint: Endpoint, namespace: str) -> Endpoint:
        network = self._networks.get(endpoint.network)
        attached: Endpoint = self._networks.call(network, "attach", network, endpoint, namespace)
        # What the engine decided stays as it was decided, whatever a driver returns.
        return replace(endpoint, interface=attached.interface, host_interface=attached.host_interface, mac=attached.mac)

    def _network_of(self, endpoint: Endpoint, method: str, namespace: str) -> None:
        """Call the driver of an endpoint's network; a network that is gone has nothing left to undo."""
        network = self._engine.state.networks.get(endpoint.network)
        if network is not None:
            self._networks.call(network, method, network, endpoint, namespace)

    def _with_ports(self, container: Container, endpoints: list[Endpoint]) -> tuple[Endpoint, ...]:
        """Publish the container's ports on the endpoint that has its default route."""
        return tuple(replace(each, ports=self._publish(container, each) if each.default_route else ()) for each in endpoints)

    def _publish(self, container: Container, endpoint: Endpoint) -> tuple[PublishedPort, ...]:
        default_ip = self._networks.get(endpoint.network).options.get(HOST_BINDING, "") or "0.0.0.0"
        try:
            return self._ports.publish(container.id, wanted_ports(container), default_ip=default_ip, with_ipv6=bool(endpoint.ipv6))
        except PortTaken as error:
            name = f"endpoint {container.name} ({endpoint.id})"
            raise PykeError(f"driver failed programming external connectivity on {name}: {error.message}", hint=error.hint) from error

    def _count(self, endpoint: Endpoint) -> None:
        network = self._engine.state.networks.get(endpoint.network)
        if network is not None:
            self._addresses.mark(network, filter(None, (endpoint.ipv4, endpoint.ipv6)))
        with self._guard:
            self._on.setdefault(endpoint.network, {})[endpoint.container] = endpoint.id

    def _free(self, endpoint: Endpoint) -> bool:
        """Give back what an endpoint holds; say whether it held it still."""
        with self._guard:
            users = self._on.get(endpoint.network, {})
            if users.get(endpoint.container) != endpoint.id:
                return False
            del users[endpoint.container]
            self._last[endpoint.container, endpoint.network] = endpoint.ipv4.partition("/")[0]
        network = self._engine.state.networks.get(endpoint.network)
        if network is not None:
            self._addresses.give_back(network, filter(None, (endpoint.ipv4, endpoint.ipv6)))
        return True

    def _living(self, id: str) -> Container:
        container = self._engine.containers.get(id)
        if container.state.status in ("removing", "dead"):
            reason = "is marked for removal and cannot be connected or disconnected to the network"
            raise Conflict(f"Container {id} {reason}", hint="pyke ps -a")
        return container

    def _tell(self, action: str, endpoint: Endpoint) -> None:
        network = self._engine.state.networks.get(endpoint.network)
        if network is not None:
            self._networks.publish(action, network, container=endpoint.container)


def _plan(container: Container, network: Network, wish: EndpointSpec) -> Endpoint:
    aliases = wish.aliases if network.builtin else (*wish.aliases, container.short_id)
    return Endpoint(
        id="",
        network=network.id,
        network_name=network.name,
        container=container.id,
        aliases=tuple(dict.fromkeys(aliases)),
        links=wish.links,
        driver_options=wish.driver_options,
        requested_ipv4=wish.ipv4,
        requested_ipv6=wish.ipv6,
        requested_mac=wish.mac,
    )


def _released(endpoint: Endpoint) -> Endpoint:
    return replace(
        endpoint, id="", ipv4="", ipv6="", gateway="", gateway6="", mac="", interface="", host_interface="", ports=(), default_route=True
    )


def _with_default_route(endpoints: list[Endpoint], networks: Networks) -> list[Endpoint]:
    """Let the first endpoint that has a gateway be the container's way out."""
    first = next((endpoint for endpoint in endpoints if endpoint.gateway), None)
    return [replace(endpoint, default_route=endpoint is first) for endpoint in endpoints]


def _free_interface(endpoints: Iterable[Endpoint]) -> str:
    used = {endpoint.interface for endpoint in endpoints}
    return next(name for name in (f"eth{number}" for number in range(len(used) + 1)) if name not in used)
