"""Published ports: held by sockets, and kept apart where no socket tells who has them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from pyke.engine.networks.ports import Ports, PortTaken
from pyke.model import PortSpec, PublishedPort


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


def publish(ports: Ports, owner: str, **wish: object) -> tuple[PublishedPort, ...]:
    return ports.publish(owner, [PortSpec(80, **wish)], default_ip="0.0.0.0", with_ipv6=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_port_is_one_containers(ports: Ports, protocol: str) -> None:
    (port,) = publish(ports, "a", protocol=protocol)
    for ip in ("", "127.0.0.1"):
        with pytest.raises(PortTaken, match="already allocated"):
            publish(ports, "b", protocol=protocol, host_port=port.host_port, host_ip=ip)
    ports.release("a")
    assert publish(ports, "b", protocol=protocol, host_port=port.host_port) == (port,)


def test_what_somebody_took_while_no_engine_was_there_stays_its_containers(ports: Ports) -> None:
    """The packet filter has its element still: another container would be refused, or take what is meant for it."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        number = stranger.getsockname()[1]
        port = PublishedPort(80, "tcp", "127.0.0.1", number)
        assert ports.hold("a", [port]) == [port]
    for ip in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(PortTaken):
            publish(ports, "b", host_port=number, host_ip=ip)
    assert publish(ports, "b", host_port=number, host_ip="127.0.0.2")[0].host_port == number
    ports.release("b")
    ports.release("a")
    assert publish(ports, "b", host_port=number, host_ip="127.0.0.1") == (port,)
