"""What cannot be reached: told in Docker's words, with something to try."""

from __future__ import annotations

import socket
import ssl

import pytest

from pyke.api import DriverHome, PykeError, RegistryEndpoint, RegistryFailed, RegistryUnavailable, Repository
from pyke_registry_distribution.driver import DistributionClient
from pyke_registry_distribution.failures import translated
from pyke_registry_distribution.transport import parse

URL = parse("https://registry.corp:5000/v2/app/manifests/1")
UNREACHABLE: dict[str, OSError] = {
    "lookup registry.corp: Name or service not known": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "connect: connection refused": ConnectionRefusedError(111, "Connection refused"),
    "silent for too long": TimeoutError("timed out"),
    "No route to host": OSError(113, "No route to host"),
}


@pytest.mark.parametrize("words", UNREACHABLE)
def test_who_is_not_reached_is_named_with_a_hint(words: str) -> None:
    with pytest.raises(RegistryUnavailable, match=words) as caught, translated("GET", URL):
        raise UNREACHABLE[words]
    assert "registry.corp:5000" in caught.value.message
    assert "pyke info" in caught.value.hint and "/etc/pyke/config.yaml" in caught.value.hint


def test_the_hint_for_a_name_looks_it_up() -> None:
    with pytest.raises(PykeError) as caught, translated("GET", URL):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert caught.value.hint.startswith("getent hosts registry.corp || pyke info ")


def test_a_certificate_that_is_not_trusted_says_where_it_belongs() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    with pytest.raises(RegistryFailed, match="x509: self-signed") as caught, translated("GET", URL):
        raise error
    assert caught.value.hint == "cp ca.crt /etc/pyke/certs.d/registry.corp:5000/ca.crt"


@pytest.mark.parametrize("host", ["a" * 64 + ".corp", "a" * 200])
def test_a_name_that_no_host_can_have_is_not_found(host: str) -> None:
    client = DistributionClient(DriverHome("", ""))
    with pytest.raises(RegistryUnavailable, match=f"lookup {host}: "):
        client.resolve(Repository(RegistryEndpoint(host), "app"), "1")
