"""Unix sockets: paths of any length, modes, and descriptors in messages."""

import os
import stat
from _socket import SOCK_SEQPACKET
from pathlib import Path

import pytest

from pyke import sockets


@pytest.mark.parametrize("length", [1, 200])
@pytest.mark.parametrize("kind", [sockets.SOCK_STREAM, SOCK_SEQPACKET])
def test_paths_of_any_length(tmp_path: Path, length: int, kind: int) -> None:
    directory = tmp_path / ("d" * length)
    directory.mkdir()
    path = str(directory / "socket")
    listener = sockets.listen(path, kind, mode=0o660)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    client = sockets.connect(path, kind)
    server = sockets.accept(listener)
    assert sockets.send(client, b"hello") == 5
    assert sockets.receive(server, 100) == (b"hello", [])
    assert not os.get_inheritable(client.fileno()) and not os.get_inheritable(server.fileno())


def test_listening_takes_the_place_of_a_stale_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    sockets.listen(path).close()
    with pytest.raises(ConnectionRefusedError):
        sockets.connect(path)
    listener = sockets.listen(path)
    sockets.connect(path).close()
    listener.close()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sockets.connect(str(tmp_path / "socket"))
    with pytest.raises(FileNotFoundError):
        sockets.connect(str(tmp_path / ("d" * 200) / "socket"))


def test_descriptors_travel_and_are_closed_on_exec() -> None:
    ours, theirs = sockets.pair()
    reading, writing = os.pipe()
    sockets.send(ours, b"x", [reading, writing])
    data, (first, second) = sockets.receive(theirs, 10)
    os.write(second, b"through")
    assert (data, os.read(first, 10)) == (b"x", b"through")
    assert not os.get_inheritable(first)
    for descriptor in (reading, writing, first, second):
        os.close(descriptor)
    ours.close()
    assert sockets.receive(theirs, 10) == (b"", [])
