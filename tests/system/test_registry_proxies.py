"""An engine behind a proxy: layers come and go through it, whether the settings or the environment name it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing.certificates import self_signed
from pyke.testing.engine import TestEngine
from pyke.testing.images import busybox_tree, layer
from pyke.testing.proxy import PlayProxy
from pyke.testing.registry import PlayRegistry

NAME = "registry.invalid"
BUSYBOX = layer(busybox_tree())


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[PlayRegistry]:
    """A registry with TLS, which a folder of the engine's vouches for."""
    certificate = self_signed(tmp_path / "tls", hosts=[NAME])
    folder = tmp_path / "certs.d" / NAME
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(Path(certificate.certificate).read_bytes())
    with PlayRegistry(certificate=certificate) as registry:
        registry.put_image("app", "1", [BUSYBOX, layer({"far": b"away"})])
        yield registry


@pytest.fixture
def proxy(registry: PlayRegistry) -> Iterator[PlayProxy]:
    with PlayProxy({NAME: registry.host}, users={"me": "s3cret"}) as proxy:
        yield proxy


def engine_with(tmp_path: Path, settings: dict[str, object], environment: dict[str, str] | None = None) -> TestEngine:
    (tmp_path / "root").mkdir()
    registries = {"certificates": [str(tmp_path / "certs.d")], **settings}
    (tmp_path / "root" / "config.yaml").write_text(json.dumps({"registries": registries}))
    return TestEngine(tmp_path / "root", {"HOME": str(tmp_path), **(environment or {})})


def test_images_come_and_go_through_a_proxy_of_the_settings(tmp_path: Path, registry: PlayRegistry, proxy: PlayProxy) -> None:
    with engine_with(tmp_path, {"https_proxy": f"http://me:s3cret@{proxy.host}"}) as engine:
        engine.ok("pull", f"{NAME}/app:1")
        assert engine.ok("run", "--rm", "--network", "none", f"{NAME}/app:1", "cat", "/far") == "away"
        engine.ok("tag", f"{NAME}/app:1", f"{NAME}/copy:1")
        engine.ok("push", f"{NAME}/copy:1")
        assert registry.manifests["copy", "1"] == registry.manifests["app", "1"]
        assert {each.method for each in proxy.requests} == {"CONNECT"}
        assert all("proxy-authorization" not in each.headers for each in registry.requests)
        shown = engine.ok("info", "--format", "{{.HTTPProxy}}|{{.HTTPSProxy}}|{{.NoProxy}}")
        assert shown == f"|http://xxxxx:xxxxx@{proxy.host}|"
        assert f" HTTPS Proxy: http://xxxxx:xxxxx@{proxy.host}\n" in engine.ok("info")
        assert "s3cret" not in engine.log_tail(400)


@pytest.mark.parametrize("capitals", [True, False])
def test_the_environment_of_whoever_starts_the_engine_names_the_proxy(
    tmp_path: Path, registry: PlayRegistry, proxy: PlayProxy, capitals: bool
) -> None:
    variables = {"https_proxy": f"http://me:s3cret@{proxy.host}", "no_proxy": "other.invalid"}
    with engine_with(tmp_path, {}, {name.upper() if capitals else name: value for name, value in variables.items()}) as engine:
        engine.ok("pull", f"{NAME}/app:1")
        assert engine.ok("info", "--format", "{{.NoProxy}}") == "other.invalid"
        before = len(proxy.requests)
        assert "lookup other.invalid" in engine.pyke("pull", "other.invalid/app:1").stderr
        assert len(proxy.requests) == before


def test_a_proxy_that_refuses_is_named_with_what_to_do(tmp_path: Path, registry: PlayRegistry, proxy: PlayProxy) -> None:
    with engine_with(tmp_path, {"https_proxy": f"http://me:wr0ng@{proxy.host}"}) as engine:
        failed = engine.pyke("pull", f"{NAME}/app:1")
        assert failed.status == 1 and "wr0ng" not in failed.stderr
        error, hint = failed.stderr.splitlines()
        assert f"the proxy {proxy.host} does not lead to {NAME}:443: 407 Proxy Authentication Required" in error
        assert "registries.http_proxy" in hint
