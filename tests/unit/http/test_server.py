"""The listener and HTTP itself: what is served, what is refused, and how a connection ends."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest

from pyke.http import wire
from pyke.http.server import Server, listen
from pyke.model import Caller
from pyke.testing.memory.stores import MemoryImages


def test_the_socket_is_for_root_and_a_group(client: Any) -> None:
    found = os.stat(client.path)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_uid == os.geteuid()
    assert os.listdir(os.path.dirname(client.path)) == ["pyke.sock"]


def test_a_stale_socket_is_replaced_and_a_long_path_is_no_obstacle(root: Any) -> None:
    path = os.path.join(root, "x" * 120, "pyke.sock")
    listen(path).close()
    listener = listen(path)
    directory = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"/proc/self/fd/{directory}/pyke.sock")
    os.close(directory)
    listener.close()


def test_the_caller_is_who_the_kernel_says(client: Any, engine: Any) -> None:
    client.create()
    caller = engine.containers.callers[0]
    assert (caller.uid, caller.gid, caller.pid) == (os.geteuid(), os.getegid(), os.getpid())


def test_a_connection_serves_many_requests(client: Any) -> None:
    connection = client.connection()
    for path, status in (("/_ping", 200), ("/nosuch", 404), ("/v1.41/info", 200), ("/containers/x/json", 404)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_requests_may_be_pipelined(client: Any) -> None:
    found = client.raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" * 3)
    assert found.count(b"HTTP/1.1 200") == 3


def test_http_1_0_closes(client: Any) -> None:
    found = client.raw(b"GET /_ping HTTP/1.0\r\n\r\n")
    assert b"200" in found.split(b"\r\n")[0]
    assert found.endswith(b"OK")


def test_a_reply_without_a_body_has_none(client: Any) -> None:
    id = client.create()
    client.post(f"/containers/{id}/start")
    found = client.raw(f"POST /containers/{id}/start HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode())
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 304")
    assert body == b""


REFUSED = {
    "two lengths": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and encoding": b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown encoding": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n",
    "encoding in 1.0": b"POST /containers/create HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
    "blank before the colon": b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length : 0\r\n\r\n",
    "no host": b"GET /_ping HTTP/1.1\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a long head": b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"x" * (wire.HEAD_LIMIT + 1000) + b"\r\n\r\n",
    "a header twice": b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: a\r\nX-Registry-Auth: b\r\nConnection: close\r\n\r\n",
    "a broken chunk": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(client: Any, engine: Any, name: str) -> None:
    found = client.raw(REFUSED[name])
    status = int(found.split(b" ", 2)[1])
    assert 400 <= status < 600
    assert json.loads(found.partition(b"\r\n\r\n")[2])["message"]
    assert engine.containers.records == {}
    assert client.get("/_ping") == b"OK"


class ReadsOn(MemoryImages):
    """Reads beyond the end of its archive, as decompressors do."""

    def load(self, stream: BinaryIO, *, caller: Caller) -> Iterator[str]:
        for _ in range(4):
            yield f"{len(stream.read(100))} bytes"


def test_the_end_of_a_body_may_be_read_again_and_again(engine: Any) -> None:
    engine.images = ReadsOn()
    server = Server(engine, times=wire.TimeOuts(body=5))
    server.start()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(engine.layout.socket)
        connection.settimeout(4)
        connection.sendall(b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        found = b"".join(iter(lambda: connection.recv(4096), b""))
    assert (found.count(b"3 bytes"), found.count(b"0 bytes")) == (1, 3)
    server.stop(grace=2)


def test_a_json_body_over_the_limit_is_refused_and_the_reply_arrives(client: Any) -> None:
    status, body, _ = client.request("POST", "/containers/create", b'{"Image": "' + b"x" * (5 << 20) + b'"}')
    assert status == 413
    assert "larger than 4194304 bytes" in body["message"]


def test_a_body_that_nobody_reads_does_not_poison_the_connection(client: Any) -> None:
    found = client.raw(b"POST /nosuch HTTP/1.1\r\nHost: d\r\nContent-Length: 45\r\n\r\nGET /info HTTP/1.1\r\nHost: d\r\nX: 1234567\r\n\r\n")
    assert found.count(b"HTTP/1.1 ") == 1


def test_an_empty_body_leaves_the_connection_as_it_was(client: Any) -> None:
    """Go's client sends `Content-Length: 0`, keeps the connection, and takes an end without a word for a failed request."""
    connection = client.connection()
    for _ in range(3):
        connection.request("POST", "/networks/prune", b"", {"Content-Length": "0"})
        response = connection.getresponse()
        response.read()
        assert (response.status, response.will_close) == (200, False)
    connection.close()


def test_a_connection_on_which_an_unread_body_is_to_come_ends_and_says_so(client: Any) -> None:
    with client.socket() as connection:
        connection.sendall(b"POST /nosuch HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nab")
        assert b"connection: close" in connection.recv(4096).lower()


def test_a_client_that_expects_to_be_told_to_go_on_is_told(client: Any) -> None:
    with client.socket() as connection:
        connection.sendall(b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(b'{"Name":"v1"}')
        assert connection.recv(4096).startswith(b"HTTP/1.1 201")


def test_a_slow_head_is_given_up(engine: Any) -> None:
    server = Server(engine, times=wire.TimeOuts(head=0.3))
    server.start()
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(engine.layout.socket)
        connection.sendall(b"GET /_ping HT")
        assert connection.recv(100) == b""
    assert 0.2 < time.monotonic() - began < 5
    server.stop(grace=2)


def test_a_client_that_leaves_in_the_middle_of_a_body_harms_nobody(client: Any, engine: Any) -> None:
    with client.socket() as connection:
        connection.sendall(b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{")
    assert client.get("/_ping") == b"OK"
    assert engine.containers.records == {}


def connected(engine: Any, request: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(engine.layout.socket)
    if request:  # to send nothing to one who has hung up is an error all the same
        client.sendall(request)
    return client


PING = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
UNFINISHED = b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nab"


def test_one_client_too_many_is_turned_away(engine: Any) -> None:
    server = Server(engine, max_connections=2)
    server.start()
    held = [connected(engine, UNFINISHED) for _ in range(2)]
    time.sleep(0.2)
    with connected(engine, b"") as third:
        found = b"".join(iter(lambda: third.recv(4096), b""))
    assert found.startswith(b"HTTP/1.1 503")
    for client in held:
        client.close()
    server.stop(grace=2)


def test_who_is_idle_longest_gives_way(engine: Any) -> None:
    server = Server(engine, max_connections=3)
    server.start()
    busy, oldest, newest = connected(engine, UNFINISHED), connected(engine, PING), connected(engine, b"")
    assert oldest.recv(4096).startswith(b"HTTP/1.1 200")
    time.sleep(0.1)
    newest.sendall(PING)
    assert newest.recv(4096).startswith(b"HTTP/1.1 200")
    with connected(engine, PING) as late:
        assert late.recv(4096).startswith(b"HTTP/1.1 200")
        assert oldest.recv(100) == b""
    newest.sendall(PING)
    assert newest.recv(4096).startswith(b"HTTP/1.1 200")
    for client in (busy, oldest, newest):
        client.close()
    server.stop(grace=2)


def test_stop_lets_a_running_request_end_and_cuts_idle_clients(engine: Any) -> None:
    server = Server(engine)
    server.start()
    idle, busy = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    for client in (idle, busy):
        client.connect(engine.layout.socket)
        client.settimeout(5)
    busy.sendall(b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nab")
    time.sleep(0.2)
    stopping = threading.Thread(target=server.stop, args=(5.0,))
    stopping.start()
    assert idle.recv(100) == b""
    busy.sendall(b"cd")
    assert busy.recv(4096).startswith(b"HTTP/1.1 200")
    assert engine.images.loaded == b"abcd"
    busy.close()
    idle.close()
    stopping.join(10)
    assert server.connections == 0
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as late:
        late.connect(engine.layout.socket)


def test_stop_ends_streams_that_would_go_on_for_ever(engine: Any) -> None:
    server = Server(engine)
    server.start()
    client = socket.socket(socket.AF_UNIX)
    client.connect(engine.layout.socket)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    server.stop(grace=20)
    assert time.monotonic() - began < 10
    assert server.connections == 0
    client.close()


def test_a_listener_can_be_handed_in_and_stays_usable(engine: Any, root: Any) -> None:
    path = str(root / "given.sock")
    listener = listen(path)
    kept = listener.dup()  # as systemd keeps it
    server = Server(engine, listener)
    server.start()
    connection = http.client.HTTPConnection("pyke")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", "/_ping")
    assert connection.getresponse().read() == b"OK"
    connection.close()
    server.stop(grace=2)
    with socket.socket(socket.AF_UNIX) as later:
        later.connect(path)  # waits for the next engine
    kept.close()
