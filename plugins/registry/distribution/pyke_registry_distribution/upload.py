"""Uploading a blob (distribution-spec, "Pushing a blob in chunks"): begun with POST, sent with PATCH, closed with PUT.

When the connection breaks, the registry is asked how much of it has arrived, and the rest is sent. The file is read with read(2), so
that whoever shares its descriptor sees how far it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from pyke.api import RegistryFailed, RegistryUnavailable, Repository
from pyke_registry_distribution.session import Session
from pyke_registry_distribution.transport import Response, Url

PIECE = 1 << 18
MAX_RESUMES = 5  # without any progress in between
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})\Z")


def begin(session: Session, repository: Repository, scope: str, query: dict[str, str] | None = None) -> Response:
    """Ask for an upload; the reply is 202 with its place, or 201 where a mount made it needless."""
    target = f"/v2/{quote(repository.path)}/blobs/uploads/" + (f"?{urlencode(query)}" if query else "")
    response = session.send(repository.endpoint, "POST", target, scope=scope, headers={"Content-Length": "0"}, body=b"")
    if response.status not in (201, 202):
        response.close()
        raise RegistryFailed(f"{response.url.origin.address} answered {response.status} to the beginning of an upload")
    return response


class Upload:
    """One blob on its way."""

    def __init__(self, session: Session, repository: Repository, scope: str, response: Response) -> None:
        self._session, self._repository, self._scope = session, repository, scope
        self._place = session.location(response)
        response.discard()

    def send(self, digest: str, size: int, source: int) -> None:
        """Send the file, whatever number of attempts that takes, and close the upload."""
        resumes, reached = 0, 0
        while True:
            try:
                self._patch(reached, size, source)
                break
            except (RegistryUnavailable, BrokenPipeError) as error:
                arrived = self._arrived(error)
                resumes = 0 if arrived > reached else resumes + 1
                if resumes > MAX_RESUMES:
                    raise RegistryUnavailable(f"the upload of {digest} was broken off {resumes} times without getting on") from error
                reached = arrived
        self._close(digest)

    def _patch(self, offset: int, size: int, source: int) -> None:
        os.lseek(source, offset, os.SEEK_SET)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - offset)}
        headers["Content-Range"] = f"{offset}-{size - 1}"
        if offset == size:
            return
        response = self._request("PATCH", self._place, headers, _pieces(source, size - offset))
        self._place = self._session.location(response)
        response.discard()

    def _arrived(self, cause: Exception) -> int:
        """How many bytes the registry has; the upload's error where it has forgotten it."""
        response = self._request("GET", self._place, {}, None)
        held = _RANGE.match(response.header("Range").strip())
        if response.header("Location"):
            self._place = self._session.location(response)
        response.discard()
        if response.status != 204:
            raise RegistryUnavailable("the registry has lost an upload that was broken off") from cause
        return int(held[1]) + 1 if held and int(held[1]) else 0  # "0-0" is said for nothing at all

    def _close(self, digest: str) -> None:
        origin, target = self._place
        place = Url(origin, f"{target}{'&' if '?' in target else '?'}{urlencode({'digest': digest})}")
        response = self._request("PUT", place, {"Content-Length": "0"}, b"")
        response.discard()
        if response.status != 201:
            raise RegistryFailed(f"{origin.address} answered {response.status} to the end of an upload")

    def _request(self, method: str, place: Url, headers: dict[str, str], body: object) -> Response:
        return self._session.send(self._repository.endpoint, method, place, scope=self._scope, headers=headers, body=body)


def _pieces(source: int, size: int) -> Iterator[bytes]:
    while size:
        piece = os.read(source, min(PIECE, size))
        if not piece:
            raise RegistryFailed("a blob became shorter while it was uploaded")
        size -= len(piece)
        yield piece
