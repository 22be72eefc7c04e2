"""One request's way to a registry: over which scheme, with whose word, and through which redirects."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyke.api import RegistryCredentials, RegistryDenied, RegistryEndpoint, RegistryFailed, RegistryUnavailable
from pyke_registry_distribution import auth, proxies
from pyke_registry_distribution.auth import Challenge, Token
from pyke_registry_distribution.failures import failure, translated
from pyke_registry_distribution.transport import Origin, Response, Transport, Trust, Url, parse

REDIRECTS = {301, 302, 303, 307, 308}
MAX_REDIRECTS = 5
MARGIN = 10.0  # seconds before its end that a token is not used any more
Key = tuple[Origin, str, RegistryCredentials]


class Session:
    """Speaks to registries, and remembers what each has asked for. Safe to use from every thread.

    `addresses` says at which "HOST:PORT" a registry is, where that is not its name; `realms` which token servers belong to it.
    """

    def __init__(self, addresses: Mapping[str, str] | None = None, realms: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._addresses, self._realms = addresses or {}, realms or {}
        self._transport = Transport()
        self._lock = threading.Lock()
        self._authorizations: dict[Key, tuple[str, float]] = {}  # until a reading of time.monotonic()
        self._schemes: dict[str, str] = {}  # of registries that may speak plain HTTP: what they were found to speak

    def origin(self, endpoint: RegistryEndpoint) -> Origin:
        """Where an endpoint is spoken to."""
        address = endpoint.address or self._addresses.get(endpoint.registry, endpoint.registry)
        if "://" not in address:
            address = f"{self._scheme(endpoint)}://{address}"
        origin = parse(address).origin
        if origin.scheme == "http" and not endpoint.insecure:
            raise RegistryFailed(f"{origin} is plain HTTP, and not listed as insecure", hint="pyke info")
        return origin

    def _scheme(self, endpoint: RegistryEndpoint) -> str:
        return self._schemes.get(endpoint.registry, "https") if endpoint.insecure else "https"

    def send(
        self,
        endpoint: RegistryEndpoint,
        method: str,
        target: str | Url,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        expected: tuple[int, ...] = (),
    ) -> Response:
        """Send a request and return its reply: of status below 400, or one that is `expected`; else what it means is raised.

        A reply 401 is answered with credentials or a token, once; GET and HEAD follow redirects. A `body` that is an iterable is sent
        once only: a reply 401 to it is raised.
        """
        url = target if isinstance(target, Url) else Url(self._reach(endpoint), target)
        response = self._attempt(endpoint, method, url, scope, headers or {}, body)
        if response.status == 401 and 401 not in expected and self._authorize(endpoint, url.origin, response, scope):
            if body is not None and not isinstance(body, bytes):
                raise RegistryUnavailable(f"{url.origin.address} asks for new credentials in the middle of an upload")
            response = self._attempt(endpoint, method, url, scope, headers or {}, body)
        if response.status in REDIRECTS and method in ("GET", "HEAD"):
            response = self._follow(endpoint, method, response, scope, headers or {})
        if response.status >= 400 and response.status not in expected:
            with translated(method, url):
                raise failure(response)
        return response

    def _reach(self, endpoint: RegistryEndpoint) -> Origin:
        """The endpoint's origin; for one that may speak plain HTTP, found out first: TLS is tried before."""
        if endpoint.insecure and "://" not in endpoint.address and endpoint.registry not in self._schemes:
            try:
                self._probe(endpoint, "https")
            except RegistryUnavailable:  # nobody there, or nobody who knows TLS
                self._probe(endpoint, "http")
        return self.origin(endpoint)

    def _probe(self, endpoint: RegistryEndpoint, scheme: str) -> None:
        url = Url(parse(f"{scheme}://{self._addresses.get(endpoint.registry, endpoint.registry)}").origin, "/v2/")
        with translated("GET", url):
            trust = Trust(verified=False, certificates=endpoint.certificates, proxy=proxies.of(endpoint.proxies, url.origin))
            self._transport.send("GET", url, {}, None, trust).discard()
        self._schemes[endpoint.registry] = scheme

    def _attempt(self, endpoint: RegistryEndpoint, method: str, url: Url, scope: str, headers: Mapping[str, str], body: Any) -> Response:
        if url.origin == self.origin(endpoint) and (word := self._known(url.origin, scope, endpoint.credentials)):
            headers = {**headers, "Authorization": word}
        with translated(method, url):
            return self._transport.send(method, url, headers, body, self._trust(endpoint, url.origin))

    def _trust(self, endpoint: RegistryEndpoint, origin: Origin) -> Trust:
        """The registry itself is wherever the user says it is; others it refers to get less."""
        own, proxy = self.origin(endpoint), proxies.of(endpoint.proxies, origin)
        if origin == own:
            return Trust(not endpoint.insecure, endpoint.certificates, proxy=proxy)
        is_lax = endpoint.insecure and origin.host == own.host
        return Trust(not is_lax, endpoint.certificates, shows_certificate=False, may_be_local=own.is_loopback, proxy=proxy)

    # redirects

    def _follow(self, endpoint: RegistryEndpoint, method: str, response: Response, scope: str, headers: Mapping[str, str]) -> Response:
        """Go where the registry sends us: credentials come along only within its own origin."""
        for _ in range(MAX_REDIRECTS):
            url = self.location(response)
            response.discard()
            response = self._attempt(endpoint, method, url, scope, headers, None)
            if response.status not in REDIRECTS:
                return response
        response.close()
        raise RegistryFailed(f"{response.url.origin.address} redirects more than {MAX_REDIRECTS} times")

    def location(self, response: Response) -> Url:
        """Where a reply's Location leads; `RegistryFailed` where it would leave TLS."""
        where = response.header("Location")
        if not where:
            response.close()
            raise RegistryFailed(f"{response.url} answered {response.status} without a Location")
        url = parse(where, f"{response.url.origin}{response.url.target}")
        if url.origin.scheme == "http" and response.url.origin.scheme == "https":
            response.close()
            raise RegistryFailed(
                f"{response.url.origin.address} leads from HTTPS to plain HTTP at {url.origin.address}: nothing is sent there"
            )
        return url

    # credentials

    def _known(self, origin: Origin, scope: str, credentials: RegistryCredentials) -> str:
        if credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        with self._lock:
            word, until = self._authorizations.get((origin, scope, credentials), ("", 0.0))
        return word if time.monotonic() < until else ""

    def _remember(self, origin: Origin, scope: str, credentials: RegistryCredentials, word: str, seconds: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._authorizations = {key: each for key, each in self._authorizations.items() if each[1] > now}
            self._authorizations[(origin, scope, credentials)] = (word, now + seconds)

    def _authorize(self, endpoint: RegistryEndpoint, origin: Origin, response: Response, scope: str) -> bool:
        """Meet the challenge in a reply 401; False where there is nothing to meet it with, and the reply is the answer."""
        header = response.header("WWW-Authenticate")
        if origin != self.origin(endpoint) or not header:
            return False
        asked = auth.challenge(header)
        if asked.scheme == "basic":
            if not endpoint.credentials.username:
                return False
            response.discard()
            self._remember(origin, scope, endpoint.credentials, auth.basic(endpoint.credentials), 3600.0)
            return True
        response.discard()
        token = self.token(endpoint, asked, scope)
        self._remember(origin, scope, endpoint.credentials, f"Bearer {token.token}", token.seconds - MARGIN)
        return True

    def token(self, endpoint: RegistryEndpoint, asked: Challenge, scope: str, *, offline: bool = False) -> Token:
        """Ask the token server that a challenge names."""
        own = self.origin(endpoint)
        request = auth.token_request(asked, scope, endpoint.credentials, offline=offline)
        trusted = (*endpoint.realms, *self._realms.get(endpoint.registry, ()))
        auth.check_realm(own, request.url.origin, trusted, endpoint.credentials)
        with translated(request.method, request.url):
            trust = replace(self._trust(endpoint, request.url.origin), shows_certificate=False)
            response = self._transport.send(request.method, request.url, request.headers, request.body, trust)
            if response.status in REDIRECTS:
                response.close()
                raise RegistryDenied(f"the token server {request.url.origin.address} redirects: credentials are not sent on")
            if response.status >= 400:
                raise failure(response)
            return auth.parse_token(response.document(auth.TOKEN_LIMIT), request.url)

    def challenge(self, endpoint: RegistryEndpoint) -> Challenge | None:
        """What the registry asks of whoever logs in; None where everybody is welcome."""
        response = self.send(endpoint, "GET", "/v2/", expected=(401,)) if not endpoint.credentials.registry_token else None
        if response is None:
            return None
        response.discard()
        return auth.challenge(response.header("WWW-Authenticate")) if response.status == 401 else None
