"""Registries for tests: one in this process, which behaves as it is told to, and Debian's `docker-registry` as a real peer.

    with PlayRegistry(auth="token", users={"me": "secret"}) as registry:
        digest = registry.put_image("team/app", "1", [layer({"file": b"content"})])
        ...
        assert all("authorization" not in each.headers for each in registry.requests)

A `PlayRegistry` keeps what it is given in memory, writes down every request, and lets a test's own function answer in its place: with
redirects, cut connections, one byte a second, or whatever a hostile registry might do.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import secrets
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pyke.testing.certificates import Certificate
from pyke.testing.images import configuration

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CONFIG = "application/vnd.docker.container.image.v1+json"
BLOB_OR_MANIFEST = re.compile(r"/v2/(.+)/(manifests|blobs|tags)/(.*)\Z")


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case


@dataclass
class Exchange:
    """A request, and the means to answer it: what a test's own `answer` function gets."""

    seen: Seen
    handler: BaseHTTPRequestHandler
    body: bytes = b""
    is_answered: bool = field(default=False)

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, length: int | None = None) -> None:
        """Answer. `length` lies about the body's."""
        self.is_answered = True
        self.handler.send_response(status)
        for name, value in (headers or {}).items():
            self.handler.send_header(name, value)
        if status != 204 and "Transfer-Encoding" not in (headers or {}):
            self.handler.send_header("Content-Length", str(len(body) if length is None else length))
        self.handler.end_headers()
        if self.seen.method != "HEAD":
            self.handler.wfile.write(body)

    def cut(self) -> None:
        """Hang up."""
        self.is_answered = True
        self.handler.close_connection = True


Answer = Callable[[Exchange], None]


class PlayRegistry:
    """A registry in this process, on a port of loopback. `auth` is "", "basic" or "token" (as Docker Hub's, on the same port)."""

    def __init__(self, *, auth: str = "", users: Mapping[str, str] | None = None, certificate: Certificate | None = None) -> None:
        self.auth, self.users = auth, dict(users or {})
        self.blobs: dict[str, bytes] = {}
        self.repositories: dict[str, set[str]] = {}  # path: digests of blobs
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}  # by path and tag or digest: media type, content
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Seen] = []
        self.answer: Answer | None = None  # may answer first; what it leaves is answered as usual
        self.realm = ""  # of the token server, where that is elsewhere
        self.mounts = True
        self.sent = 0  # bytes of blobs
        self._tokens: dict[str, str] = {}  # token: scope
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.scheme = "https" if certificate else "http"
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="play registry", daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    def __enter__(self) -> PlayRegistry:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # what it has

    def put_blob(self, path: str, content: bytes) -> str:
        digest = digest_of(content)
        self.blobs[digest] = content
        self.repositories.setdefault(path, set()).add(digest)
        return digest

    def put_manifest(self, path: str, tag: str, document: Mapping[str, Any] | bytes, media_type: str = MANIFEST) -> str:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = digest_of(content)
        self.manifests[path, tag] = self.manifests[path, digest] = media_type, content
        return digest

    def put_image(self, path: str, tag: str, layers: Sequence[bytes], config: Mapping[str, Any] | None = None, **others: Any) -> str:
        """An image of these plain tars; returns the digest of its manifest."""
        text = configuration(layers, config, **others)
        blobs = [gzip.compress(each, 1, mtime=0) for each in layers]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": self.put_blob(path, text), "size": len(text)},
            "layers": [{"mediaType": LAYER, "digest": self.put_blob(path, each), "size": len(each)} for each in blobs],
        }
        return self.put_manifest(path, tag, document)

    def count(self, method: str, part: str) -> int:
        """How many requests of a method had `part` in their path."""
        return sum(each.method == method and part in each.path for each in self.requests)

    # answering

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        self.requests.append(exchange.seen)
        if self.answer is not None:
            self.answer(exchange)
        if exchange.is_answered:
            return
        if exchange.seen.path == "/token":
            self._token(exchange)
        elif not self._is_allowed(exchange):
            self._refuse(exchange)
        else:
            self._serve(exchange)

    def _serve(self, exchange: Exchange) -> None:
        seen = exchange.seen
        if seen.path == "/v2/":
            exchange.reply(200, b"{}")
        elif seen.path == "/v2/_catalog":
            self._list(exchange, "repositories", sorted({path for path, _ in self.manifests}))
        elif found := BLOB_OR_MANIFEST.match(seen.path):
            path, kind, name = found.groups()
            {"manifests": self._manifest, "blobs": self._blob, "tags": self._tags}[kind](exchange, path, name)
        else:
            exchange.reply(404, b"not found")

    def _manifest(self, exchange: Exchange, path: str, reference: str) -> None:
        method = exchange.seen.method
        if method == "PUT":
            self.put_manifest(path, reference, exchange.body, exchange.seen.headers.get("content-type", ""))
            exchange.reply(201, headers={"Docker-Content-Digest": digest_of(exchange.body)})
        elif (path, reference) not in self.manifests:
            exchange.reply(404, _error("MANIFEST_UNKNOWN", "manifest unknown"))
        elif method == "DELETE":
            gone = self.manifests[path, reference]
            self.manifests = {key: each for key, each in self.manifests.items() if key[0] != path or each != gone}
            exchange.reply(202)
        else:
            media_type, content = self.manifests[path, reference]
            exchange.reply(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(content)})

    def _blob(self, exchange: Exchange, path: str, name: str) -> None:
        if name.startswith("uploads/"):
            self._upload(exchange, path, name.removeprefix("uploads/"))
        elif name not in self.repositories.get(path, ()):
            exchange.reply(404, _error("BLOB_UNKNOWN", "blob unknown to registry"))
        else:
            content = self.blobs[name]
            start = int((re.match(r"bytes=(\d+)-", exchange.seen.headers.get("range", "")) or ["", "0"])[1])
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            if exchange.seen.method == "GET":
                self.sent += len(content) - start
            exchange.reply(206 if start else 200, content[start:], headers)

    def _upload(self, exchange: Exchange, path: str, name: str) -> None:
        seen = exchange.seen
        place = {"Location": f"/v2/{path}/blobs/uploads/{name or secrets.token_hex(8)}"}
        if seen.method == "POST":
            wanted, source = seen.query.get("mount", [""])[0], seen.query.get("from", [""])[0]
            if self.mounts and wanted in self.repositories.get(source, ()):
                self.repositories.setdefault(path, set()).add(wanted)
                exchange.reply(201)
                return
            self.uploads[place["Location"].rpartition("/")[2]] = b""
            exchange.reply(202, headers=place)
        elif name not in self.uploads:
            exchange.reply(404, _error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"))
        elif seen.method == "PUT":
            digest = self.put_blob(path, self.uploads.pop(name) + exchange.body)
            exchange.reply(201 if digest == seen.query["digest"][0] else 400, headers={"Docker-Content-Digest": digest})
        else:
            self.uploads[name] += exchange.body
            held = {**place, "Range": f"0-{max(len(self.uploads[name]) - 1, 0)}"}
            exchange.reply(202 if seen.method == "PATCH" else 204, headers=held)

    def _tags(self, exchange: Exchange, path: str, name: str) -> None:
        tags = sorted(tag for known, tag in self.manifests if known == path and ":" not in tag)
        if tags:
            self._list(exchange, "tags", tags)
        else:
            exchange.reply(404, _error("NAME_UNKNOWN", "repository name not known to registry"))

    def _list(self, exchange: Exchange, key: str, names: list[str]) -> None:
        """At most two names a page, so that whoever reads has to turn it."""
        query = exchange.seen.query
        rest = [each for each in names if each > query.get("last", [""])[0]]
        page = rest[:2]
        link = {"Link": f'<{exchange.seen.path}?n=2&last={page[-1]}>; rel="next"'} if len(rest) > 2 else {}
        exchange.reply(200, json.dumps({"name": "", key: page}).encode(), link)

    # who asks

    def _is_allowed(self, exchange: Exchange) -> bool:
        scheme, _, word = exchange.seen.headers.get("authorization", "").partition(" ")
        if self.auth == "basic":
            return scheme == "Basic" and self._knows(word)
        return self.auth != "token" or (scheme == "Bearer" and word in self._tokens)

    def _knows(self, word: str) -> bool:
        name, _, password = base64.b64decode(word).decode().partition(":")
        return self.users.get(name) == password

    def _refuse(self, exchange: Exchange) -> None:
        realm = self.realm or f"{self.url}/token"
        challenge = 'Basic realm="play"' if self.auth == "basic" else f'Bearer realm="{realm}",service="play"'
        body = _error("UNAUTHORIZED", "authentication required")
        exchange.reply(401, body, {"WWW-Authenticate": challenge})

    def _token(self, exchange: Exchange) -> None:
        """As Hub does: without a name, a token for whatever is public; with a wrong one, 401."""
        word = exchange.seen.headers.get("authorization", "").removeprefix("Basic ")
        if word and not self._knows(word):
            exchange.reply(401, json.dumps({"details": "incorrect username or password"}).encode())
            return
        if not word and self.users and exchange.seen.method == "GET":
            exchange.reply(401, json.dumps({"details": "unauthorized"}).encode())
            return
        token = self.token(exchange.seen.query.get("scope", [""])[0])
        exchange.reply(200, json.dumps({"token": token, "expires_in": 300, "refresh_token": "a-refresh-token"}).encode())

    def token(self, scope: str) -> str:
        """A token that this registry will take."""
        token = secrets.token_urlsafe(16)
        self._tokens[token] = scope
        return token


def _error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()


def _handler(registry: PlayRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            seen = Seen(self.command, parts.path, parse_qs(parts.query), headers)
            try:
                registry.handle(Exchange(seen, self, body))
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self.close_connection = True  # a client that had enough

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are in `registry.requests`."""

    return Handler
