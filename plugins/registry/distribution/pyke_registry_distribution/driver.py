"""The client of the OCI Distribution protocol (distribution-spec 1.1; Docker Registry HTTP API V2 says the same in other words)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from pyke.api import (
    BlobStream,
    DriverHome,
    ManifestDocument,
    NotFound,
    RegistryClient,
    RegistryDenied,
    RegistryEndpoint,
    RegistryFailed,
    RegistryLogin,
    Repository,
    ResolvedManifest,
)
from pyke_registry_distribution import blobs, upload
from pyke_registry_distribution.failures import translated
from pyke_registry_distribution.session import Session
from pyke_registry_distribution.transport import Response

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = {"Accept": ", ".join(MANIFESTS)}
DOCUMENT_LIMIT = 4 << 20
PAGE, MAX_NAMES = 1000, 100_000
_NEXT = re.compile(r'\s*<([^>]{1,2000})>\s*;\s*rel="?next"?')
HUB = "docker.io"


class DistributionClient(RegistryClient):
    """Every registry but Docker Hub, which has a plugin of its own."""

    #: Where a registry is spoken to, when that is not its name; and hosts of token servers that belong to it.
    addresses: Mapping[str, str] = {}
    realms: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, home: DriverHome) -> None:
        super().__init__(home)
        self.session = Session(self.addresses, self.realms)

    def serves(self, registry: str) -> bool:
        return registry != HUB

    # pulling

    def resolve(self, repository: Repository, reference: str) -> ResolvedManifest:
        target = _manifest(repository, reference)
        response = self._send(repository, "HEAD", target, ACCEPT, expected=(403, 404))
        response.discard()
        if response.status >= 400:  # a HEAD has no words: the same in full says why
            self._send(repository, "GET", target, ACCEPT).discard()
            raise NotFound("manifest unknown: manifest unknown")
        size = response.header("Content-Length")
        digest, media_type = response.header("Docker-Content-Digest"), response.header("Content-Type").partition(";")[0].strip()
        return ResolvedManifest(digest, media_type, int(size) if size.isascii() and size.isdigit() and len(size) < 19 else 0)

    def manifest(self, repository: Repository, reference: str) -> ManifestDocument:
        response = self._send(repository, "GET", _manifest(repository, reference), ACCEPT)
        media_type = response.header("Content-Type").partition(";")[0].strip()
        return ManifestDocument(self._document(response), media_type)

    def open_blob(self, repository: Repository, digest: str, offset: int) -> BlobStream:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        return blobs.opened(self._send(repository, "GET", _blob(repository, digest), headers, expected=(416,)), offset)

    # pushing

    def has_blob(self, repository: Repository, digest: str) -> bool:
        response = self._send(repository, "HEAD", _blob(repository, digest), push=True, expected=(404,))
        response.discard()
        return response.status < 400

    def mount_blob(self, repository: Repository, digest: str, source: str) -> bool:
        scope = f"{_scope(repository, push=True)} repository:{source}:pull"
        try:
            response = upload.begin(self.session, repository, scope, {"mount": digest, "from": source})
        except RegistryDenied:
            return False  # of the other repository, perhaps: what follows will tell
        response.discard()
        return response.status == 201

    def upload_blob(self, repository: Repository, digest: str, size: int, source: int) -> None:
        scope = _scope(repository, push=True)
        response = upload.begin(self.session, repository, scope)
        if response.status == 201:
            response.discard()
            return
        upload.Upload(self.session, repository, scope, response).send(digest, size, source)

    def put_manifest(self, repository: Repository, reference: str, media_type: str, content: bytes) -> None:
        response = self._send(repository, "PUT", _manifest(repository, reference), {"Content-Type": media_type}, push=True, body=content)
        response.discard()

    # what there is

    def tags(self, repository: Repository) -> Sequence[str]:
        target = f"/v2/{quote(repository.path)}/tags/list?n={PAGE}"
        return self._pages(repository.endpoint, target, _scope(repository), "tags")

    def catalogue(self, endpoint: RegistryEndpoint) -> Sequence[str]:
        return self._pages(endpoint, f"/v2/_catalog?n={PAGE}", "registry:catalog:*", "repositories")

    def _pages(self, endpoint: RegistryEndpoint, target: str, scope: str, key: str) -> list[str]:
        """The names on all pages of a list, each of which names the next (RFC 8288)."""
        names: list[str] = []
        seen = set()
        while target and target not in seen:
            seen.add(target)
            response = self.session.send(endpoint, "GET", target, scope=scope)
            names += _names(self._document(response), key, response)
            if len(names) > MAX_NAMES:
                raise RegistryFailed(f"{response.url.origin.address} lists more than {MAX_NAMES} {key}")
            found = _NEXT.match(response.header("Link"))
            target = "/" + found[1].partition("://")[2].partition("/")[2] if found and "://" in found[1] else found[1] if found else ""
        return sorted(set(names))

    def delete_manifest(self, repository: Repository, digest: str) -> None:
        scope = f"repository:{repository.path}:delete"
        self.session.send(repository.endpoint, "DELETE", _manifest(repository, digest), scope=scope).discard()

    def login(self, endpoint: RegistryEndpoint) -> RegistryLogin:
        asked = self.session.challenge(replace(endpoint, credentials=type(endpoint.credentials)()))
        if asked is None:
            return RegistryLogin()
        if asked.scheme == "bearer":
            token = self.session.token(endpoint, asked, "", offline=True)
            return RegistryLogin(identity_token=token.refresh_token)
        self.session.send(endpoint, "GET", "/v2/").discard()
        return RegistryLogin()

    # around

    def _send(
        self,
        repository: Repository,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        push: bool = False,
        body: Any = None,
        expected: tuple[int, ...] = (),
    ) -> Response:
        scope = _scope(repository, push=push)
        return self.session.send(repository.endpoint, method, target, scope=scope, headers=headers, body=body, expected=expected)

    def _document(self, response: Response) -> bytes:
        with translated("GET", response.url):
            return response.document(DOCUMENT_LIMIT)


def _scope(repository: Repository, *, push: bool = False) -> str:
    return f"repository:{repository.path}:{'pull,push' if push else 'pull'}"


def _manifest(repository: Repository, reference: str) -> str:
    return f"/v2/{quote(repository.path)}/manifests/{quote(reference, safe=':')}"


def _blob(repository: Repository, digest: str) -> str:
    return f"/v2/{quote(repository.path)}/blobs/{quote(digest, safe=':')}"


def _names(text: bytes, key: str, response: Response) -> list[str]:
    try:
        data = json.loads(text)
        names = data.get(key) or []
    except (ValueError, AttributeError, RecursionError):
        raise RegistryFailed(f"{response.url} is not a list of {key}") from None
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise RegistryFailed(f"{response.url} is not a list of {key}")
    return names
