"""Fetching a blob (distribution-spec, "Pulling blobs"): the body of one reply, as a stream."""

from __future__ import annotations

import re

from pyke.api import RegistryFailed
from pyke_registry_distribution.failures import translated
from pyke_registry_distribution.transport import Response

NOTHING_LEFT = 416  # behind the offset


def opened(response: Response, offset: int) -> Blob:
    """The blob from byte `offset` on, of a reply to a request for just that."""
    if response.status == NOTHING_LEFT:
        response.discard()
        return Blob(response, 0)
    start = _start(response) if response.status == 206 else 0
    if start > offset:
        response.close()
        raise RegistryFailed(f"{response.url.origin.address} begins a blob at byte {start} and not at {offset}")
    return Blob(response, offset - start)


class Blob:
    """A reply whose body is a blob (`pyke.api.BlobStream`), but for its first `skip` bytes."""

    def __init__(self, response: Response, skip: int) -> None:
        self._response, self._skip = response, skip

    def read(self, size: int) -> bytes:
        with translated("GET", self._response.url):
            piece = self._response.read(size)
            while self._skip and piece:
                dropped = min(self._skip, len(piece))
                self._skip -= dropped
                piece = piece[dropped:] or self._response.read(size)
        return piece

    def close(self) -> None:
        self._response.close()


def _start(response: Response) -> int:
    """Where a partial reply begins."""
    found = re.match(r"bytes (\d{1,18})-", response.header("Content-Range"))
    if not found:
        response.close()
        raise RegistryFailed(f"{response.url.origin.address} sent a part of a blob without saying which")
    return int(found[1])
