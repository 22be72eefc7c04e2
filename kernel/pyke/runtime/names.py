"""The name server: one lean process an engine, which answers inside every container that is on a network of the user's, at 127.0.0.11:53.

It lives on when the engine does not. The engine makes the sockets inside a container's network namespace and sends them; what a name means
stands in RUN/names/NETWORK.json, which the engine writes and this process reads again whenever it has changed. Other names are asked of
the host's servers, from the host's namespace, unless the container is on internal networks only (CVE-2024-29018).

Requests on RUN/names.sock (SOCK_SEQPACKET, one JSON packet each, answered by one): {"op": "serve", "container", "networks", "servers",
"forward", "links"} with the descriptors of a UDP socket, a listening TCP socket and the pidfd of the container's first process;
"update" is the same without descriptors; {"op": "leave", "container"}; {"op": "list"}; {"op": "quit"};
{"op": "rest"}, which is quit where no container is served.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import socket
import sys
import threading
import time
from _socket import SOCK_SEQPACKET

from pyke import sockets
from pyke.runtime import dns
from pyke.runtime.loop import IN, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_REQUEST = 64 * 1024
LARGEST_MESSAGE = 4096  # bytes of a query or reply over UDP
SERVER_TIMEOUT = 2.0  # seconds that a server has, before the next is asked
CLIENT_TIMEOUT = 5.0  # seconds that a TCP client has for a query
PENDING_LIMIT = 512  # queries on their way to servers
PENDING_PER_CONTAINER = 64
TCP_LIMIT = 32  # connections at once, of all containers
IDLE = 30.0  # seconds without a container after which the process leaves
PORT = 53

BOOT = "import sys; sys.path[:0] = [sys.argv[1]]; from pyke.runtime import names; names.main(*sys.argv[2:])"


def command(run: str, ready: int) -> list[str]:
    """How to start the name server of the engine that runs in `run`. It writes a byte to the descriptor `ready` when it listens."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-I", "-S", "-c", BOOT, source, run, str(ready)]


def main(run: str, ready: str) -> None:
    """Serve until nobody needs it. Leaves at once when another name server serves `run`."""
    lock = os.open(os.path.join(run, "names.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    server = NameServer(run)
    os.write(int(ready), b"\n")
    os.close(int(ready))
    server.serve()


class Directory:
    """What the names on the networks mean, as the engine wrote it last."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._known: dict[str, tuple[int, dict[str, Any]]] = {}

    def addresses(self, networks: list[str], name: str) -> list[str]:
        """The addresses of a name, or of NAME.NETWORK, on the first network that knows it."""
        for network in networks:
            content = self._read(network)
            names = content.get("names", {})
            found = names.get(name) or names.get(name.removesuffix("." + content.get("network", "")))
            if found:
                return list(found)
        return []

    def name_of(self, networks: list[str], address: str) -> str:
        """The name of an address, or ""."""
        for network in networks:
            content = self._read(network)
            if name := content.get("addresses", {}).get(address):
                return f"{name}.{content.get('network', '')}"
        return ""

    def _read(self, network: str) -> dict[str, Any]:
        path = os.path.join(self._directory, f"{network}.json")
        try:
            changed = os.stat(path).st_mtime_ns
            known = self._known.get(network)
            if known is None or known[0] != changed:
                with open(path, encoding="utf-8") as file:
                    known = self._known[network] = changed, json.load(file)
            return known[1]
        except (OSError, ValueError):
            self._known.pop(network, None)
            return {}


class Place:
    """A container in which names are answered."""

    def __init__(self, udp: socket.socket, tcp: socket.socket, process: int) -> None:
        self.udp, self.tcp, self.process = udp, tcp, process
        self.pending = 0
        self.networks: list[str] = []
        self.servers: list[str] = []
        self.links: dict[str, str] = {}
        self.forward = False

    def change(self, request: dict[str, Any]) -> None:
        self.networks, self.servers = request["networks"], request["servers"]
        self.links, self.forward = request["links"], request["forward"]

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()
        os.close(self.process)


class Errand:
    """A query on its way to a server."""

    def __init__(self, place: Place, client: Any, asked: dns.Question, query: bytes, servers: list[str]) -> None:
        self.place, self.client, self.asked, self.query, self.servers = place, client, asked, query, servers
        self.id, self.deadline = 0, 0.0


class NameServer:
    """Answers what it knows and passes on the rest. One thread for UDP and requests; a short-lived one for each TCP client."""

    def __init__(self, run: str) -> None:
        self._path = os.path.join(run, "names.sock")
        self._names = Directory(os.path.join(run, "names"))
        self._loop = Loop()
        self._places: dict[str, Place] = {}
        self._errands: dict[socket.socket, Errand] = {}
        self._tcp_slots = threading.BoundedSemaphore(TCP_LIMIT)
        self._is_wanted, self._last_needed = True, time.monotonic()
        self._listener = sockets.listen(self._path, SOCK_SEQPACKET)
        self._loop.watch(self._listener.fileno(), IN, lambda events: self._accept())

    def serve(self) -> None:
        while self._is_wanted and (self._places or time.monotonic() < self._last_needed + IDLE):
            self._loop.turn(0.5 if self._errands else IDLE)
            self._expire()
        os.unlink(self._path)

    # requests of the engine

    def _accept(self) -> None:
        engine = sockets.accept(self._listener)
        self._loop.watch(engine.fileno(), IN, lambda events: self._read(engine))

    def _read(self, engine: sockets.Socket) -> None:
        try:
            packet, descriptors = sockets.receive(engine, LARGEST_REQUEST)
            if packet:
                sockets.send(engine, json.dumps(self._obey(json.loads(packet), descriptors)).encode())
                return
        except OSError:
            pass
        self._loop.forget(engine.fileno())
        engine.close()

    def _obey(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        operation, container = request["op"], request.get("container", "")
        self._last_needed = time.monotonic()
        if operation == "serve":
            self._leave(container)
            self._serve(container, request, descriptors)
        elif operation == "update" and container in self._places:
            self._places[container].change(request)
        elif operation == "leave":
            self._leave(container)
        elif operation in ("quit", "rest"):
            self._is_wanted = operation == "rest" and bool(self._places)
        return {"containers": list(self._places)}

    def _serve(self, container: str, request: dict[str, Any], descriptors: list[int]) -> None:
        udp, tcp, process = descriptors
        place = Place(socket.socket(fileno=udp), socket.socket(fileno=tcp), process)
        place.change(request)
        for each in (place.udp, place.tcp):
            each.setblocking(False)
        self._places[container] = place
        self._loop.watch(udp, IN, lambda events: self._hear(place))
        self._loop.watch(tcp, IN, lambda events: self._welcome(place))
        self._loop.watch(process, IN, lambda events: self._leave(container))

    def _leave(self, container: str) -> None:
        """A container ended: its sockets would keep its namespace alive."""
        place = self._places.pop(container, None)
        if place is None:
            return
        self._last_needed = time.monotonic()
        for descriptor in (place.udp.fileno(), place.tcp.fileno(), place.process):
            self._loop.forget(descriptor)
        for server in [each for each, errand in self._errands.items() if errand.place is place]:
            self._drop(server)
        place.close()

    # questions of containers

    def _hear(self, place: Place) -> None:
        with contextlib.suppress(OSError):
            message, client = place.udp.recvfrom(LARGEST_MESSAGE)
            asked = dns.question(message)
            if asked is None:
                return  # whatever it is, it is no question: no answer, so that nothing can be made to echo
            reply = self._known(place, asked)
            if reply is not None:
                place.udp.sendto(reply, client)
            else:
                self._send_out(Errand(place, client, asked, message, list(place.servers)))

    def _known(self, place: Place, asked: dns.Question) -> bytes | None:
        """The answer, where it can be given here; None where a server has to be asked."""
        if asked.kind in (dns.A, dns.AAAA):
            if found := self._names.addresses(place.networks, place.links.get(asked.name, asked.name)):
                return dns.addresses(asked, found)
        elif asked.kind == dns.PTR and (name := self._names.name_of(place.networks, dns.reversed_address(asked.name))):
            return dns.pointer(asked, name)
        if not place.forward or not place.servers:
            return dns.failure(asked, dns.SERVER_FAILURE if place.forward else dns.NAME_ERROR)
        return None

    def _send_out(self, errand: Errand) -> None:
        """Ask the next server; when there is none left, or too much is on its way, say so."""
        place = errand.place
        while errand.servers and place.pending < PENDING_PER_CONTAINER and len(self._errands) < PENDING_LIMIT:
            address = errand.servers.pop(0)
            server = socket.socket(_family(address), socket.SOCK_DGRAM)
            try:
                server.setblocking(False)
                server.connect((address, PORT))  # a port of the kernel's choice, and nobody else's replies
                errand.id, errand.deadline = int.from_bytes(os.urandom(2), "big"), time.monotonic() + SERVER_TIMEOUT
                server.send(dns.with_id(errand.query, errand.id))
            except OSError:
                server.close()
                continue
            place.pending += 1
            self._errands[server] = errand
            self._loop.watch(server.fileno(), IN, functools.partial(self._come_back, server, errand))
            return
        with contextlib.suppress(OSError):
            place.udp.sendto(dns.failure(errand.asked, dns.SERVER_FAILURE), errand.client)

    def _come_back(self, server: socket.socket, errand: Errand, events: int) -> None:
        try:
            reply = server.recv(LARGEST_MESSAGE)
        except OSError:  # nobody listens there
            self._drop(server)
            self._send_out(errand)
            return
        if dns.answers_to(reply, errand.asked, errand.id):
            self._drop(server)
            with contextlib.suppress(OSError):
                errand.place.udp.sendto(dns.with_id(reply, errand.asked.id), errand.client)

    def _drop(self, server: socket.socket) -> None:
        errand = self._errands.pop(server)
        errand.place.pending -= 1
        self._loop.forget(server.fileno())
        server.close()

    def _expire(self) -> None:
        now = time.monotonic()
        for server in [each for each, errand in self._errands.items() if errand.deadline < now]:
            errand = self._errands[server]
            self._drop(server)
            self._send_out(errand)

    # the same over TCP, which clients use for what does not fit

    def _welcome(self, place: Place) -> None:
        with contextlib.suppress(OSError):
            client, _ = place.tcp.accept()
            if self._tcp_slots.acquire(blocking=False):
                threading.Thread(target=self._converse, args=(place, client), daemon=True).start()
            else:
                client.close()

    def _converse(self, place: Place, client: socket.socket) -> None:
        try:
            with client, contextlib.suppress(OSError):
                client.settimeout(CLIENT_TIMEOUT)
                while (message := _read_framed(client)) is not None and (asked := dns.question(message)) is not None:
                    reply = self._known(place, asked) or _ask_framed(place.servers, asked, message)
                    client.sendall(len(reply).to_bytes(2, "big") + reply)
        finally:
            self._tcp_slots.release()


def _ask_framed(servers: list[str], asked: dns.Question, query: bytes) -> bytes:
    for address in servers:
        with contextlib.suppress(OSError), socket.create_connection((address, PORT), SERVER_TIMEOUT) as server:
            server.sendall(len(query).to_bytes(2, "big") + query)
            reply = _read_framed(server)
            if reply is not None and dns.answers_to(reply, asked, asked.id):
                return reply
    return dns.failure(asked, dns.SERVER_FAILURE)


def _read_framed(peer: socket.socket) -> bytes | None:
    """A message with its length before it, or None at the end of the stream."""
    head = _read_exactly(peer, 2)
    return _read_exactly(peer, int.from_bytes(head, "big")) if head else None


def _read_exactly(peer: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            return None
        data += more
    return data


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
