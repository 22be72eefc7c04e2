"""Versions of Docker's Engine API: which are served, and how they are compared."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyke.errors import InvalidRequest


class Version(NamedTuple):
    """A version of the API: `Version(1, 41)`. Compares as numbers do."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = Version(1, 24)
NEWEST = Version(1, 47)

_PREFIX = re.compile(r"/v(\d{1,4})\.(\d{1,4})(?=/)")


def split(path: str) -> tuple[Version, str]:
    """Take the version off a path: "/v1.41/info" is (1.41, "/info"), and "/info" speaks the newest.

    Raises `InvalidRequest`, with Docker's words, for a version that is not served.
    """
    match = _PREFIX.match(path)
    if match is None:
        return NEWEST, path
    version = Version(int(match[1]), int(match[2]))
    if version < OLDEST:
        raise InvalidRequest(
            f"client version {version} is too old. Minimum supported API version is {OLDEST}, "
            "please upgrade your client to a newer version",
            hint=f"export DOCKER_API_VERSION={NEWEST}",
        )
    if version > NEWEST:
        raise InvalidRequest(
            f"client version {version} is too new. Maximum supported API version is {NEWEST}", hint=f"export DOCKER_API_VERSION={NEWEST}"
        )
    return version, path[match.end() :]
