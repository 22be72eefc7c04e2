"""Registries behind a proxy: who is reached through it, what it is told, and what it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.api import (
    DriverHome,
    InvalidRequest,
    PykeError,
    RegistryCredentials,
    RegistryEndpoint,
    RegistryFailed,
    RegistryProxies,
    RegistryUnavailable,
    Repository,
)
from pyke.testing.certificates import Certificate, self_signed
from pyke.testing.proxy import PlayProxy
from pyke.testing.registry import PlayRegistry
from pyke_registry_distribution import proxies
from pyke_registry_distribution.driver import DistributionClient
from pyke_registry_distribution.proxy import parse_proxy
from pyke_registry_distribution.transport import parse

NAME, PLAIN = "registry.invalid", "plain.invalid"  # which nobody but the proxy can find
BASIC = "Basic bWU6c2VjcmV0"  # me:secret


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path / "tls", hosts=[NAME])


@pytest.fixture
def registry(certificate: Certificate) -> Iterator[PlayRegistry]:
    with PlayRegistry(certificate=certificate, users={"pilot": "word"}) as registry:
        registry.put_image("app", "1", [])
        yield registry


@pytest.fixture
def plain() -> Iterator[PlayRegistry]:
    with PlayRegistry() as registry:
        registry.put_image("app", "1", [])
        yield registry


@pytest.fixture
def proxy(registry: PlayRegistry, plain: PlayRegistry) -> Iterator[PlayProxy]:
    with PlayProxy({NAME: registry.host, PLAIN: plain.host}, users={"me": "secret"}) as proxy:
        yield proxy


@pytest.fixture
def client(tmp_path: Path) -> DistributionClient:
    return DistributionClient(DriverHome(str(tmp_path), str(tmp_path)))


def through(proxy: PlayProxy, *, name: str = NAME, login: str = "me:secret@", **fields: object) -> Repository:
    url = f"http://{login}{proxy.host}"
    return Repository(RegistryEndpoint(name, proxies=RegistryProxies(url, url), **fields), "app")  # type: ignore[arg-type]


def test_a_registry_is_reached_through_a_tunnel(
    client: DistributionClient, registry: PlayRegistry, proxy: PlayProxy, certificate: Certificate, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(Path(certificate.certificate).read_bytes())
    registry.auth = "token"
    registry.realm = f"https://{NAME}/token"
    me = RegistryCredentials("pilot", "word")
    repository = through(proxy, certificates=(str(tmp_path),), credentials=me)
    assert client.resolve(repository, "1").digest
    assert {(each.method, each.target) for each in proxy.requests} == {("CONNECT", f"{NAME}:443")}
    assert {each.headers.get("proxy-authorization") for each in proxy.requests} == {BASIC}
    assert all("authorization" not in each.headers for each in proxy.requests)
    assert registry.requests and all("proxy-authorization" not in each.headers for each in registry.requests)


def test_plain_http_is_passed_on(client: DistributionClient, plain: PlayRegistry, proxy: PlayProxy) -> None:
    assert client.resolve(through(proxy, name=PLAIN, insecure=True), "1").digest
    last = proxy.requests[-1]
    assert (last.method, last.target) == ("HEAD", f"http://{PLAIN}/v2/app/manifests/1")
    assert last.headers["proxy-authorization"] == BASIC and last.headers["host"] == PLAIN


def test_a_redirect_past_the_proxy_does_not_take_its_credentials_along(
    client: DistributionClient, plain: PlayRegistry, proxy: PlayProxy
) -> None:
    with PlayRegistry() as elsewhere:
        elsewhere.answer = lambda exchange: exchange.reply(200, b"{}")
        proxy.hosts["cdn.invalid"] = elsewhere.host
        plain.answer = lambda exchange: (
            exchange.reply(307, headers={"Location": "http://cdn.invalid/x"}) if "manifests" in exchange.seen.path else None
        )
        client.manifest(through(proxy, name=PLAIN, insecure=True), "1")
        assert elsewhere.requests and all("proxy-authorization" not in each.headers for each in elsewhere.requests)


def test_loopback_is_never_reached_through_a_proxy(client: DistributionClient, plain: PlayRegistry, proxy: PlayProxy) -> None:
    assert client.resolve(through(proxy, name=plain.host, insecure=True), "1").digest
    assert not proxy.requests and all("proxy-authorization" not in each.headers for each in plain.requests)


@pytest.mark.parametrize("name", ["169.254.169.254", "[fe80::1]", "100.100.100.200"])
def test_a_proxy_leads_to_no_metadata(client: DistributionClient, proxy: PlayProxy, name: str) -> None:
    with pytest.raises(PykeError, match="metadata"):
        client.resolve(through(proxy, name=name), "1")
    assert not proxy.requests


@pytest.mark.parametrize("login", ["", "me:wr0ng@"])
@pytest.mark.parametrize("name", [NAME, PLAIN])
def test_a_proxy_that_wants_credentials_is_named(client: DistributionClient, proxy: PlayProxy, name: str, login: str) -> None:
    with pytest.raises(RegistryFailed, match=f"the proxy {proxy.host} does not lead to {name}.*: 407") as caught:
        client.resolve(through(proxy, name=name, login=login, insecure=name == PLAIN), "1")
    assert "wr0ng" not in str(caught.value) + caught.value.hint and "https_proxy" in caught.value.hint


def test_a_proxy_that_is_away_or_knows_nobody_is_named(client: DistributionClient, proxy: PlayProxy) -> None:
    gone = RegistryProxies("http://127.0.0.1:1", "127.0.0.1:1")
    with pytest.raises(RegistryUnavailable, match=r"the proxy 127\.0\.0\.1:1, which leads to other\.invalid, cannot be reached: .*refused"):
        client.resolve(Repository(RegistryEndpoint("other.invalid", proxies=gone), "app"), "1")
    with pytest.raises(RegistryUnavailable, match=f"the proxy {proxy.host} does not lead to other.invalid:443: 502 Bad Gateway"):
        client.resolve(through(proxy, name="other.invalid"), "1")


@pytest.mark.parametrize("text", ["socks5://me:s3cret@host:1", "https://me:s3cret@host", "http://", "http://me:s3cret@[x", "a b"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_credentials(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_proxy(text)
    assert "s3cret" not in str(caught.value)


# as golang.org/x/net/http/httpproxy documents it
EXEMPT = [
    ("*", "any.example", True),
    ("", "any.example", False),
    ("corp.example", "corp.example", True),
    ("corp.example", "registry.corp.example", True),
    ("corp.example", "evilcorp.example", False),
    (".corp.example", "corp.example", False),
    (".corp.example", "a.corp.example", True),
    ("*.corp.example", "a.corp.example", True),
    ("*.corp.example", "corp.example", False),
    ("CORP.example , other", "Registry.Corp.Example", True),
    ("corp.example:5000", "corp.example:5000", True),
    ("corp.example:5000", "corp.example", False),
    ("10.0.0.0/8", "10.1.2.3", True),
    ("10.0.0.0/8", "11.1.2.3", False),
    ("10.0.0.0/8", "ten.example", False),
    ("10.0.0.0/88", "10.1.2.3", False),
    ("192.168.1.1", "192.168.1.1", True),
    ("192.168.1.1:443", "192.168.1.1", True),
    ("192.168.1.1:80", "192.168.1.1", False),
    ("168.1.1", "192.168.1.1", True),  # a domain's end for Go, too
    ("fd00::/8", "[fd12::1]", True),
    ("[fd12::1]:5000", "[fd12::1]:5000", True),
    ("fd12::1", "[fd12::1]", True),
    (":80,,", "corp.example", False),
]


@pytest.mark.parametrize(("listed", "address", "is_exempt"), EXEMPT)
def test_who_is_exempt_is_decided_as_go_does_it(listed: str, address: str, is_exempt: bool) -> None:
    found = proxies.of(RegistryProxies("", "http://proxy.corp:3128", listed), parse(f"https://{address}/").origin)
    assert (found is None) is is_exempt


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:5000", "127.1.2.3", "[::1]"])
def test_this_machine_is_always_exempt(address: str) -> None:
    assert proxies.of(RegistryProxies("http://proxy:1", "http://proxy:1"), parse(f"http://{address}/").origin) is None


def test_each_scheme_has_its_proxy() -> None:
    both = RegistryProxies("http://one:1", "two:2")
    found = [proxies.of(both, parse(f"{scheme}://corp.example/").origin) for scheme in ("http", "https")]
    assert [each.address for each in found if each is not None] == ["one:1", "two:2"]
    assert proxies.of(RegistryProxies(https="two:2"), parse("http://corp.example/").origin) is None


@given(st.text(max_size=60), st.sampled_from(["corp.example", "10.1.2.3", "fd12::1"]))
def test_whatever_is_listed_it_is_decided(listed: str, host: str) -> None:
    assert proxies.is_exempt(listed, host, 443) in (True, False)


@given(st.text(max_size=60))
def test_whatever_a_proxy_is_called_it_is_understood_or_refused(text: str) -> None:
    try:
        found = parse_proxy(text)
    except InvalidRequest:
        return
    assert found.host and not {"\r", "\n", " "} & set(found.address + found.authorization.removeprefix("Basic "))


def test_what_is_shown_of_a_proxy_has_no_credentials() -> None:
    shown = RegistryProxies("http://me:s3cret@proxy:1", "me:s3cret@proxy:1", "corp")
    assert shown.masked == RegistryProxies("http://xxxxx:xxxxx@proxy:1", "xxxxx:xxxxx@proxy:1", "corp")
    assert "s3cret" not in repr(shown) and "s3cret" not in repr(parse_proxy(shown.http))
