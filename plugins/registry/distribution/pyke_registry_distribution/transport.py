"""HTTP/1.1 to registries over the standard library's http.client: connections that are kept, TLS, time-outs, and whom one may connect to.

Measured against the other clients of Python, http.client downloads as fast as a bare socket and imports in half the time of the next.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from pyke.api import InvalidRequest, RegistryFailed, RegistryUnavailable
from pyke_registry_distribution.proxy import PROXY_WANTS_CREDENTIALS, Proxy

CONNECT_TIMEOUT, READ_TIMEOUT = 15.0, 30.0  # seconds
KEPT, KEPT_SECONDS = 4, 20.0  # idle connections for each origin
MAX_LOCATION = 16 << 10
USER_AGENT = "pyke/0.1"
# Where clouds hand out credentials to whoever can reach them: nothing of a registry's is there.
METADATA = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32"),
        *("0.0.0.0/8", "::/128"),  # other names of this machine
    )
)


class Origin(NamedTuple):
    """What credentials belong to."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """ "registry.corp:5000"; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it names this machine."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.endswith(".localhost")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"


class Url(NamedTuple):
    """An origin and what is asked of it."""

    origin: Origin
    target: str  # path and query

    def __str__(self) -> str:
        return f"{self.origin}{self.target.partition('?')[0]}"  # a query may be a signature that is worth as much as a password


def parse(text: str, base: str = "") -> Url:
    """A URL of a registry, a token server or a redirect (seen from `base`); `RegistryFailed` where it is none that may be followed."""
    try:
        text = urljoin(base, text)
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise RegistryFailed("a registry gave a URL that is malformed") from None
    is_plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= MAX_LOCATION
    if not is_plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise RegistryFailed("a registry gave a URL that cannot be followed: it must be http(s)://HOST/..., without a user")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(Origin(parts.scheme, parts.hostname, port), target)


@dataclass(frozen=True, slots=True)
class Trust:
    """How a peer has to show who it is, and which addresses are out of bounds for it."""

    verified: bool = True
    certificates: tuple[str, ...] = ()
    shows_certificate: bool = True  # whether we may show who we are
    may_be_local: bool = True  # else loopback is refused: a registry elsewhere has no business with this machine's own servers
    proxy: Proxy | None = None  # through whom it is reached


class Transport:
    """Sends requests, one at a time on each connection. Safe to use from every thread."""

    def __init__(self) -> None:
        self._idle: dict[tuple[Origin, Trust], list[tuple[float, http.client.HTTPConnection]]] = {}
        self._lock = threading.Lock()

    def send(self, method: str, url: Url, headers: Mapping[str, str], body: Any, trust: Trust) -> Response:
        """Send a request and read the head of its reply. `body` is bytes, an iterable of bytes, or None."""
        kept = self._take(url.origin, trust)
        if kept is not None:
            try:
                return self._exchange(kept, method, url, headers, body, trust)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
                kept.close()
                if body is not None and not isinstance(body, bytes):
                    raise  # half of it may be on its way: whoever made it begins anew
        return self._exchange(_connection(url.origin, trust), method, url, headers, body, trust)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, url: Url, headers: Mapping[str, str], body: Any, trust: Trust
    ) -> Response:
        try:
            target, headers = url.target, {"Host": url.origin.address, "User-Agent": USER_AGENT, **headers}
            if trust.proxy is not None and url.origin.scheme == "http":
                target, headers = f"{url.origin}{target}", {**headers, **trust.proxy.headers}
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            if response.status == PROXY_WANTS_CREDENTIALS and trust.proxy is not None:
                raise trust.proxy.refusal(url.origin.address, response.status, response.reason)
            return Response(self, connection, response, url, trust)
        except BaseException:
            connection.close()
            raise

    def _take(self, origin: Origin, trust: Trust) -> http.client.HTTPConnection | None:
        with self._lock:
            kept = self._idle.get((origin, trust), [])
            while kept:
                since, connection = kept.pop()
                if time.monotonic() - since < KEPT_SECONDS:
                    return connection
                connection.close()
        return None

    def keep(self, connection: http.client.HTTPConnection, origin: Origin, trust: Trust) -> None:
        """Take back a connection whose reply was read to its end."""
        with self._lock:
            kept = self._idle.setdefault((origin, trust), [])
            if connection.sock is not None and len(kept) < KEPT:
                kept.append((time.monotonic(), connection))
                return
        connection.close()


class Response:
    """A reply whose body is still on the wire. Read it, or `close` it."""

    def __init__(self, transport: Transport, connection: http.client.HTTPConnection, raw: http.client.HTTPResponse, url: Url, trust: Trust):
        self.url, self.status, self.headers = url, raw.status, raw.headers
        self._transport, self._connection, self._raw, self._trust = transport, connection, raw, trust
        self._is_over = False  # read to its end, or closed

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))

    def read(self, size: int) -> bytes:
        """The next bytes of the body, at most `size`, as soon as there are any; b"" at its end. One that ends early is a
        `RegistryUnavailable`."""
        try:
            piece = self._raw.read1(size)  # not readinto: it waits until its buffer is full
            if not piece and not self._is_over:
                self._end()
        except BaseException:
            self.close()
            raise
        return piece

    def document(self, limit: int, seconds: float = 60.0) -> bytes:
        """The whole body, of at most `limit` bytes and within a time: one byte a second must not hold anybody up."""
        pieces, size, end = [], 0, time.monotonic() + seconds
        try:
            while piece := self.read(min(1 << 16, limit + 1 - size)):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise RegistryFailed(f"the reply of {self.url} has more than {limit} bytes")
                if time.monotonic() > end:
                    raise RegistryUnavailable(f"the reply of {self.url} did not end within {seconds:.0f} s")
        except BaseException:
            self.close()
            raise
        return b"".join(pieces)

    def _end(self) -> None:
        """The body was read: the connection can serve again, unless the peer wants to close it."""
        if self._raw.length:
            raise RegistryUnavailable(f"{self.url}: unexpected EOF")
        self._is_over = True
        self._raw.close()  # of itself it does so only where the body came in chunks
        if self._raw.will_close:
            self._connection.close()
        else:
            self._transport.keep(self._connection, self.url.origin, self._trust)

    def discard(self) -> None:
        """Nobody wants the body: read it where it is short, so that the connection can be kept."""
        try:
            self.document(1 << 16, 5.0)
        except (RegistryFailed, OSError, http.client.HTTPException):
            self.close()

    def close(self) -> None:
        """Give it up; idempotent, and nothing after its end: the connection may be another's by then."""
        if not self._is_over:
            self._is_over = True
            self._raw.close()
            self._connection.close()


def _connection(origin: Origin, trust: Trust) -> http.client.HTTPConnection:
    connect = functools.partial(_connect, trust) if trust.proxy is None else functools.partial(_connect_through, trust.proxy, origin)
    if origin.scheme == "http":
        plain = http.client.HTTPConnection(origin.host, origin.port, timeout=READ_TIMEOUT, blocksize=1 << 18)
        plain._create_connection = connect  # type: ignore[attr-defined]
        return plain
    secure = http.client.HTTPSConnection(origin.host, origin.port, timeout=READ_TIMEOUT, blocksize=1 << 18, context=_context(trust))
    secure._create_connection = connect  # type: ignore[attr-defined]
    return secure


def _connect(trust: Trust, address: tuple[str, int], timeout: float, source: object = None) -> socket.socket:
    """Connect to the first address that answers. Addresses are judged here, when they are known, and not by the name that led to them."""
    failure: OSError = OSError(f"{address[0]} has no address")
    host = address[0].encode()  # as text it would go through a codec of 600 KB, which raises what is no error of a socket
    for family, kind, protocol, _, place in socket.getaddrinfo(host, address[1], type=socket.SOCK_STREAM):
        _judge(trust, str(place[0]), address[0])
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect(place)
            connection.settimeout(timeout)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise failure


def _connect_through(proxy: Proxy, origin: Origin, address: object, timeout: float, source: object = None) -> socket.socket:
    """Connect to a proxy, and for TLS through it. What a name stands for is known to the proxy alone; an address is judged here."""
    with contextlib.suppress(ValueError):  # a name
        _judge(Trust(), str(ipaddress.ip_address(origin.host.partition("%")[0])), origin.host)
    connection = proxy.connected(origin.address, CONNECT_TIMEOUT)
    connection.settimeout(timeout)
    if origin.scheme == "https":
        proxy.open_tunnel(connection, origin.host, origin.port)
    return connection


def _judge(trust: Trust, text: str, name: str) -> None:
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in METADATA if network.version == address.version):
        raise RegistryFailed(f"{name} is at {address}, an address of a machine's own metadata: nothing is sent there")
    if address.is_loopback and not trust.may_be_local:
        raise RegistryFailed(f"{name} is at {address}, on this machine, but the registry that refers to it is not")


@functools.lru_cache(maxsize=64)
def _context(trust: Trust) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not trust.verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for directory in trust.certificates:
        for path in sorted(glob.glob(f"{glob.escape(directory)}/*.crt")):
            _loaded(path, lambda path=path: context.load_verify_locations(path))
        for path in sorted(glob.glob(f"{glob.escape(directory)}/*.cert")) if trust.shows_certificate else ():
            key = path.removesuffix(".cert") + ".key"
            if not os.path.exists(key):
                raise InvalidRequest(f"missing key {key} for client certificate {path}", hint=f"ls -l {directory}")
            _loaded(path, lambda path=path, key=key: context.load_cert_chain(path, key))
    return context


def _loaded(path: str, load: Any) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(f"the certificate {path} cannot be used: {error}", hint=f"openssl x509 -noout -text -in {path}") from error
