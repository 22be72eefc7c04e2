"""Who asks: challenges (RFC 9110, 11.6.1), Basic, and tokens of a token server (distribution-spec's and Docker's token authentication).

A registry names the token server itself (`realm`), so that one which is hostile, or was taken over, could have credentials sent anywhere
(CVE-2026-33540). They go to the registry's own host or domain, to hosts that its client or the settings name, and nowhere else; over
HTTPS, unless the registry itself is spoken to in plain HTTP.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from pyke.api import RegistryCredentials, RegistryDenied, RegistryFailed
from pyke_registry_distribution.transport import Origin, Url, parse

TOKEN_LIMIT = 256 << 10
MAX_HEADER = 16 << 10
CLIENT_ID = "pyke"
_PARAMETER = re.compile(r'\s{0,9}([A-Za-z0-9_-]{1,40})\s{0,9}=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))\s{0,9}(?:,|\Z)')
SHARED_SECOND_LEVELS = {"ac", "co", "com", "edu", "gov", "net", "org"}  # "co.uk" is nobody's own domain


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for: `scheme` is "basic" or "bearer"."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def challenge(header: str) -> Challenge:
    """The challenge in a WWW-Authenticate header; `RegistryDenied` for none that could be met."""
    scheme, _, rest = header[:MAX_HEADER].strip().partition(" ")
    if scheme.lower() == "basic":
        return Challenge("basic")
    if scheme.lower() != "bearer":
        raise RegistryDenied(f"unauthorized: the registry asks for {scheme[:20]!r}, and neither for Basic nor for Bearer")
    values = dict(_parameters(rest))
    return Challenge("bearer", values.get("realm", ""), values.get("service", ""), values.get("scope", ""))


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """The parameters of a challenge, as far as they are well-formed: one after the other, so that nonsense costs no time."""
    position = 0
    while found := _PARAMETER.match(text, position):
        yield found[1].lower(), found[2] or found[3] or ""
        position = found.end()


def basic(credentials: RegistryCredentials) -> str:
    """The value of an Authorization header."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How a token is asked for."""

    method: str
    url: Url
    headers: dict[str, str]
    body: bytes | None


def token_request(asked: Challenge, scope: str, credentials: RegistryCredentials, *, offline: bool = False) -> TokenRequest:
    """The request to the token server: OAuth2's with an identity token, else Docker's GET."""
    realm = parse(asked.realm)
    fields = {"service": asked.service, "scope": scope or asked.scope}
    fields = {name: value for name, value in fields.items() if value}
    if credentials.identity_token:
        fields |= {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": CLIENT_ID}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return TokenRequest("POST", realm, headers, urlencode(fields).encode())
    if credentials.username:
        fields |= {"account": credentials.username} | ({"offline_token": "true", "client_id": CLIENT_ID} if offline else {})
    separator = "&" if "?" in realm.target else "?"
    target = realm.target + (separator + urlencode(fields) if fields else "")
    headers = {"Authorization": basic(credentials)} if credentials.username else {}
    return TokenRequest("GET", Url(realm.origin, target), headers, None)


@dataclass(frozen=True, slots=True)
class Token:
    """A token server's answer."""

    token: str
    seconds: float  # that it is good for
    refresh_token: str = ""


def parse_token(text: bytes, realm: Url) -> Token:
    """The token in an answer; `RegistryFailed` for an answer without one."""
    try:
        data = json.loads(text)
        token = data.get("token") or data.get("access_token")
        seconds, refresh = data.get("expires_in") or 60, data.get("refresh_token") or ""
    except (ValueError, AttributeError, RecursionError):
        token, seconds, refresh = None, 60, ""
    if not isinstance(token, str) or not _is_header_text(token):
        raise RegistryFailed(f"authorization server {realm} did not include a token in the response")
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    return Token(token, float(min(max(seconds, 60), 3600)) if is_number else 60.0, refresh if isinstance(refresh, str) else "")


def _is_header_text(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and bool(text)


def check_realm(registry: Origin, realm: Origin, trusted: tuple[str, ...], credentials: RegistryCredentials) -> None:
    """Refuse a token server that may not be asked, or not with these credentials."""
    if realm.scheme != "https" and registry.scheme == "https":
        raise RegistryDenied(f"{registry.address} wants a token to be asked for without TLS, at {realm}: nothing is sent there")
    if credentials and not belongs(registry.host, realm.host) and not {realm.host, realm.address} & set(trusted):
        raise RegistryDenied(
            f"{registry.address} wants the credentials to be sent to another host, {realm.address}: they are not",
            hint="${EDITOR:-vi} /etc/pyke/config.yaml   # registries.realms lists the token servers of a registry",
        )


def belongs(registry: str, realm: str) -> bool:
    """Whether two hosts are one, or share a domain of their own: registry.gitlab.com and gitlab.com."""
    if registry == realm:
        return True
    if _is_address(registry) or _is_address(realm):
        return False
    ours, theirs = registry.lower().split("."), realm.lower().split(".")
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[-1 - shared] == theirs[-1 - shared]:
        shared += 1
    domain = ours[len(ours) - shared :]
    needed = 3 if len(domain) >= 2 and len(domain[-1]) == 2 and domain[-2] in SHARED_SECOND_LEVELS else 2
    return shared >= needed


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
