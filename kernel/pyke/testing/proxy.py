"""A forward proxy on loopback for tests, which reaches hosts that no name server knows.

with PlayProxy({"registry.invalid": registry.host}, users={"me": "secret"}) as proxy:
    ...
    assert proxy.requests[0].target == "registry.invalid:443"
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Passed:
    """A request to the proxy as it came."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case


class PlayProxy:
    """A proxy that knows some hosts: names, and the HOST:PORT behind each. With `users`, it asks for credentials."""

    def __init__(self, hosts: Mapping[str, str], *, users: Mapping[str, str] | None = None) -> None:
        self.hosts, self.users = dict(hosts), dict(users or {})
        self.requests: list[Passed] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="play proxy", daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def lets_in(self, authorization: str) -> bool:
        words = {f"Basic {base64.b64encode(f'{name}:{word}'.encode()).decode()}" for name, word in self.users.items()}
        return not words or authorization in words

    def behind(self, name: str) -> tuple[str, int] | None:
        """Where a host really is."""
        host, _, port = self.hosts.get(name, "").rpartition(":")
        return (host, int(port)) if host else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: PlayProxy

    def _is_refused(self) -> bool:
        self.proxy.requests.append(Passed(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.proxy.lets_in(self.headers.get("Proxy-Authorization", "")):
            return False
        self._end(407, "Proxy Authentication Required")
        return True

    def _end(self, status: int, reason: str) -> None:
        self.send_response(status, reason)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def do_CONNECT(self) -> None:
        place = self.proxy.behind(self.path.rpartition(":")[0])
        if self._is_refused():
            return
        if place is None:
            self._end(502, "Bad Gateway")
            return
        with socket.create_connection(place) as peer:
            self.send_response(200, "Connection established")
            self.end_headers()
            _relay(self.connection, peer)
        self.close_connection = True

    def _pass_on(self) -> None:
        parts = urlsplit(self.path)
        place = self.proxy.behind(parts.hostname or "")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self._is_refused():
            return
        if place is None:
            self._end(502, "Bad Gateway")
            return
        origin = http.client.HTTPConnection(*place)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        origin.request(self.command, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        reply = origin.getresponse()
        content = reply.read()
        self.send_response(reply.status, reply.reason)
        for name, value in reply.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        origin.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are in `proxy.requests`."""


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways, until either side has no more."""
    while True:
        readable, _, _ = select.select([one, other], [], [], 60)
        for source in readable:
            data = source.recv(1 << 16)
            if not data:
                return
            (other if source is one else one).sendall(data)
        if not readable:
            return
