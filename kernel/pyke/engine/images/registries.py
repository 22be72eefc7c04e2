"""Which client speaks for which registry, whom it asks, and how often.

Mirrors are asked first and the registry last, and again after a failure that may pass.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pyke.engine.images import proxies as registry_proxies
from pyke.engine.images import queries as registry_queries
from pyke.engine.images.credentials import credentials_of
from pyke.engine.images.queries import Description
from pyke.errors import NotInstalled, PluginFailed, PykeError, RegistryUnavailable
from pyke.model import Caller
from pyke.registries import RegistryCredentials, RegistryEndpoint, RegistryLogin, RegistryProxies, Repository, SearchResult

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

T = TypeVar("T")
OFFICIAL = {"docker.io": "dockerhub"}  # who serves a registry; any other is for "distribution"
DEADLINE = 120.0  # seconds that a client may take for a document: its own time-outs are shorter
ATTEMPTS = 3
LONGEST_PAUSE = 15.0  # seconds: a registry that asks to wait longer is reported at once
_HOST = re.compile(r"[A-Za-z0-9.\[\]:_-]{1,255}\Z")


class Registries:
    """The registries that this engine can reach."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def client(self, registry: str) -> str:
        """The name of the client for a registry; `NotInstalled` says what to install, `PluginFailed` which plugin is broken."""
        for name in self._engine.plugins.ranked("registry"):
            with contextlib.suppress(PykeError):  # a broken client serves nobody
                if self._engine.plugins.call("registry", name, "serves", registry):
                    return name
        raise self._nobody(registry)

    def _nobody(self, registry: str) -> PykeError:
        name = OFFICIAL.get(registry, "distribution")
        install = f"pip install pyke-registry-{name}"
        try:
            self._engine.plugins.driver("registry", name)
        except NotInstalled as error:
            hint = install if error.hint == install else f"{error.hint}   # or: {install}"
            return NotInstalled(f"no registry plugin is installed that serves '{registry}'", hint=hint)
        except PluginFailed as error:
            return error
        return NotInstalled(f"no registry plugin is installed that serves '{registry}'", hint="pyke plugin ls")

    def access(self, registry: str, credentials: RegistryCredentials) -> Access:
        """A registry as it is to be asked with these credentials."""
        return Access(self._engine, self.client(registry), self.mirrors(registry), self.endpoint(registry, credentials))

    # what Docker's clients ask

    def login(self, fields: Mapping[str, str], *, caller: Caller) -> RegistryLogin:
        """Check a login: {"username", "password", "serveraddress"}."""
        self._engine.authorize(caller, "registry.login", fields.get("serveraddress", ""))
        return registry_queries.login(self._engine, fields)

    def search(
        self, term: str, limit: int, filters: Mapping[str, Sequence[str]], *, credentials: Mapping[str, str] | None, caller: Caller
    ) -> list[SearchResult]:
        """Images for a term; see `registry_queries.search`."""
        self._engine.authorize(caller, "registry.search", term)
        return registry_queries.search(self._engine, term, limit, filters, credentials_of(credentials))

    def describe(self, name: str, *, credentials: Mapping[str, str] | None, caller: Caller) -> Description:
        """What a name stands for at its registry."""
        self._engine.authorize(caller, "registry.inspect", name)
        return registry_queries.describe(self._engine, name, credentials_of(credentials))

    # endpoints

    def endpoint(self, registry: str, credentials: RegistryCredentials) -> RegistryEndpoint:
        """The registry itself."""
        realms = tuple(self._engine.settings.registries.realms.get(registry, ()))
        trust = (self._is_insecure(registry), self._certificates(registry), realms)
        return RegistryEndpoint(registry, "", *trust, credentials, self.proxies())

    def proxies(self) -> RegistryProxies:
        """What stands between this engine and all registries."""
        return registry_proxies.proxies(self._engine.settings.registries)

    def mirrors(self, registry: str) -> list[RegistryEndpoint]:
        """The mirrors of a registry. One that the settings give with http:// is spoken to in plain HTTP."""
        found = []
        for url in self._engine.settings.registries.mirrors.get(registry, ()):
            scheme, _, host = url.rstrip("/").rpartition("://")
            is_insecure = scheme == "http" or self._is_insecure(host)
            address, certificates = f"{scheme or 'https'}://{host}", self._certificates(host)
            found.append(RegistryEndpoint(registry, address, is_insecure, certificates, proxies=self.proxies()))
        return found

    def _is_insecure(self, registry: str) -> bool:
        """Whether a registry is listed as insecure, or on this machine's loopback, as Docker has it."""
        listed = self._engine.settings.registries.insecure
        host = registry.rpartition(":")[0] if ":" in registry and not registry.endswith("]") else registry
        if registry in listed or host in listed or host == "localhost":
            return True
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in _networks(listed))

    def _certificates(self, registry: str) -> tuple[str, ...]:
        if not _HOST.match(registry) or registry in (".", ".."):
            return ()
        candidates = (os.path.join(folder, registry) for folder in self._engine.settings.registries.certificates)
        return tuple(path for path in candidates if os.path.isdir(path))


def _networks(listed: Sequence[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for each in listed:
        with contextlib.suppress(ValueError):  # a host's name
            yield ipaddress.ip_network(each, strict=False)


class Access:
    """A registry with its mirrors, asked for one purpose. What failed once as a mirror is not asked again."""

    def __init__(self, engine: Engine, client: str, mirrors: list[RegistryEndpoint], registry: RegistryEndpoint) -> None:
        self._engine, self.client, self._mirrors, self.registry = engine, client, mirrors, registry

    @property
    def endpoints(self) -> list[RegistryEndpoint]:
        """Whom to ask, in this order."""
        return [*self._mirrors, self.registry]

    def pull(self, method: str, path: str, *arguments: Any, accept: Callable[[Any], T]) -> T:
        """Call a method about a repository, at the mirrors and then at the registry, until `accept` takes an answer.

        `accept` raises a PykeError for an answer that is wrong: a mirror that lies is like one that is away.
        """
        for mirror in tuple(self._mirrors):
            try:
                return accept(self._call(method, Repository(mirror, path), *arguments))
            except PykeError:
                self._mirrors.remove(mirror)
        return accept(self.ask(method, Repository(self.registry, path), *arguments))

    def ask(self, method: str, *arguments: Any, deadline: float = DEADLINE) -> Any:
        """Call a method of the client, again after a failure that may pass."""
        return _again(lambda: self._call(method, *arguments, deadline=deadline))

    def _call(self, method: str, *arguments: Any, deadline: float = DEADLINE) -> Any:
        return self._engine.plugins.call("registry", self.client, method, *arguments, deadline=deadline)

    def can(self, ability: type) -> bool:
        """Whether the client has an optional ability."""
        return self._engine.plugins.implements("registry", self.client, ability)


def _again(call: Callable[[], T]) -> T:
    """The result of a call that is tried a few times while its failures may pass."""
    for attempt in itertools.count(1):
        try:
            return call()
        except RegistryUnavailable as error:
            pause = max(error.retry_after, 0.2 * attempt)
            if attempt == ATTEMPTS or pause > LONGEST_PAUSE:
                raise
            time.sleep(pause)
    raise AssertionError("a count ends")
