"""Names: containers find each other, and others are asked of the host's servers, by real questions from inside real namespaces."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pyke.model import Caller, EndpointSpec
from pyke.runtime import dns
from pyke.testing.fakehost import OUTSIDE, Namespace
from pyke.testing.network import eventually

if TYPE_CHECKING:
    from tests.system.conftest import Site

ROOT = Caller(0, 0, 0)
SERVER = ("127.0.0.11", 53)


def query(name: str, kind: int = dns.A, id: int = 0x1234) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", id, dns.RECURSION_DESIRED, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, dns.INTERNET)


def exchange(where: Namespace, message: bytes, server: tuple[str, int] = SERVER) -> bytes:
    """What the name server answers over UDP; b"" for nothing."""

    def work() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, contextlib.suppress(TimeoutError):
            client.settimeout(3)
            client.connect(server)
            client.send(message)
            return client.recv(4096)
        return b""

    return where.call(work)


def exchange_tcp(where: Namespace, message: bytes) -> bytes:
    def work() -> bytes:
        with socket.create_connection(SERVER, timeout=3) as client:
            client.sendall(len(message).to_bytes(2, "big") + message)
            return client.recv(4096)[2:]

    return where.call(work)


def code(reply: bytes) -> int:
    return reply[3] & 0xF


def found(reply: bytes) -> list[str]:
    """The IPv4 addresses of an answer: each record here ends with its four bytes."""
    count = int.from_bytes(reply[6:8], "big")
    records = reply[len(reply) - 16 * count :]
    return [socket.inet_ntoa(records[16 * number + 12 : 16 * number + 16]) for number in range(count)]


def lookup(where: Namespace, name: str) -> list[str]:
    return found(exchange(where, query(name)))


@contextlib.contextmanager
def resolver(where: Namespace, address: str) -> Iterator[list[bytes]]:
    """A name server somewhere else, that knows every name as 198.51.100.7; the questions that it got."""
    server = where.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind((address, 53))
    got: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while message := server.recvfrom(4096):
                if not message[0]:
                    return
                got.append(message[0])
                asked = dns.question(message[0])
                assert asked is not None
                forged = dns.addresses(asked, ["203.0.113.66"])
                server.sendto(dns.with_id(forged, asked.id ^ 1), message[1])  # a forged reply, which must not be believed
                server.sendto(dns.addresses(asked, ["198.51.100.7"]), message[1])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield got
    finally:
        with where.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as waker:
            waker.sendto(b"", (address or "127.0.0.1", 53))
        thread.join()
        server.close()


def test_containers_find_each_other(site: Site) -> None:
    site.create("n1")
    one, inside_one = site.start(site.container(network_mode="n1", endpoints=(EndpointSpec("n1", aliases=("web", "Shop")),)))
    two, inside_two = site.start(site.container(network_mode="n1"))
    for name in (one.name, one.short_id, "web", "shop", "WEB", f"{one.name}.n1", "web.n1"):
        assert lookup(inside_two, name) == ["172.18.0.2"], name
    assert lookup(inside_one, two.name) == ["172.18.0.3"]
    assert site.networks.name_server(one) == "127.0.0.11"
    assert found(exchange_tcp(inside_two, query("web"))) == ["172.18.0.2"]
    answer = exchange(inside_two, query("web", dns.AAAA))
    assert (code(answer), found(answer)) == (dns.NO_ERROR, []), "the name exists, and has no such address"
    back = exchange(inside_two, query("2.0.18.172.in-addr.arpa", dns.PTR))
    assert bytes([len(one.name)]) + one.name.encode() + b"\x02n1\0" in back


def test_an_alias_of_several_containers_means_all_of_them(site: Site) -> None:
    site.create("n1")
    shared = {"network_mode": "n1", "endpoints": (EndpointSpec("n1", aliases=("pool",)),)}
    site.start(site.container(**shared))
    _, inside = site.start(site.container(**shared))
    assert sorted(lookup(inside, "pool")) == ["172.18.0.2", "172.18.0.3"]


def test_names_follow_what_happens(site: Site) -> None:
    site.create("n1"), site.create("n2")
    one, _ = site.start(site.container(network_mode="n1"))
    two, inside = site.start(site.container(network_mode="n2"))
    assert lookup(inside, one.name) == [], "another network's name"
    site.networks.connect("n1", two.name, EndpointSpec("n1"), caller=ROOT)
    assert lookup(inside, one.name) == ["172.18.0.2"]
    renamed = site.engine.containers.put(replace(site.now(one), name="fresh"))
    site.networks.renamed(renamed)
    assert lookup(inside, "fresh") == ["172.18.0.2"]
    assert lookup(inside, one.name) == []
    site.networks.disconnect("n1", two.name, force=False, caller=ROOT)
    assert lookup(inside, "fresh") == []
    site.networks.connect("n1", two.name, EndpointSpec("n1"), caller=ROOT)
    site.stop(renamed)
    assert lookup(inside, "fresh") == []


def test_a_name_server_in_a_container_has_port_53_for_itself(site: Site) -> None:
    site.create("n1")
    one, _ = site.start(site.container(network_mode="n1"))
    two, inside = site.start(site.container(network_mode="n1", exposed_ports=("53/udp",)))
    with resolver(inside, ""):
        assert lookup(inside, one.name) == ["172.18.0.2"]
        assert found(exchange_tcp(inside, query(one.name))) == ["172.18.0.2"]
        own = two.endpoints[0].ipv4.partition("/")[0]
        assert found(exchange(inside, query("example.org"), (own, 53))), "its own answers, on its own address"


def test_the_default_network_has_no_names(site: Site) -> None:
    container, inside = site.start(site.container())
    assert site.networks.name_server(container) == ""
    assert "127.0.0.11" not in inside.run("ss", "-lnu").stdout


def test_other_names_are_asked_of_the_servers(site: Site) -> None:
    site.create("n1")
    with resolver(site.host.outside, OUTSIDE) as got:
        _, inside = site.start(site.container(network_mode="n1", dns=("203.0.113.99", OUTSIDE)))
        assert lookup(inside, "example.org") == ["198.51.100.7"], "the second server is asked when the first does not answer"
    assert got and b"\x07example\x03org\0" in got[0]


def test_a_resolver_on_the_host_s_loopback_is_reached(site: Site) -> None:
    site.create("n1")
    with resolver(site.host, "127.0.0.53"):
        _, inside = site.start(site.container(network_mode="n1", dns=("127.0.0.53",)))
        assert lookup(inside, "example.org") == ["198.51.100.7"]


def test_an_internal_network_asks_nobody(site: Site) -> None:
    """CVE-2024-29018: names carry data out."""
    site.create("inner", internal=True)
    with resolver(site.host.outside, OUTSIDE) as got:
        one, inside = site.start(site.container(network_mode="inner", dns=(OUTSIDE,)))
        assert code(exchange(inside, query("secret.example.org"))) == dns.NAME_ERROR
        assert code(exchange_tcp(inside, query("secret.example.org"))) == dns.NAME_ERROR
        assert lookup(inside, one.name) == ["172.18.0.2"]
    assert got == []


def test_answers_survive_the_engine(site: Site) -> None:
    site.create("n1")
    one, inside = site.start(site.container(network_mode="n1"))
    site.networks.close()
    site.engine.state.close()
    assert lookup(inside, one.name) == ["172.18.0.2"]
    site.next_engine()
    two, _ = site.start(site.container(network_mode="n1"))
    assert lookup(inside, two.name) == ["172.18.0.3"]


def test_a_name_server_without_containers_leaves_with_the_engine(site: Site) -> None:
    site.create("n1")
    container, _ = site.start(site.container(network_mode="n1"))
    site.networks.close()
    assert name_server_pid(site)
    site.stop(container)
    site.networks.close()
    eventually(lambda: not os.path.exists(site.root / "run" / "names.sock"))


def test_a_killed_name_server_is_replaced_by_the_next_engine(site: Site) -> None:
    site.create("n1")
    one, inside = site.start(site.container(network_mode="n1"))
    os.kill(name_server_pid(site), signal.SIGKILL)
    eventually(lambda: "127.0.0.11" not in inside.run("ss", "-lnu").stdout)
    site.next_engine()
    assert lookup(inside, one.name) == ["172.18.0.2"]


def test_the_namespace_of_a_container_that_ended_is_let_go(site: Site) -> None:
    """Without an engine to say so: the name server sees its process end."""
    site.create("n1")
    container, inside = site.start(site.container(network_mode="n1"))
    veth = container.endpoints[0].host_interface
    inside.close()
    eventually(lambda: veth not in site.host.interfaces())


@pytest.mark.parametrize("message", [b"", b"\0" * 11, query("web")[:-1], query("web")[:2] + b"\x80" + query("web")[3:], b"\xff" * 512])
def test_what_is_no_question_is_not_answered(site: Site, message: bytes) -> None:
    site.create("n1")
    one, inside = site.start(site.container(network_mode="n1"))

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(message, SERVER)
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(100)

    inside.call(send)
    assert lookup(inside, one.name) == ["172.18.0.2"]


def test_a_flood_of_questions_starves_nobody(site: Site) -> None:
    site.create("n1")
    _, loud = site.start(site.container(network_mode="n1", dns=("203.0.113.99",)))
    two, quiet = site.start(site.container(network_mode="n1"))
    flood = loud.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with flood:
        for number in range(2000):
            flood.sendto(query(f"n{number}.example.org", id=number), SERVER)
        assert lookup(quiet, two.name) == ["172.18.0.3"]
    assert len(os.listdir(f"/proc/{name_server_pid(site)}/fd")) < 120


def name_server_pid(site: Site) -> int:
    """The process that holds the lock of the site's name server."""
    inode = os.stat(site.root / "run" / "names.lock").st_ino
    with open("/proc/locks", encoding="ascii") as locks:
        return next(int(line.split()[4]) for line in locks if line.split()[5].endswith(f":{inode}"))
