"""Docker Hub is a registry like others, but for where it is, who gives its tokens, its search and its count of pulls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from pyke.api import DriverHome, RegistryEndpoint, RegistryFailed, RegistryQuota, SearchResult
from pyke_registry_distribution.driver import DistributionClient

HUB = "docker.io"
REGISTRY, TOKENS, SEARCH = "registry-1.docker.io", "auth.docker.io", "https://index.docker.io"
SEARCH_LIMIT = 4 << 20  # bytes
PREVIEW = "ratelimitpreview/test"  # the repository that Docker offers for looking at the count
_COUNT = re.compile(r"(\d{1,9})(?:;w=(\d{1,9}))?")


class DockerHubClient(DistributionClient):
    """docker.io. Options: `registry` (HOST[:PORT]), `realm` (HOST) and `search` (URL) in place of Docker's own."""

    def __init__(self, home: DriverHome) -> None:
        self.addresses = {HUB: home.options.get("registry", REGISTRY)}
        self.realms = {HUB: (home.options.get("realm", TOKENS),)}
        super().__init__(home)

    def serves(self, registry: str) -> bool:
        return registry == HUB

    def search(self, endpoint: RegistryEndpoint, term: str, limit: int) -> Sequence[SearchResult]:
        """Through the index of version 1, which Docker's own clients still ask; without credentials."""
        site = RegistryEndpoint(
            HUB, self.home.options.get("search", SEARCH), endpoint.insecure, endpoint.certificates, proxies=endpoint.proxies
        )
        official = term.removeprefix("library/")
        response = self.session.send(site, "GET", f"/v1/search?{urlencode({'q': official, 'n': limit})}")
        return _results(self._document(response), str(response.url))[:limit]

    def quota(self, endpoint: RegistryEndpoint) -> RegistryQuota:
        response = self.session.send(endpoint, "HEAD", f"/v2/{PREVIEW}/manifests/latest", scope=f"repository:{PREVIEW}:pull")
        response.discard()
        limit, remaining = (_COUNT.match(response.header(f"RateLimit-{name}")) for name in ("Limit", "Remaining"))
        if limit is None or remaining is None:
            return RegistryQuota()
        return RegistryQuota(int(limit[1]), int(remaining[1]), int(limit[2] or 0))


def _results(text: bytes, url: str) -> list[SearchResult]:
    try:
        found = json.loads(text)["results"]
        return [_result(each) for each in found]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryFailed(f"{url} is not a result of a search") from None


def _result(data: Mapping[str, Any]) -> SearchResult:
    stars = data.get("star_count")
    return SearchResult(
        name=str(data["name"])[:255],
        description=str(data.get("description") or "")[:1000],
        stars=stars if isinstance(stars, int) and not isinstance(stars, bool) else 0,
        official=data.get("is_official") is True,
        automated=data.get("is_automated") is True,
    )
