"""The engine's side of the names by which containers find each other: what they mean is written down, and who is asked is started.

Docker's rule: on a network of the user's, a container is found by its name, its aliases and its short ID; on the default network it is not.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import threading
import time
from _socket import SOCK_SEQPACKET
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyke import launch, sockets
from pyke.engine.networks.ports import exposed_ports
from pyke.errors import PykeError
from pyke.model import Container, Endpoint, Network
from pyke.runtime import linux, names

if TYPE_CHECKING:
    from pyke.paths import Layout

ADDRESS = "127.0.0.11"  # Docker's
HOST_RESOLV_CONF = "/etc/resolv.conf"
REDIRECTION = """
table ip pyke_names
delete table ip pyke_names
table ip pyke_names {{
    chain output {{
        type nat hook output priority -100
        ip daddr {address} udp dport 53 dnat to {address}:{udp}
        ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
    }}
}}
"""
START_DEADLINE = 30.0  # seconds
REPLY_DEADLINE = 5.0  # seconds
LARGEST_REPLY = 1 << 20
LARGEST_RESOLV_CONF = 64 * 1024


def is_served(network: Network) -> bool:
    """Whether containers on a network find each other by name."""
    return not network.builtin and bool(network.subnets)


class Names:
    """Writes what names mean, and keeps a name server in every container that has a use for one. Safe to use from every thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._directory = os.path.join(layout.run, "names")
        self._lock = threading.Lock()

    # what names mean

    def write(self, network: Network, places: Iterable[tuple[Container, Endpoint]]) -> None:
        """Write down who is on a network; the name server reads it with the next question."""
        if not is_served(network):
            return
        meanings: dict[str, list[str]] = {}
        addresses: dict[str, str] = {}
        for container, endpoint in places:
            own = [address.partition("/")[0] for address in (endpoint.ipv4, endpoint.ipv6) if address]
            addresses.update(dict.fromkeys(own, container.name))
            for name in dict.fromkeys((container.name, *endpoint.aliases, container.short_id)):
                meanings.setdefault(name.lower(), []).extend(own)
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        self._replace(network, {"network": network.name.lower(), "names": meanings, "addresses": addresses})

    def _replace(self, network: Network, content: dict[str, Any]) -> None:
        path = os.path.join(self._directory, f"{network.id}.json")
        with self._lock:
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(path + ".new", path)

    def forget(self, network: Network) -> None:
        """A network is gone."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._directory, f"{network.id}.json"))

    # who is asked

    def serve(self, container: Container, places: Iterable[tuple[Network, Endpoint]], namespace: str) -> None:
        """Answer in a container's network namespace ("/proc/PID/ns/net") for as long as that process lives.

        `PykeError` where somebody in there has taken port 53.
        """
        descriptors = _sockets_inside(namespace, redirected=_serves_names(container))
        try:
            descriptors.append(os.pidfd_open(int(namespace.split("/")[2])))
            self._request({"op": "serve", **_place(container, places)}, descriptors)
        except ProcessLookupError as error:
            raise PykeError(f"the process of container {container.name} is gone") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def update(self, container: Container, places: Iterable[tuple[Network, Endpoint]]) -> None:
        """A running container is on other networks than before."""
        self._request({"op": "update", **_place(container, places)})

    def leave(self, container: str) -> None:
        """A container is on no network any more that has names."""
        with contextlib.suppress(OSError):  # without a name server, nobody answers already
            self._ask({"op": "leave", "container": container})

    def rest(self) -> None:
        """The engine leaves for a while: where no container is served, the name server leaves too."""
        with contextlib.suppress(OSError):
            self._ask({"op": "rest"})

    def quit(self) -> None:
        """The engine goes for ever: the name server leaves."""
        with contextlib.suppress(OSError):
            self._ask({"op": "quit"})

    def served(self) -> set[str]:
        """The containers in which names are answered now."""
        try:
            return set(self._ask({"op": "list"})["containers"])
        except OSError:
            return set()

    def _request(self, request: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
        """Ask the name server for something; start it where there is none. One that somebody else starts may be a while in coming: ours
        leaves then, before that one listens."""
        deadline = time.monotonic() + START_DEADLINE
        while True:
            try:
                self._ask(request, descriptors)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    hint = f"tail {self._layout.engine_log}"
                    raise PykeError(f"the name server does not come up: {error.strerror}", hint=hint) from error
            self._start()

    def _ask(self, request: dict[str, Any], descriptors: Iterable[int] = ()) -> dict[str, Any]:
        connection = sockets.connect(os.path.join(self._layout.run, "names.sock"), SOCK_SEQPACKET)
        try:
            connection.settimeout(REPLY_DEADLINE)
            sockets.send(connection, json.dumps(request).encode(), tuple(descriptors))
            reply = connection.recv(LARGEST_REPLY)
        finally:
            connection.close()
        if not reply:
            raise ConnectionResetError("the name server closed the connection")
        content: dict[str, Any] = json.loads(reply)
        return content

    def _start(self) -> None:
        """Start a name server, and wait until it listens or has left because another one does."""
        hearing, saying = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        log = os.open(self._layout.engine_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        ready = 3
        actions = [(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((null, 0), (log, 1), (log, 2), (saying, ready))]
        try:
            argv = names.command(self._layout.run, ready)
            child = os.posix_spawn(argv[0], argv, {"PATH": launch.PATH, "LANG": "C.UTF-8"}, file_actions=actions, setsid=True)
            threading.Thread(target=os.waitpid, args=(child, 0), name="names-end", daemon=True).start()
            for descriptor in (saying, null, log):
                os.close(descriptor)
            poll = select.poll()
            poll.register(hearing, select.POLLIN)
            poll.poll(START_DEADLINE * 1000)
        finally:
            os.close(hearing)


def _place(container: Container, places: Iterable[tuple[Network, Endpoint]]) -> dict[str, Any]:
    known = list(places)
    asked = (*container.spec.links, *(link for _, endpoint in known for link in endpoint.links))
    links = [link.strip("/").rpartition(":") for link in asked]
    return {
        "container": container.id,
        "networks": [network.id for network, _ in known if is_served(network)],
        "servers": list(container.spec.dns) or _host_servers(),
        "forward": not all(network.internal for network, _ in known),
        "links": {alias.lower(): name.lower() for name, colon, alias in links if colon},
    }


def _host_servers() -> list[str]:
    """The host's name servers. One on its loopback serves as well: the name server lives on the host."""
    try:
        with open(HOST_RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file.read(LARGEST_RESOLV_CONF).splitlines()]
    except OSError:
        return []
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver" and "%" not in each[1]]


def _serves_names(container: Container) -> bool:
    """Whether a container is a name server itself, and so wants port 53 of all its addresses for its own."""
    exposed = exposed_ports((*container.image_config.exposed_ports, *container.spec.exposed_ports))
    return names.PORT in {*(number for number, _ in exposed), *(port.container_port for port in container.spec.ports)}


def _sockets_inside(namespace: str, *, redirected: bool) -> list[int]:
    """A UDP and a listening TCP socket at the name server's address, made in a thread that enters the namespace and ends with it."""
    made: list[int] = []
    problems: list[Exception] = []

    def make() -> None:
        try:
            made.extend(_bound_inside(namespace, redirected))
        except (OSError, subprocess.SubprocessError) as error:
            problems.append(error)

    thread = threading.Thread(target=make, name="names-socket")
    thread.start()
    thread.join()
    if problems:
        raise PykeError(f"the name server cannot listen at {ADDRESS}:{names.PORT} in {namespace}: {problems[0]}") from problems[0]
    return made


def _bound_inside(namespace: str, redirected: bool) -> list[int]:
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(descriptor, linux.CLONE_NEWNET)
    finally:
        os.close(descriptor)
    port = 0 if redirected else names.PORT
    with contextlib.ExitStack() as stack:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind((ADDRESS, port))
        tcp = stack.enter_context(socket.create_server((ADDRESS, port)))
        if redirected:
            _redirect(udp.getsockname()[1], tcp.getsockname()[1])
        return [udp.detach(), tcp.detach()]


def _redirect(udp: int, tcp: int) -> None:
    """Lead port 53 to other ones, so that a server in there may bind it: what Docker does for all, at the cost of a program (8 ms)."""
    script = REDIRECTION.format(address=ADDRESS, udp=udp, tcp=tcp)
    subprocess.run(["nft", "-f", "-"], input=script, env={"PATH": launch.PATH}, text=True, capture_output=True, timeout=10, check=True)
