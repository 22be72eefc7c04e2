"""The HTTP client, against servers that behave and servers that do not."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.cli.client import ATTEMPTS, ApiError, Client, Connection, Reply, query_string
from pyke.cli.containers import streams
from pyke.errors import EngineUnavailable, PykeError
from pyke.paths import Layout


class Server:
    """Answers each connection with the same bytes, and keeps what it was sent."""

    def __init__(self, path: Path, reply: bytes) -> None:
        self.reply = reply
        self.received: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.received.append(_request(connection))
                connection.sendall(self.reply)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _request(connection: socket.socket) -> bytes:
    data = b""
    while not _is_whole(data):
        data += connection.recv(65536)
    return data


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), 0)
    return bool(end) and len(body) == length


Serve = Callable[[bytes], tuple[Server, Client]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(reply: bytes) -> tuple[Server, Client]:
        path = tmp_path / f"{len(servers)}.sock"
        servers.append(Server(path, reply))
        return servers[-1], Client(Layout(str(tmp_path)), f"unix://{path}")

    yield start
    for server in servers:
        server.close()


def reply(body: bytes, status: str = "200 OK", head: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + head + b"\r\n" + body


def test_a_request_is_http_and_its_body_json(serve: Serve) -> None:
    server, client = serve(reply(b'{"Id":"x"}'))
    assert client.post("/containers/create", {"name": "a b", "none": None, "no": False}, body={"Env": ["é"]}) == {"Id": "x"}
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /containers/create?name=a%20b HTTP/1.1\r\nHost: pyke\r\n")
    assert body == '{"Env":["é"]}'.encode()
    assert f"Content-Length: {len(body)}".encode() in head


def test_a_chunked_reply_is_put_together(serve: Serve) -> None:
    _, client = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\n\r\n")
    assert client.get("/x") == [1, 2]


def test_a_body_without_a_length_ends_with_the_connection(serve: Serve) -> None:
    _, client = serve(b'HTTP/1.1 200 OK\r\n\r\n{"a":1}\n{"b":2}{"c":3}')
    assert list(client.open("GET", "/events").json_values()) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_stream_is_sent_as_chunks(serve: Serve) -> None:
    server, client = serve(reply(b""))
    client.open("POST", "/images/load", content=iter([b"abc", b"", b"d"])).body()
    assert server.received[0].endswith(b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")


def test_a_refusal_is_an_error_with_the_engines_words(serve: Serve) -> None:
    _, client = serve(reply(b'{"message":"no such thing","hint":"pyke ps"}', "404 Not Found"))
    with pytest.raises(ApiError, match=r"^no such thing$") as caught:
        client.get("/x")
    assert (caught.value.status, caught.value.hint) == (404, "pyke ps")


@pytest.mark.parametrize("body", [b"not json", b"[]", b"{}", b"null", b'{"message":1}', b"\xff"])
def test_a_refusal_of_any_form_is_an_api_error(serve: Serve, body: bytes) -> None:
    _, client = serve(reply(body, "500 Oops"))
    with pytest.raises(ApiError):
        client.get("/x")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"garbage", b"HTTP/1.1\r\n\r\n", b"x" * 200_000, b"SSH-2.0-x\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{{{",
    ],
)
def test_what_is_no_http_is_an_error_of_ours(serve: Serve, data: bytes) -> None:
    _, client = serve(data)
    with pytest.raises((PykeError, ConnectionError)):
        client.get("/x")


class Dying(Server):
    """Hangs up on the first `count` requests, as an engine does that is killed."""

    def __init__(self, path: Path, reply: bytes, count: int) -> None:
        self.left = count
        super().__init__(path, reply)

    def _serve(self) -> None:
        while self.left:
            connection, _ = self._socket.accept()
            with connection:
                self.received.append(_request(connection))
            self.left -= 1
        super()._serve()


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Callable[[int], tuple[Dying, Client]]]:
    servers: list[Dying] = []

    def start(count: int) -> tuple[Dying, Client]:
        path = tmp_path / f"dying{len(servers)}"
        servers.append(Dying(path, reply(b"[1]"), count))
        return servers[-1], Client(Layout(str(tmp_path)), f"unix://{path}")

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("words", [("GET", "/containers/json"), ("POST", "/containers/a/wait"), ("POST", "/exec/a/resize")])
def test_an_engine_that_is_killed_is_asked_again_where_that_is_safe(
    dying: Callable[[int], tuple[Dying, Client]], words: tuple[str, str]
) -> None:
    server, client = dying(2)
    assert client.call(*words) == [1]
    assert len(server.received) == 3 and len(set(server.received)) == 1


def test_a_request_that_must_not_be_done_twice_is_not_repeated(dying: Callable[[int], tuple[Dying, Client]]) -> None:
    server, client = dying(1)
    with pytest.raises(EngineUnavailable, match="broke the connection off"):
        client.call("POST", "/containers/a/start")
    assert len(server.received) == 1


def test_an_engine_that_never_answers_is_given_up(dying: Callable[[int], tuple[Dying, Client]]) -> None:
    server, client = dying(ATTEMPTS)
    with pytest.raises(EngineUnavailable, match="broke the connection off"):
        client.get("/info")
    assert len(server.received) == ATTEMPTS


def test_the_own_engine_is_told_that_it_is_asked_again(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    Path(layout.run).mkdir()
    server = Dying(Path(layout.socket), reply(b"[1]"), 2)
    assert Client(layout).call("POST", "/containers/a/start") == [1]
    server.close()
    first, *others = server.received
    assert b"X-Pyke-Repeats: " not in first and len(others) == 2
    assert all(b"X-Pyke-Repeats: " in each for each in others)


def test_nobody_listening_at_a_host_that_was_named_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"^Cannot connect to the engine at unix://.*/none\.sock: No such file"):
        Client(Layout(str(tmp_path)), f"unix://{tmp_path}/none.sock").get("/x")
    with pytest.raises(PykeError, match="unable to parse host"):
        Client(Layout(str(tmp_path)), "http://x").get("/x")


def test_queries() -> None:
    assert query_string({}) == ""
    assert query_string({"a": True, "b": ["x", "y/z"], "filters": {"name": ["c 1"]}}) == (
        "?a=1&b=x&b=y/z&filters=%7B%22name%22:%5B%22c%201%22%5D%7D"
    )


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=10), st.integers(1, 20))
def test_frames_arrive_however_they_are_cut(sent: list[tuple[int, bytes]], size: int) -> None:
    wire = b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in sent)
    got: dict[int, bytes] = {1: b"", 2: b""}
    for stream, data in streams.frames(wire[start : start + size] for start in range(0, len(wire), size)):
        got[stream] += data
    assert got == {stream: b"".join(data for each, data in sent if each == stream) for stream in (1, 2)}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reply_or_an_error(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.close()
        try:
            list(Reply(Connection(ours)).json_values())
        except (PykeError, ConnectionError):
            return
