"""Names of images as people write them."""

from __future__ import annotations

DEFAULT_REGISTRY = "docker.io/"
OFFICIAL = "docker.io/library/"


def familiar(reference: str) -> str:
    """ "docker.io/library/busybox:latest" as "busybox:latest"; other registries keep their names."""
    if reference.startswith(OFFICIAL) and "/" not in reference.removeprefix(OFFICIAL):
        return reference.removeprefix(OFFICIAL)
    return reference.removeprefix(DEFAULT_REGISTRY)
