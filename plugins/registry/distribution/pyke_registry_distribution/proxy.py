"""An HTTP proxy: how a connection leads through it (RFC 9110, 9.3.6), and what it says when it does not."""

from __future__ import annotations

import base64
import http.client
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pyke.api import InvalidRequest, PykeError, RegistryFailed, RegistryUnavailable

PROXY_WANTS_CREDENTIALS = 407
HINT = "${EDITOR:-vi} /etc/pyke/config.yaml   # registries.http_proxy, https_proxy and no_proxy; else the engine's environment"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is, and what it is told with each request that it is to pass on."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """For the proxy alone: they go into a request that it reads itself, and never through a tunnel."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    def connected(self, peer: str, timeout: float) -> socket.socket:
        """A connection to the proxy, for the sake of `peer`."""
        try:
            return socket.create_connection((self.host, self.port), timeout)
        except OSError as error:
            reason = "timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise RegistryUnavailable(f"the proxy {self.address}, which leads to {peer}, cannot be reached: {reason}", hint=HINT) from error

    def open_tunnel(self, connection: socket.socket, host: str, port: int) -> None:
        """Have the proxy pass on all that follows."""
        peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {peer} HTTP/1.1", f"Host: {peer}", *(f"{name}: {value}" for name, value in self.headers.items()), "", ""]
        try:
            connection.sendall("\r\n".join(lines).encode())
            reply = http.client.HTTPResponse(connection, method="CONNECT")
            reply.begin()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise RegistryUnavailable(f"the proxy {self.address} gives no answer about {peer}: {error or type(error).__name__}") from error
        if reply.status != http.client.OK:
            connection.close()
            raise self.refusal(peer, reply.status, reply.reason)

    def refusal(self, peer: str, status: int, reason: str) -> PykeError:
        """What it means that the proxy does not let a connection through."""
        words = "".join(each if each.isprintable() else " " for each in reason)[:80]
        kind = RegistryFailed if status == PROXY_WANTS_CREDENTIALS else RegistryUnavailable
        return kind(f"the proxy {self.address} does not lead to {peer}: {status} {words}".rstrip(), hint=HINT)


def parse_proxy(text: str) -> Proxy:
    """The proxy that a setting or variable names: "http://HOST:PORT" or "HOST:PORT"; `InvalidRequest` never quotes its credentials."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        host, port = "", 0
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRequest("the proxy for registries has no address that can be understood", hint=HINT)
    if parts.scheme != "http":
        raise InvalidRequest(f"the proxy {host} is to be spoken to over {parts.scheme[:20]}://, and only http:// is known here", hint=HINT)
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return Proxy(host, port, f"Basic {base64.b64encode(pair).decode()}" if parts.username is not None else "")
