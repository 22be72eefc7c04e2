"""Whom the client believes, and what it tells them: challenges, token servers, certificates, waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.api import (
    DriverHome,
    InvalidRequest,
    RegistryCredentials,
    RegistryDenied,
    RegistryEndpoint,
    RegistryFailed,
    Repository,
)
from pyke.testing.certificates import Certificate, self_signed
from pyke.testing.registry import PlayRegistry
from pyke_registry_distribution import auth
from pyke_registry_distribution.driver import DistributionClient
from pyke_registry_distribution.failures import LONGEST_WAIT, retry_after
from pyke_registry_distribution.transport import parse


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path / "tls")


@pytest.fixture
def registry(certificate: Certificate) -> Iterator[PlayRegistry]:
    with PlayRegistry(certificate=certificate, users={"me": "secret"}) as registry:
        registry.put_image("app", "1", [])
        yield registry


@pytest.fixture
def client(tmp_path: Path) -> DistributionClient:
    return DistributionClient(DriverHome(str(tmp_path), str(tmp_path)))


def test_a_certificate_that_nobody_vouches_for_is_refused(client: DistributionClient, registry: PlayRegistry) -> None:
    with pytest.raises(RegistryFailed, match="x509") as caught:
        client.resolve(Repository(RegistryEndpoint(registry.host), "app"), "1")
    assert caught.value.hint == f"cp ca.crt /etc/pyke/certs.d/{registry.host}/ca.crt"


def test_an_authority_of_one_s_own_is_believed(
    client: DistributionClient, registry: PlayRegistry, certificate: Certificate, tmp_path: Path
) -> None:
    folder = tmp_path / "certs.d"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(Path(certificate.certificate).read_bytes())
    registry.auth = "token"
    endpoint = RegistryEndpoint(registry.host, certificates=(str(folder),), credentials=RegistryCredentials("me", "secret"))
    assert client.resolve(Repository(endpoint, "app"), "1").digest


def test_a_certificate_without_its_key_is_named(client: DistributionClient, registry: PlayRegistry, tmp_path: Path) -> None:
    (tmp_path / "client.cert").write_text("")
    with pytest.raises(InvalidRequest, match=r"missing key .*client\.key for client certificate"):
        client.resolve(Repository(RegistryEndpoint(registry.host, certificates=(str(tmp_path),)), "app"), "1")


def test_any_certificate_does_where_that_is_listed(client: DistributionClient, registry: PlayRegistry) -> None:
    assert client.resolve(Repository(RegistryEndpoint(registry.host, insecure=True), "app"), "1").digest


def test_a_token_is_not_asked_for_without_tls(client: DistributionClient, registry: PlayRegistry) -> None:
    with PlayRegistry() as plain:
        registry.auth, registry.realm = "token", f"{plain.url}/token"
        with pytest.raises(RegistryDenied, match="without TLS"):
            client.resolve(Repository(RegistryEndpoint(registry.host, insecure=True), "app"), "1")
        assert not plain.requests


def test_a_redirect_does_not_leave_tls(client: DistributionClient, registry: PlayRegistry) -> None:
    with PlayRegistry() as plain:
        registry.answer = lambda exchange: exchange.reply(302, headers={"Location": plain.url}) if exchange.seen.path != "/v2/" else None
        with pytest.raises(RegistryFailed, match="plain HTTP"):
            client.manifest(Repository(RegistryEndpoint(registry.host, insecure=True), "app"), "1")
        assert not plain.requests


@pytest.mark.parametrize(
    ("registry", "realm", "is_believed"),
    [
        ("registry.corp", "registry.corp", True),
        ("registry.gitlab.com", "gitlab.com", True),
        ("registry.corp.example", "auth.corp.example", True),
        ("registry.corp.example", "auth.evil.example", False),
        ("registry.corp.co.uk", "auth.corp.co.uk", True),
        ("registry.co.uk", "evil.co.uk", False),
        ("registry.example", "evil.example", False),
        ("registry.corp", "registry.corp.evil", False),
        ("registry.corp", "evilregistry.corp", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "11.0.0.1", False),
        ("127.0.0.1", "localhost", False),
    ],
)
def test_a_token_server_belongs_to_a_registry_or_not(registry: str, realm: str, is_believed: bool) -> None:
    assert auth.belongs(registry, realm) is is_believed


@pytest.mark.parametrize("trusted", [("tokens.other:5001",), ("tokens.other",)])
def test_a_token_server_that_is_listed_is_believed(trusted: tuple[str, ...]) -> None:
    registry, realm = parse("https://registry.corp").origin, parse("https://tokens.other:5001/token").origin
    me = RegistryCredentials("me", "secret")
    auth.check_realm(registry, realm, trusted, me)
    auth.check_realm(registry, realm, (), RegistryCredentials())
    with pytest.raises(RegistryDenied) as caught:
        auth.check_realm(registry, realm, ("tokens.otherwise",), me)
    assert "secret" not in str(caught.value)


def test_a_challenge_is_read() -> None:
    asked = auth.challenge('Bearer realm="https://a/token",service="reg, \\"x\\"", scope=repository:a/b:pull ,error="insufficient_scope"')
    assert (asked.realm, asked.scope) == ("https://a/token", "repository:a/b:pull")
    assert auth.challenge("basic realm=x").scheme == "basic"


@given(st.text(max_size=300))
def test_whatever_a_challenge_says_it_is_read_or_refused(text: str) -> None:
    try:
        assert auth.challenge(f"Bearer {text}").scheme == "bearer"
    except RegistryDenied:
        return


def test_nonsense_in_a_challenge_costs_no_time() -> None:
    started = time.monotonic()
    for nonsense in ("a" * 60_000, 'a="' + "\\" * 60_000, " " * 60_000, "a=" * 30_000, 'realm="' + "a" * 60_000):
        auth.challenge(f"Bearer {nonsense}")
    assert time.monotonic() - started < 0.5


@given(st.text(max_size=200))
def test_whatever_a_url_says_it_is_http_or_refused(text: str) -> None:
    for candidate in (text, f"https://{text}", f"http://a/{text}"):
        try:
            url = parse(candidate, "https://registry.corp/v2/")
        except RegistryFailed:
            continue
        assert url.origin.scheme in ("http", "https") and url.origin.host and url.target.startswith("/")
        assert not {"\r", "\n", " "} & set(url.target)


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("", 0), ("-1", 0), ("soon", 0), ("9" * 400, LONGEST_WAIT), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
)
def test_a_wait_is_read(text: str, seconds: float) -> None:
    assert retry_after(text) == seconds


def test_secrets_are_not_shown() -> None:
    shown = repr(RegistryCredentials("me", "secret", "identity", "token"))
    assert "me" in shown and not any(word in shown for word in ("secret", "identity'", "token'"))
