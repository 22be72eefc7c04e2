"""Requests that try to be two things at once, or too much: the whole engine, over its socket."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from pyke.testing.witness import Witness, ask

TRAVERSALS = (
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%252f..%252fetc",
    "%2e%2e%2f%2e%2e",
    "sha256:..%2f..%2fetc",
    "x%00y",
    "%1b[31m",
    "-",
    "%0a",
    "a" * 4000,
)


def send(siege: Witness, data: bytes, timeout: float = 10.0) -> bytes:
    """Send bytes, and return all that comes back until the engine closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        client.connect(siege.engine.layout.socket)
        try:
            client.sendall(data)
            return b"".join(iter(lambda: client.recv(65536), b""))
        except (BrokenPipeError, ConnectionResetError):
            return b""


def post(siege: Witness, target: str, body: object, *headers: str) -> tuple[int, str]:
    """POST a body (bytes as they are, else as JSON); the status and the reply's body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"POST {target} HTTP/1.1",
        "Host: pyke",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *headers,
    ]
    return parsed(send(siege, "\r\n".join([*head, "", ""]).encode() + data))


def get(siege: Witness, target: str, method: str = "GET") -> tuple[int, str]:
    return parsed(send(siege, f"{method} {target} HTTP/1.1\r\nHost: pyke\r\nConnection: close\r\n\r\n".encode()))


def parsed(reply: bytes) -> tuple[int, str]:
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def names(siege: Witness) -> list[str]:
    return [each["Names"][0] for each in ask(siege.engine.layout.socket, "/containers/json?all=1")]


GAMES = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 30\r\n\r\n{}",
    "length and chunks": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a list of lengths": b"Content-Length: 2, 30\r\n\r\n{}",
    "a negative length": b"Content-Length: -1\r\n\r\n{}",
    "a length with a sign": b"Content-Length: +2\r\n\r\n{}",
    "a huge length": b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "another encoding": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"Content-Length: 2\r\n Transfer-Encoding: chunked\r\n\r\n{}",
    "a blank before the colon": b"Content-Length : 2\r\n\r\n{}",
}


@pytest.mark.parametrize("game", GAMES)
def test_a_body_with_two_lengths_is_not_read_at_all(siege: Witness, game: str) -> None:
    """CVE-2024-41110, CVE-2026-34040: what an authoriser sees has to be what is carried out. The request inside the body is no request."""
    smuggled = (
        b'{"Image": "busybox"}POST /containers/create?name=smuggled HTTP/1.1\r\nHost: p\r\nContent-Length: 19\r\n\r\n{"Image":"busybox"}'
    )
    reply = send(siege, b"POST /containers/create?name=first HTTP/1.1\r\nHost: pyke\r\n" + GAMES[game] + smuggled)
    assert reply.count(b"HTTP/1.1") == 1 and reply[9:12] in (b"400", b"501"), reply
    assert names(siege) == ["/bystander"]


BODIES = {
    "a key twice": b'{"Image":"busybox","Image":"other"}',
    "a key in another case": b'{"Image":"busybox","image":"other"}',
    "a key of an inner object twice": b'{"Image":"busybox","HostConfig":{"Privileged":false,"Privileged":true}}',
    "null in a command": b'{"Image":"busybox","Cmd":[{}]}',
    "100,000 levels": b'{"Image":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a NUL": b'{"Image":"busybox","Cmd":["a\\u0000b"]}',
    "half a surrogate": b'{"Image":"busybox","Cmd":["\\ud800"]}',
    "a number of 400 digits": b'{"Image":"busybox","HostConfig":{"Memory":' + b"9" * 400 + b"}}",
    "no number": b'{"Image":"busybox","HostConfig":{"Memory":NaN}}',
    "more than is taken": b'{"Image":"' + b"x" * (5 << 20) + b'"}',
    "invalid UTF-8": b'{"Image":"\xff\xfe"}',
    "two values": b'{"Image":"busybox"}{"Image":"busybox"}',
}


@pytest.mark.parametrize("body", BODIES)
def test_bodies_that_are_not_what_they_seem(siege: Witness, body: str) -> None:
    status, text = post(siege, "/containers/create", BODIES[body])
    assert 400 <= status < 500 and json.loads(text)["message"]
    assert names(siege) == ["/bystander"]


def test_names_and_ids_are_never_paths(siege: Witness) -> None:
    for name in TRAVERSALS:
        for target in (
            "/containers/{}/json",
            "/images/{}/json",
            "/networks/{}",
            "/volumes/{}",
            "/exec/{}/json",
            "/containers/{}/logs?stdout=1",
        ):
            status, text = get(siege, target.format(name))
            assert 400 <= status < 500 and json.loads(text)["message"], (target, name, status, text)
        for target in ("/containers/{}?force=1", "/images/{}", "/networks/{}", "/volumes/{}"):
            assert 400 <= get(siege, target.format(name), "DELETE")[0] < 500
        assert 400 <= post(siege, f"/containers/create?name={name}", {"Image": "busybox"})[0] < 500
        assert 400 <= post(siege, f"/images/busybox/tag?repo={name}&tag={name}", b"")[0] < 500


DIGESTS = (
    "sha256:",
    "sha256:" + "g" * 64,
    "sha256:" + "A" * 64,
    "sha256:" + "a" * 63,
    "sha256:../../../../etc/passwd",
    "md5:" + "a" * 32,
    "sha512:x",
)


@pytest.mark.parametrize("digest", DIGESTS)
def test_malformed_digests_name_nothing(siege: Witness, digest: str) -> None:
    """CVE-2024-3727."""
    for reference in (digest, f"busybox@{digest}"):
        assert post(siege, "/containers/create", {"Image": reference})[0] in (400, 404)
        assert siege.engine.pyke("rmi", reference).status == 1
        assert siege.engine.pyke("run", "--rm", "--pull", "never", reference, "true").status == 125


def test_words_that_look_like_lines_of_the_engines_files(siege: Witness) -> None:
    """Newlines in what becomes a line of /etc/hosts or resolv.conf."""
    for config in (
        {"Hostname": "a\n1.2.3.4 evil"},
        {"Domainname": "a\nb"},
        {"HostConfig": {"Dns": ["1.1.1.1\nnameserver 6.6.6.6"]}},
        {"HostConfig": {"DnsSearch": ["a\nnameserver 6.6.6.6"]}},
        {"HostConfig": {"DnsOptions": ["a\nnameserver 6.6.6.6"]}},
        {"HostConfig": {"ExtraHosts": ["evil\nlocalhost:6.6.6.6"]}},
        {"HostConfig": {"CgroupParent": "../../../x"}},
        {"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"path": "/etc/passwd"}}}},
        {"HostConfig": {"Tmpfs": {"/x": "size=1m\nexec"}}},
        {"StopSignal": "../../x"},
    ):
        status, text = post(siege, "/containers/create", {"Image": "busybox", **config})
        assert status == 400 and json.loads(text)["message"], (config, text)


def test_six_hundred_idle_clients_keep_nobody_out(siege: Witness) -> None:
    held = []
    for number in range(600):
        client = socket.socket(socket.AF_UNIX)
        client.connect(siege.engine.layout.socket)
        if number % 2:
            client.sendall(b"GET /_ping HTTP/1.1\r\nHos")
        held.append(client)
    assert siege.engine.ok("run", "--rm", "busybox", "echo", "served") == "served"
    for client in held:
        client.close()


def test_slow_clients_keep_nobody_waiting(siege: Witness) -> None:
    """A body that does not come, a stream that is not read."""
    siege.engine.ok("run", "-d", "--name", "printer", "busybox", "sh", "-c", "yes | head -c 3000000; sleep 60")
    slow = []
    for request in (
        b"POST /containers/create HTTP/1.1\r\nHost: p\r\nContent-Length: 100\r\n\r\n{",
        b"POST /images/load HTTP/1.1\r\nHost: p\r\nContent-Length: 1000000\r\n\r\n",
        b"GET /containers/printer/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: p\r\n\r\n",
        b"POST /containers/printer/attach?stream=1&stdout=1&logs=1 HTTP/1.1\r\nHost: p\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHost: p\r\n\r\n",
        b"GET /images/busybox/get HTTP/1.1\r\nHost: p\r\n\r\n",
    ) * 5:
        client = socket.socket(socket.AF_UNIX)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(siege.engine.layout.socket)
        client.sendall(request)
        slow.append(client)
    begin = time.monotonic()
    assert siege.engine.ok("run", "--rm", "busybox", "echo", "served") == "served"
    assert siege.engine.ok("exec", "printer", "echo", "served") == "served"
    siege.engine.ok("rm", "-f", "printer")
    assert time.monotonic() - begin < 15
    for client in slow:
        client.close()


def test_control_characters_reach_no_terminal(siege: Witness, tmp_path: Path) -> None:
    """Labels, commands and errors, as `ps`, `images`, `inspect` and `events` print them on a terminal."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\x9bnew\u202eline"
    post(
        siege,
        "/containers/create?name=evil",
        {"Image": "busybox", "Cmd": [evil], "Labels": {evil: f"{evil}\nbystander"}, "Env": [f"A={evil}"]},
    )
    siege.engine.pyke("run", "--name", "failing", "busybox", evil)
    for command in (
        ("ps", "-a", "--no-trunc"),
        ("ps", "-a", "--format", "{{.Labels}} {{.Command}}"),
        ("ps", "-a", "--format", "table {{.Labels}}\t{{.Names}}"),
        ("inspect", "evil"),
        ("inspect", "-f", "{{.Config.Labels}} {{.Config.Cmd}}", "evil"),
        ("start", "evil"),
        ("inspect", "-f", "{{.State.Error}}", "failing"),
        ("events", "--since", "1m", "--until", "0s"),
    ):
        shown = on_a_terminal(siege.engine.argv(*command), siege.engine.environment)
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown), (command, shown)


def on_a_terminal(argv: list[str], environment: dict[str, str]) -> str:
    """What a command prints on a terminal of its own."""
    pid, master = os.forkpty()
    if pid == 0:
        os.execve(argv[0], argv, environment)
    pieces = []
    try:
        while piece := os.read(master, 65536):
            pieces.append(piece)
    except OSError:  # EIO: the other end is closed
        pass
    os.waitpid(pid, 0)
    os.close(master)
    return b"".join(pieces).decode()
