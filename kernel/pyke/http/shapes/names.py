"""Names of images as people write them."""

from __future__ import annotations

from pyke.engine.images import references
from pyke.errors import InvalidRequest


def familiar(text: str) -> str:
    """ "docker.io/library/busybox:latest" as "busybox:latest"; what is no reference (an ID, a network's name) stays as it is."""
    try:
        return references.familiar(text)
    except InvalidRequest:
        return text
