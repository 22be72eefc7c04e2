"""Attach, exec, logs, wait: the conversations that are more than a request and a reply."""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import Any

import pytest

from pyke.testing.patience import eventually


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, length = struct.unpack(">B3xI", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


def hijack(client: Any, path: str, *, body: bytes = b"", upgrade: bool = True, early: bytes = b"") -> tuple[bytes, socket.socket]:
    """The head of the reply, and the socket as it is after it."""
    connection: socket.socket = client.socket()
    wish = b"Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else b""
    head = f"POST {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(head.encode() + wish + b"\r\n" + body + early)
    found = b""
    while not found.endswith(b"\r\n\r\n"):
        found += connection.recv(1)
    return found, connection


def rest(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_attach_upgrades_where_asked(client: Any) -> None:
    id = client.create(OpenStdin=True)
    client.post(f"/containers/{id}/start")
    head, connection = hijack(client, f"/v1.42/containers/{id}/attach?stream=1&stdin=1&stdout=1")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 UPGRADED"
    assert {"Connection: Upgrade", "Upgrade: tcp", "Content-Type: application/vnd.docker.multiplexed-stream"} <= set(lines)
    connection.sendall(b"hello")
    assert connection.recv(100) == b"HELLO"
    connection.shutdown(socket.SHUT_WR)
    assert rest(connection) == b""


def test_attach_without_an_upgrade_is_plain(client: Any) -> None:
    id = client.create(OpenStdin=True)
    client.post(f"/containers/{id}/start")
    head, connection = hijack(client, f"/v1.41/containers/{id}/attach?stream=1&stdin=1&stdout=1", upgrade=False)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: application/vnd.docker.raw-stream\r\n" in head
    assert b"Upgrade" not in head
    connection.close()


@pytest.mark.parametrize("upgrade", [True, False])
def test_bytes_that_came_too_early_are_not_lost(client: Any, upgrade: bool) -> None:
    id = client.create(OpenStdin=True)
    client.post(f"/containers/{id}/start")
    _, connection = hijack(client, f"/containers/{id}/attach?stream=1&stdin=1&stdout=1", upgrade=upgrade, early=b"early bird")
    assert connection.recv(100) == b"EARLY BIRD"
    connection.close()


def test_attach_errors_have_a_status_because_they_come_before_the_upgrade(client: Any) -> None:
    status, body, _ = client.request("POST", "/containers/nosuch/attach?stream=1&stdout=1")
    assert (status, body["message"]) == (404, "No such container: nosuch")
    id = client.create()
    client.post(f"/containers/{id}/start")
    client.post(f"/containers/{id}/pause")
    status, body, _ = client.request("POST", f"/containers/{id}/attach?stream=1&stdout=1")
    assert (status, body["message"]) == (409, f"container {id} is paused, unpause the container before attach")
    client.post(f"/containers/{id}/unpause")
    status, body, _ = client.request("POST", f"/containers/{id}/attach?stream=1&detachKeys=bogus")
    assert (status, body["message"]) == (400, "Unknown character: 'bogus'")
    assert client.request("POST", f"/containers/{id}/attach")[:2] == (200, b"")  # nothing was asked for


def test_attach_wait_start_is_the_conversation_of_run(client: Any) -> None:
    """As docker run does it: attach, then wait for the next exit, whose head comes at once, then start."""
    id = client.create(Cmd=["echo", "hi"], AttachStdout=True)
    _, attached = hijack(client, f"/containers/{id}/attach?stream=1&stdout=1&stderr=1")
    waiting = client.connection()
    waiting.request("POST", f"/containers/{id}/wait?condition=next-exit")
    response = waiting.getresponse()  # the head, before the container was even started
    client.post(f"/containers/{id}/start")
    assert frames(rest(attached)) == [(1, b"echo hi\n")]
    assert json.loads(response.read()) == {"StatusCode": 0}
    waiting.close()


def test_wait_knows_three_conditions_and_refuses_others(client: Any) -> None:
    id = client.create()
    assert client.post(f"/containers/{id}/wait") == {"StatusCode": 0}
    status, body, _ = client.request("POST", f"/containers/{id}/wait?condition=bogus")
    assert (status, body["message"]) == (400, 'invalid condition: "bogus"')


def test_a_wait_whose_client_is_gone_is_cancelled(client: Any, engine: Any) -> None:
    id = client.create()
    connection = client.connection()
    connection.request("POST", f"/containers/{id}/wait?condition=next-exit")
    connection.getresponse()
    assert engine.containers.waits._waiting
    connection.close()
    eventually(lambda: not engine.containers.waits._waiting)


def test_logs_are_framed_and_timed(client: Any) -> None:
    id = client.create()
    _, body, headers = client.request("GET", f"/v1.42/containers/{id}/logs?stdout=1&stderr=1&timestamps=1")
    assert headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    assert frames(body) == [(1, b"2023-11-14T22:13:20.123456789Z hello\n"), (2, b"2023-11-14T22:13:21.000000000Z oops\n")]
    assert frames(client.get(f"/containers/{id}/logs?stderr=1")) == [(2, b"oops\n")]
    assert frames(client.get(f"/containers/{id}/logs?stdout=1&stderr=1&tail=1")) == [(2, b"oops\n")]
    assert frames(client.get(f"/containers/{id}/logs?stdout=1&stderr=1&since=1700000000.5")) == [(2, b"oops\n")]
    assert client.get(f"/containers/{id}/logs?stdout=1&tail=0") == b""


def test_logs_of_a_terminal_are_raw(client: Any) -> None:
    id = client.create(Tty=True)
    status, body, headers = client.request("GET", f"/containers/{id}/logs?stdout=1&tail=all")
    assert (status, body, headers["content-type"]) == (200, b"hello\n", "application/vnd.docker.raw-stream")


def test_logs_need_a_stream(client: Any) -> None:
    status, body, _ = client.request("GET", f"/containers/{client.create()}/logs")
    assert (status, body["message"]) == (400, "Bad parameters: you must choose at least one stream")


def test_following_logs_ends_when_the_client_is_gone(client: Any, engine: Any) -> None:
    id = client.create()
    connection = client.connection()
    connection.request("GET", f"/containers/{id}/logs?stdout=1&follow=1")
    assert frames(connection.getresponse().read(14)) == [(1, b"hello\n")]
    assert not engine.containers.streams[-1].is_closed
    connection.close()
    eventually(lambda: engine.containers.streams[-1].is_closed)


def test_exec_is_created_started_and_looked_at(client: Any) -> None:
    id = client.create()
    client.post(f"/containers/{id}/start")
    exec_id = client.post(f"/containers/{id}/exec", {"Cmd": ["echo", "out"], "AttachStdout": True})["Id"]
    assert client.get(f"/exec/{exec_id}/json")["ExitCode"] is None
    head, connection = hijack(client, f"/exec/{exec_id}/start", body=b'{"Detach":false,"Tty":false}')
    assert head.startswith(b"HTTP/1.1 101")
    assert frames(rest(connection)) == [(1, b"out\n")]
    found = client.get(f"/exec/{exec_id}/json")
    assert (found["ExitCode"], found["ContainerID"], found["ProcessConfig"]["entrypoint"]) == (0, id, "echo")
    assert client.request("POST", f"/exec/{exec_id}/start", {})[0] == 409


def test_an_exec_that_fails_tells_its_client_on_the_stream(client: Any) -> None:
    id = client.create()
    client.post(f"/containers/{id}/start")
    exec_id = client.post(f"/containers/{id}/exec", {"Cmd": ["/nosuch"], "AttachStdout": True})["Id"]
    _, connection = hijack(client, f"/exec/{exec_id}/start", body=b"{}")
    assert frames(rest(connection)) == [(2, b'exec: "/nosuch": no such file or directory\r\n')]


def test_exec_needs_a_command_and_a_running_container(client: Any) -> None:
    id = client.create()
    assert client.request("POST", f"/containers/{id}/exec", {"Cmd": ["x"]})[0] == 409
    status, body, _ = client.request("POST", f"/containers/{id}/exec", {"Cmd": []})
    assert (status, body["message"]) == (400, "No exec command specified")
    assert client.request("GET", "/exec/nosuch/json")[0] == 404


def test_resize_takes_rows_and_columns(client: Any, engine: Any) -> None:
    id = client.create()
    client.post(f"/containers/{id}/resize?h=24&w=80")
    assert engine.containers.sizes == [(id, 24, 80)]
    for query in ("h=24", "h=a&w=1", "h=70000&w=1", "h=-1&w=1"):
        assert client.request("POST", f"/containers/{id}/resize?{query}")[0] == 400


def test_load_reads_its_body_as_it_comes_and_tells_progress(client: Any, engine: Any) -> None:
    status, body, _ = client.request("POST", "/images/load", b"x" * (9 << 20))
    assert (status, body) == (200, {"stream": "Loaded image: busybox:latest\n"})
    assert len(engine.images.loaded) == 9 << 20


def test_an_error_after_the_first_line_is_an_error_detail(client: Any) -> None:
    _, body, _ = client.request("POST", "/images/load", b"half an archive, broken")
    first, second = (json.loads(line) for line in body.splitlines())
    assert first["stream"]
    assert second == {"errorDetail": {"message": "the rest of the archive is broken"}, "error": "the rest of the archive is broken"}


def test_a_chunked_upload_is_read_too(client: Any, engine: Any) -> None:
    connection = client.connection()
    connection.request("POST", "/images/load", iter([b"abc", b"defg"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 200
    connection.close()
    assert engine.images.loaded == b"abcdefg"


def test_many_streams_are_watched_at_once(client: Any, engine: Any) -> None:
    connections = []
    for _ in range(20):
        connection = client.connection()
        connection.request("GET", "/events")
        connection.getresponse()
        connections.append(connection)
    assert len(engine.events._listeners) == 20
    for connection in connections:
        connection.close()
    eventually(lambda: not engine.events._listeners)
    assert "hangups" in {thread.name for thread in threading.enumerate()}
