"""Networks: the front door. Which there are, how one comes and goes; a container's place on them is told in endpoints.py."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyke.drivers import ReconcilesNetworks
from pyke.engine.containers.remove import Pruned
from pyke.engine.filters import Filters, prune_filter
from pyke.engine.identifiers import is_full_id, new_id
from pyke.engine.networks.endpoints import Endpoints
from pyke.engine.networks.wishes import Wishes
from pyke.errors import Conflict, Forbidden, InvalidRequest, NameInUse, NoSuchNetwork, PluginFailed, PykeError
from pyke.model import Caller, Container, ContainerSpec, Endpoint, EndpointSpec, Network, Subnet

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

log = logging.getLogger("pyke.networks")

OPTION = "com.docker.network.bridge."
DEFAULT_OPTIONS = {
    OPTION + "default_bridge": "true",
    OPTION + "enable_icc": "true",
    OPTION + "enable_ip_masquerade": "true",
    OPTION + "host_binding_ipv4": "0.0.0.0",
    "com.docker.network.driver.mtu": "1500",
}
#: The networks that every engine has, each as soon as its driver is installed.
PREDEFINED = {
    "bridge": Network("", "bridge", "bridge", builtin=True, options=DEFAULT_OPTIONS),
    "host": Network("", "host", "host", builtin=True),
    "none": Network("", "none", "none", builtin=True),
}
LONGEST_NAME = 255
SETTLINGS = 3  # times that a driver is asked for a subnet, should others be quicker each time
CREATE_HINT = "pyke network create --subnet 10.0.0.0/16 NAME"


class Networks:
    """All networks of an engine. Every method takes a full ID, a name, or an unambiguous prefix of an ID."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._names = {network.name: network.id for network in engine.state.networks.all()}
        self._guard = threading.Lock()  # of names and subnets: two networks must not settle on one
        self._claimed: set[str] = set()  # the names of those that are being made
        self._endpoints = Endpoints(engine, self)
        self._wishes = Wishes(self)

    # finding

    def all(self) -> list[Network]:
        """Every network, sorted by name."""
        return sorted(self.engine.state.networks.all(), key=lambda network: network.name)

    def get(self, ref: str) -> Network:
        """The network that is meant."""
        table = self.engine.state.networks
        found = table.get(ref) or table.get(self._names.get(ref, ""))
        if found is None and ref and not is_full_id(ref):
            found = self._by_prefix(ref)
        if found is None:
            raise NoSuchNetwork(f"network {ref} not found", hint="pyke network ls")
        return found

    def wanted(self, ref: str) -> Network:
        """The network that a container asks for: as `get`, but a predefined one whose driver is installed is made where it is missing."""
        if ref in PREDEFINED and ref not in self._names:
            self.call(PREDEFINED[ref], "validate", PREDEFINED[ref])  # NotInstalled says what to install
            self._make_predefined(PREDEFINED[ref])
        return self.get(ref)

    def endpoints(self, network: Network) -> list[tuple[Container, Endpoint]]:
        """The running containers on a network, and their places there."""
        return self._endpoints.on(network)

    def _by_prefix(self, prefix: str) -> Network | None:
        matching = [network for network in self.engine.state.networks.all() if network.id.startswith(prefix)]
        if len(matching) > 1:
            count = f"{len(matching)} matches found on ID prefix"
            raise InvalidRequest(f"network {prefix} is ambiguous ({count})", hint="pyke network ls --no-trunc")
        return matching[0] if matching else None

    # coming and going

    def create(self, network: Network, *, caller: Caller) -> Network:
        """Make a network from a description without ID, and return it as it became: with subnets, gateways and interface."""
        self.engine.authorize(caller, "network.create", network.name)
        network = replace(network, id=new_id(), created=time.time_ns(), driver=network.driver or self.engine.settings.networks.driver)
        if network.name in (*PREDEFINED, "default"):
            raise Forbidden(f"operation is not permitted on predefined {network.name} network", hint="pyke network ls")
        if network.driver in ("host", "none"):
            hint = f"pyke run --network {network.driver} IMAGE"
            raise Forbidden(f'only one instance of "{network.driver}" network is allowed', hint=hint)
        return self._make(replace(network, subnets=tuple(map(_canonical, network.subnets))))

    def remove(self, ref: str, *, caller: Caller) -> None:
        """Remove a network that no running container is on."""
        network = self.get(ref)
        self.engine.authorize(caller, "network.remove", network.id)
        if network.builtin:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed", hint="pyke network ls")
        with self.engine.locks.of("network", network.id):
            network = self.get(network.id)
            if users := self._endpoints.users(network):
                raise Forbidden(
                    f"error while removing network: network {network.name} id {network.id} has active endpoints",
                    hint=f"pyke network disconnect {network.name} {users[0].name}",
                )
            with self.engine.state.intent("network.remove", network.id):
                self.call(network, "remove", network)
                with self.engine.state.transaction():
                    self.engine.state.networks.delete(network.id)
                    self.engine.state.after_commit(lambda: self._names.pop(network.name, None))  # who hears of it may want the name
                    self.publish("destroy", network)
            self._endpoints.forget(network)

    def prune(self, filters: Filters | None, *, caller: Caller) -> Pruned:
        """Remove every network that the filters take and no running container is on, but not the predefined ones."""
        wanted = prune_filter(filters)
        deleted = []
        for network in self.all():
            if network.builtin or not wanted(network.labels, network.created) or self._endpoints.on(network):
                continue
            try:
                self.remove(network.id, caller=caller)
            except PluginFailed as error:
                log.error("network %s could not be removed: %s", network.name, error.message)
                continue
            deleted.append(network.name)
        self.engine.events.publish("network", "prune", "", reclaimed="0")
        return Pruned(tuple(deleted))

    def _make(self, network: Network) -> Network:
        """One network of a driver is made at a time; a driver that hangs keeps nobody from making those of others."""
        with self.engine.locks.of("network driver", network.driver), self._claiming(network.name):
            self.call(network, "validate", network)
            with self.engine.state.intent("network.create", network.id, driver=network.driver):
                for _ in range(SETTLINGS):
                    _check_overlap(network, self._taken())
                    if self._keep(made := self._settle(network, self._taken())):
                        return made
        raise Conflict(f"network {network.name} finds no subnet that others do not take meanwhile", hint=CREATE_HINT)

    @contextlib.contextmanager
    def _claiming(self, name: str) -> Iterator[None]:
        """Have a name that nobody else can have meanwhile."""
        if len(name) > LONGEST_NAME or not name.isprintable() or "/" in name:
            raise InvalidRequest(f"invalid network name {name[:80]!r}", hint="pyke network create NAME")
        with self._guard:
            if not name or name in self._names or name in self._claimed:
                raise NameInUse(f"network with name {name} already exists", hint="pyke network ls")
            self._claimed.add(name)
        try:
            yield
        finally:
            self._claimed.discard(name)

    def _taken(self) -> list[str]:
        return [subnet.subnet for other in self.engine.state.networks.all() for subnet in other.subnets]

    def _keep(self, network: Network) -> bool:
        """Put a network on record, unless another driver has settled on its subnet meanwhile: then it is taken off the host again."""
        try:
            with self._guard, self.engine.state.transaction():
                _check_overlap(network, self._taken())
                self.engine.state.networks.put(network)
                self.publish("create", network)
                self._names[network.name] = network.id
        except PykeError as error:
            self.call(network, "remove", network)
            if isinstance(error, Forbidden):
                return False
            raise
        return True

    def _settle(self, network: Network, taken: list[str]) -> Network:
        made: Network = self.call(network, "create", network, taken)
        settled = replace(network, subnets=made.subnets, interface=made.interface)
        try:
            for subnet in settled.subnets:
                _canonical(subnet)
            _check_overlap(settled, taken)
        except PykeError as error:
            self.call(settled, "remove", settled)
            raise PluginFailed(f"the network driver {network.driver!r} settled on an impossible subnet: {error.message}") from error
        return settled

    # a container's place

    def planned(self, container: Container) -> tuple[Endpoint, ...]:
        """The places that a container asks for, without addresses: what a created container shows."""
        return self._endpoints.planned(container)

    def resolve(self, spec: ContainerSpec) -> list[tuple[Network, EndpointSpec]]:
        """The networks that a specification asks for. Everything about it that is impossible is refused here."""
        return self._wishes.resolve(spec)

    def shares_host_namespace(self, spec: ContainerSpec) -> bool:
        """Whether a container lives in the host's own network namespace."""
        mode = spec.network_mode
        if spec.network_disabled or mode in ("", "default", "none", "bridge") or mode.startswith("container:"):
            return False
        driver = self.wanted(mode).driver
        return bool(self.engine.plugins.driver("network", driver).shares_host_namespace)

    def reserve(self, container: Container) -> tuple[Endpoint, ...]:
        """Take addresses and ports for a container about to start; all, or none and the original error."""
        return self._endpoints.reserve(container)

    def attach(self, container: Container, namespace: str) -> tuple[Endpoint, ...]:
        """Connect a container's namespace to the networks that were reserved; all, or none and the original error."""
        return self._endpoints.attach(container, namespace)

    def detach(self, container: Container) -> None:
        """Disconnect a container that ended and free its addresses and ports. Idempotent; never stops early; one error lists all."""
        self._endpoints.detach(container)

    def released(self, container: Container) -> tuple[Endpoint, ...]:
        """A container's places as they are while it does not run: what was asked for, without addresses."""
        return self._endpoints.released(container)

    def release(self, container: Container) -> None:
        """A container is removed: forget all that is remembered about it."""
        self._endpoints.release(container)

    def renamed(self, container: Container) -> None:
        """A container has another name, by which the others on its networks find it."""
        self._endpoints.renamed(container)

    def name_server(self, container: Container) -> str:
        """The address at which a container asks for names, or "" where the host's servers answer it."""
        return self._endpoints.name_server(container)

    def host_gateway(self, container: Container) -> str:
        """An address of the host that a container reaches: the default bridge's, as for Docker, else that of its own way out."""
        default = self.engine.state.networks.get(self._names.get("bridge", ""))
        gateways = [subnet.gateway for subnet in default.subnets] if default else []
        gateways += [endpoint.gateway or endpoint.gateway6 for endpoint in container.endpoints]
        found = next(filter(None, gateways), "")
        if not found:
            raise InvalidRequest("unable to derive the IP value for host-gateway: no network leads to the host", hint=CREATE_HINT)
        return found

    def connect(self, network_ref: str, container_ref: str, wish: EndpointSpec, *, caller: Caller) -> None:
        """Connect a container to one more network: at once where it runs, else at its next start."""
        network, container = self.wanted(network_ref), self.engine.containers.get(container_ref)
        self.engine.authorize(caller, "network.connect", network.id, container.spec)
        self._wishes.check_connection(network, container, wish)
        self._endpoints.connect(network, container.id, wish)

    def disconnect(self, network_ref: str, container_ref: str, *, force: bool, caller: Caller) -> None:
        """Take a container off a network. With `force`, a network that is gone is fine."""
        container = self.engine.containers.get(container_ref)
        try:
            network = self.get(network_ref)
        except NoSuchNetwork:
            if not force:
                raise
            network = Network(network_ref, network_ref, "")
        self.engine.authorize(caller, "network.disconnect", network.id, container.spec)
        self._endpoints.disconnect(network, container.id, force=force)

    # after a start of the engine

    def recover(self) -> None:
        """Make the predefined networks of the installed drivers, and every driver's host what the records say."""
        self._endpoints.recover()
        installed = self.engine.plugins.names("network")
        for network in PREDEFINED.values():
            if network.name not in self._names and network.driver in installed:
                self._logged(f"network {network.name}", self._make_predefined, network)
        for driver in installed:
            self._logged(f"network driver {driver}", self._reconcile, driver)

    def dismantle(self) -> None:
        """Take everything off the host that this engine's networks made, for an engine that goes for ever. No container runs."""
        self._endpoints.dismantle()
        for driver in self.engine.plugins.names("network"):
            if self.engine.plugins.implements("network", driver, ReconcilesNetworks):
                self.engine.plugins.call("network", driver, "reconcile", (), ())

    def close(self) -> None:
        """Let go of the ports, for an engine that leaves: the containers keep them, and the next engine takes them up again."""
        self._endpoints.close()

    def call(self, network: Network, method: str, *arguments: object) -> Any:
        """Call the driver of a network."""
        return self.engine.plugins.call("network", network.driver, method, *arguments)

    def publish(self, action: str, network: Network, **attributes: str) -> None:
        """Tell listeners what happened to a network."""
        self.engine.events.publish("network", action, network.id, name=network.name, type=network.driver, **attributes)

    def _make_predefined(self, network: Network) -> None:
        try:
            made = self._make(replace(network, id=new_id(), created=time.time_ns()))
        except NameInUse:
            return
        if made.interface:
            self.engine.state.networks.put(replace(made, options={**made.options, OPTION + "name": made.interface}))

    def _reconcile(self, driver: str) -> None:
        networks = [network for network in self.engine.state.networks.all() if network.driver == driver]
        if not self.engine.plugins.implements("network", driver, ReconcilesNetworks):
            for network in networks:
                self.call(network, "create", network, [])
            return
        active = [(network, endpoint) for network in networks for _, endpoint in self._endpoints.on(network)]
        for line in self.engine.plugins.call("network", driver, "reconcile", networks, [endpoint for _, endpoint in active]):
            log.info("network driver %s: %s", driver, line)
        for network, endpoint in active:
            self._withdraw_if_ended(network, endpoint)

    def _withdraw_if_ended(self, network: Network, endpoint: Endpoint) -> None:
        """What has ended while its driver put everything right, was put right, too."""
        with self.engine.locks.of("container", endpoint.container):
            container = self.engine.state.containers.get(endpoint.container)
            if container is None or all(each.id != endpoint.id for each in container.endpoints):
                self.call(network, "detach", network, endpoint, "")

    def _logged(self, what: str, step: Callable[..., None], argument: object) -> None:
        """A driver that fails must not keep the engine from starting: what needs it will say so."""
        try:
            step(argument)
        except PykeError as error:
            log.error("%s: %s", what, error.message)


def _canonical(subnet: Subnet) -> Subnet:
    """A subnet with its host bits cleared; `InvalidRequest` where it, or an address that belongs in it, makes no sense."""
    try:
        network = ipaddress.ip_network(subnet.subnet, strict=False)
    except ValueError as error:
        message = f"Invalid subnet {subnet.subnet} : invalid CIDR address: {subnet.subnet}"
        raise InvalidRequest(message, hint=CREATE_HINT) from error
    for what, address in (("gateway", subnet.gateway), *((f"aux-address {name}", value) for name, value in subnet.reserved.items())):
        if address and not _holds(network, address):
            raise InvalidRequest(f"no matching subnet for {what} {address}: it is not in {network}", hint=CREATE_HINT)
    if subnet.ip_range and not _holds_range(network, subnet.ip_range):
        raise InvalidRequest(f"no matching subnet for range {subnet.ip_range}: it is not in {network}", hint=CREATE_HINT)
    part = str(ipaddress.ip_network(subnet.ip_range, strict=False)) if subnet.ip_range else ""
    return replace(subnet, subnet=str(network), ip_range=part)


def _holds(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _holds_range(network: ipaddress.IPv4Network | ipaddress.IPv6Network, text: str) -> bool:
    try:
        part = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return part.version == network.version and part[0] in network and part[-1] in network


def _check_overlap(network: Network, taken: Iterable[str]) -> None:
    """Refuse a subnet that touches another network's, or another of its own."""
    others = [ipaddress.ip_network(each) for each in taken]
    for subnet in network.subnets:
        wanted = ipaddress.ip_network(subnet.subnet)
        for other in others:
            if wanted.version == other.version and wanted.overlaps(other):
                raise Forbidden(f"Pool overlaps with other one on this address space: {wanted} and {other}", hint="pyke network ls")
        others.append(wanted)
