"""What can be asked of registries without pulling: logins, searches, and what a name stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyke.archive.limits import ImageLimits
from pyke.engine.images import platforms
from pyke.engine.images.credentials import credentials_of
from pyke.engine.images.json_objects import as_list, as_object, json_object
from pyke.engine.images.platforms import Platform
from pyke.engine.images.references import DEFAULT_DOMAIN, Digest, Reference, parse_tagged
from pyke.errors import InvalidRequest, NotFound, RegistryFailed
from pyke.registries import (
    ChecksCredentials,
    ListsTags,
    ManifestDocument,
    RegistryCredentials,
    RegistryLogin,
    SearchesImages,
    SearchResult,
)

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

MAX_RESULTS = 100
SEARCH_FILTERS = ("is-official", "is-automated", "stars")


@dataclass(frozen=True, slots=True)
class Description:
    """What a name stands for at its registry."""

    reference: str
    digest: str
    media_type: str
    content: bytes
    platforms: tuple[Platform, ...]


def login(engine: Engine, fields: Mapping[str, str]) -> RegistryLogin:
    """Try the credentials of a login; `RegistryDenied` where the registry refuses them."""
    registry = _registry(fields.get("serveraddress", ""))
    access = engine.registries.access(registry, credentials_of(fields))
    if not access.can(ChecksCredentials):
        raise RegistryFailed(f"the registry client {access.client!r} cannot check credentials", hint="pyke plugin ls")
    answer: RegistryLogin = access.ask("login", access.registry)
    return answer


def _registry(address: str) -> str:
    host = address.rpartition("://")[2].partition("/")[0]
    return DEFAULT_DOMAIN if host in ("", "index.docker.io", "registry-1.docker.io") else parse_tagged(f"{host}/name").domain


def search(
    engine: Engine, term: str, limit: int, filters: Mapping[str, Sequence[str]], credentials: RegistryCredentials
) -> list[SearchResult]:
    """Images for a term, "WORD" or "REGISTRY/WORD"; a registry that cannot be searched is looked through by its catalogue."""
    if unknown := sorted(set(filters) - set(SEARCH_FILTERS)):
        raise InvalidRequest(f"Invalid filter '{unknown[0]}'", hint="pyke search --filter is-official=true TERM")
    if not 1 <= limit <= MAX_RESULTS:
        raise InvalidRequest(f"limit {limit} is outside the range of [1, {MAX_RESULTS}]")
    registry, word = _split(term)
    access = engine.registries.access(registry, credentials)
    if access.can(SearchesImages):
        found: Sequence[SearchResult] = access.ask("search", access.registry, word, limit)
    elif access.can(ListsTags):
        names = access.ask("catalogue", access.registry)
        found = [SearchResult(f"{registry}/{name}") for name in names if word in name]
    else:
        raise RegistryFailed(f"{registry} cannot be searched", hint="pyke plugin ls")
    return [each for each in found if _passes(each, filters)][:limit]


def _split(term: str) -> tuple[str, str]:
    if not term or len(term) > 256 or not term.isprintable():
        raise InvalidRequest("a search needs a term", hint="pyke search redis")
    first, slash, rest = term.partition("/")
    return (first, rest) if slash and ("." in first or ":" in first or first == "localhost") else (DEFAULT_DOMAIN, term)


def _passes(found: SearchResult, filters: Mapping[str, Sequence[str]]) -> bool:
    flags = {"is-official": found.official, "is-automated": found.automated}
    for name, values in filters.items():
        for value in values:
            if name == "stars":
                if not value.isdecimal() or found.stars < int(value[:12]):
                    return False
            elif flags[name] != (value.lower() in ("1", "true")):
                return False
    return True


def describe(engine: Engine, name: str, credentials: RegistryCredentials) -> Description:
    """The manifest or index that a name stands for, as the registry (or a mirror of it) has it."""
    reference = parse_tagged(name)
    access, limits = engine.registries.access(reference.domain, credentials), engine.settings.images.limits()
    try:
        document = access.pull(
            "manifest", reference.path, reference.digest or reference.tag, accept=lambda found: _accepted(found, reference, limits)
        )
    except NotFound as error:
        raise NotFound(f"no such manifest: {reference}: {error.message}", hint=error.hint) from error
    parsed = json_object(document.content, f"the manifest of {reference.familiar}", limits)
    said = str(parsed.get("mediaType") or document.media_type)
    return Description(str(reference), Digest.of(document.content), said, document.content, _platforms(parsed))


def _accepted(document: ManifestDocument, reference: Reference, limits: ImageLimits) -> ManifestDocument:
    if reference.digest and Digest.of(document.content) != reference.digest:
        raise RegistryFailed(f"manifest verification failed for digest {reference.digest}")
    json_object(document.content, "a manifest", limits)
    return document


def _platforms(document: dict[str, Any]) -> tuple[Platform, ...]:
    entries = [as_object(each, "a descriptor") for each in as_list(document.get("manifests"), "manifests of an index")]
    return tuple(found for each in entries if (found := platforms.of_descriptor(each)))
