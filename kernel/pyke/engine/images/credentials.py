"""Credentials as clients send them (X-Registry-Auth), made into what registry clients take. They are never kept, logged or quoted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from pyke.errors import InvalidRequest
from pyke.registries import RegistryCredentials


def credentials_of(fields: Mapping[str, str] | None) -> RegistryCredentials:
    """{"username", "password", "auth", "identitytoken", "registrytoken"}, each of which may be missing."""
    given = fields or {}
    username, password = given.get("username", ""), given.get("password", "")
    if not username and given.get("auth"):
        username, password = _decoded(given["auth"])
    return RegistryCredentials(username, password, given.get("identitytoken", ""), given.get("registrytoken", ""))


def _decoded(auth: str) -> tuple[str, str]:
    """The name and password in `auth`: base64 of "NAME:PASSWORD"."""
    try:
        name, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name = colon = password = ""
    if not colon:
        raise InvalidRequest("the field auth of the credentials is not base64 of NAME:PASSWORD", hint="pyke login")
    return name, password.rstrip("\0")
