"""The client of Docker Hub: the conformance suite, its search and its count of pulls."""

from __future__ import annotations

import json

import pytest

from pyke.api import RegistryFailed, RegistryQuota, Repository, SearchResult
from pyke.testing import RegistryConformance
from pyke.testing.registry import Exchange, PlayRegistry
from pyke_registry_dockerhub.driver import DockerHubClient


class TestDockerHub(RegistryConformance):
    @pytest.fixture
    def client_class(self) -> type[DockerHubClient]:
        return DockerHubClient

    @pytest.fixture
    def name(self) -> str:
        return "docker.io"

    @pytest.fixture
    def options(self, registry: PlayRegistry) -> dict[str, str]:
        return {"registry": registry.host, "realm": "auth.hub.example", "search": registry.url}

    @pytest.mark.parametrize("other", ["registry.corp:5000", "docker.io.evil.example", "localhost"])
    def test_it_serves_nobody_else(self, client: DockerHubClient, other: str) -> None:
        assert not client.serves(other)

    def test_a_search_finds(self, client: DockerHubClient, registry: PlayRegistry, repository: Repository) -> None:
        found = {"name": "redis", "description": "a store", "star_count": 12, "is_official": True, "is_automated": False}
        registry.answer = lambda exchange: _searched(exchange, {"results": [found, {"name": "other/redis"}]})
        results = client.search(repository.endpoint, "library/redis", 1)
        assert list(results) == [SearchResult("redis", "a store", 12, official=True)]
        asked = registry.requests[-1]
        assert (asked.query["q"], asked.query["n"]) == (["redis"], ["1"]) and "authorization" not in asked.headers

    @pytest.mark.parametrize("answer", [[], {}, {"results": 1}, {"results": [{}]}, {"results": ["x"]}, None])
    def test_a_search_that_is_none_is_told(
        self, client: DockerHubClient, registry: PlayRegistry, repository: Repository, answer: object
    ) -> None:
        registry.answer = lambda exchange: _searched(exchange, answer)
        with pytest.raises(RegistryFailed, match="not a result of a search"):
            client.search(repository.endpoint, "redis", 25)

    def test_the_count_of_pulls_is_told(self, client: DockerHubClient, registry: PlayRegistry, repository: Repository) -> None:
        counts = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}
        registry.answer = lambda exchange: exchange.reply(200, headers=counts) if "ratelimitpreview" in exchange.seen.path else None
        assert client.quota(repository.endpoint) == RegistryQuota(100, 76, 21600)
        assert registry.requests[-1].method == "HEAD"

    def test_no_count_is_no_limit(self, client: DockerHubClient, registry: PlayRegistry, repository: Repository) -> None:
        registry.answer = lambda exchange: exchange.reply(200) if "ratelimitpreview" in exchange.seen.path else None
        assert client.quota(repository.endpoint) == RegistryQuota()


def _searched(exchange: Exchange, answer: object) -> None:
    if exchange.seen.path == "/v1/search":
        exchange.reply(200, json.dumps(answer).encode())
