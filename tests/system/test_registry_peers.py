"""Registries as a peer among peers: Debian's docker-registry, skopeo, podman and Docker; logins, mirrors, and what is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pyke.testing.docker_registry import PASSWORD, USER, DockerRegistry, is_installed
from pyke.testing.engine import TestEngine
from pyke.testing.images import busybox_tree, layer, oci_archive
from pyke.testing.registry import Exchange, PlayRegistry

BUSYBOX = layer(busybox_tree())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the user who types here, and all that belongs to this module."""
    return tmp_path_factory.mktemp("registries")


@pytest.fixture(scope="module")
def shared(place: Path) -> Iterator[TestEngine]:
    with TestEngine(place / "root", {"HOME": str(place), "PATH": f"{place}:{os.environ['PATH']}"}) as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "--network", "none", "busybox", "true")
        yield engine


@pytest.fixture(scope="module")
def peer(place: Path) -> Iterator[DockerRegistry]:
    if not is_installed():
        pytest.skip("apt-get install docker-registry")
    with DockerRegistry(place / "registry") as registry:
        yield registry


@pytest.fixture
def registry() -> Iterator[PlayRegistry]:
    with PlayRegistry(users={"me": "secret"}) as registry:
        yield registry


def run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **(environment or {})}, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"apt-get install {program}")


def digest_of(output: str) -> str:
    """The digest in what `push` or `pull` printed."""
    return next(word for word in output.split() if word.startswith("sha256:") and len(word) == 71)


# round trips


def test_what_is_pushed_is_pulled_again_under_the_same_digest(shared: TestEngine, peer: DockerRegistry) -> None:
    shared.ok("tag", "busybox", f"{peer.host}/team/app:1")
    lines = shared.ok("push", f"{peer.host}/team/app:1").splitlines()
    assert lines[0] == f"The push refers to repository [{peer.host}/team/app]"
    assert [line.partition(": ")[2] for line in lines[1:-1]] == ["Preparing", "Pushed"]
    digest = digest_of(lines[-1])
    again = shared.ok("push", f"{peer.host}/team/app:1")
    assert "Layer already exists" in again and digest_of(again) == digest
    (described,) = json.loads(shared.ok("manifest", "inspect", f"{peer.host}/team/app:1"))["layers"]
    assert described["mediaType"].endswith("+gzip") and described["size"] < len(BUSYBOX) * 0.7
    shared.ok("rmi", f"{peer.host}/team/app:1")
    assert digest_of(shared.ok("pull", f"{peer.host}/team/app:1")) == digest
    assert shared.ok("run", "--rm", "--network", "none", f"{peer.host}/team/app:1", "echo", "hello") == "hello"


def test_skopeo_and_podman_read_what_pyke_pushed(shared: TestEngine, peer: DockerRegistry) -> None:
    needs("skopeo")
    needs("podman")
    shared.ok("tag", "busybox", f"{peer.host}/to/podman:1")
    digest = digest_of(shared.ok("push", f"{peer.host}/to/podman:1"))
    inspected = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{peer.host}/to/podman:1"))
    assert inspected["Digest"] == digest
    with tempfile.TemporaryDirectory(prefix="podman-") as directory:  # podman takes no longer path
        podman = ("podman", "--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs")
        id = run(*podman, "pull", "-q", "--tls-verify=false", f"{peer.host}/to/podman:1").strip()
        run(*podman, "rmi", "--all", "--force")
    assert f"sha256:{id}" == shared.ok("images", "--no-trunc", "-q", f"{peer.host}/to/podman:1")


def test_what_skopeo_made_is_pulled(shared: TestEngine, peer: DockerRegistry, place: Path) -> None:
    needs("skopeo")
    archive = place / "saved.tar"
    shared.ok("save", "-o", str(archive), "busybox")
    for form in ("oci", "v2s2"):
        run("skopeo", "copy", "--dest-tls-verify=false", "-f", form, f"docker-archive:{archive}", f"docker://{peer.host}/skopeo/{form}:1")
        expected = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{peer.host}/skopeo/{form}:1"))["Digest"]
        assert digest_of(shared.ok("pull", f"{peer.host}/skopeo/{form}:1")) == expected
        assert shared.ok("run", "--rm", "--network", "none", f"{peer.host}/skopeo/{form}:1", "echo", form) == form


def test_docker_pushes_and_pulls_the_same(shared: TestEngine, peer: DockerRegistry, place: Path) -> None:
    needs("dockerd")
    with tempfile.TemporaryDirectory(prefix="pyke-dockerd-") as directory, _Dockerd(Path(directory)) as docker:
        shared.ok("tag", "busybox", f"{peer.host}/both:ours")
        ours = digest_of(shared.ok("push", f"{peer.host}/both:ours"))
        assert digest_of(docker("pull", f"{peer.host}/both:ours")) == ours
        assert docker("run", "--rm", "--network", "none", f"{peer.host}/both:ours", "echo", "hello") == "hello\n"
        docker("tag", f"{peer.host}/both:ours", f"{peer.host}/both:theirs")
        theirs = digest_of(docker("push", f"{peer.host}/both:theirs"))
        assert digest_of(shared.ok("pull", f"{peer.host}/both:theirs")) == theirs
        assert shared.ok("run", "--rm", "--network", "none", f"{peer.host}/both:theirs", "echo", "hello") == "hello"


class _Dockerd:
    """A Docker daemon of its own, without a network; called, it runs `docker`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = f"unix://{directory}/sock"

    def __enter__(self) -> _Dockerd:
        places = [f"--data-root={self._directory}/root", f"--exec-root={self._directory}/exec", f"--pidfile={self._directory}/pid"]
        command = ["dockerd", *places, f"--host={self._socket}", "--bridge=none", "--iptables=false", "--storage-driver=vfs"]
        self._log = (self._directory / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 30
        while subprocess.run(["docker", "-H", self._socket, "version"], capture_output=True, timeout=30, check=False).returncode:
            assert time.monotonic() < deadline and self._process.poll() is None, (self._directory / "log").read_text()[-2000:]
            time.sleep(0.1)
        return self

    def __call__(self, *words: str) -> str:
        return run("docker", "-H", self._socket, *words, environment={"DOCKER_CONFIG": str(self._directory)})

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()
        for mount in Path("/proc/self/mounts").read_text().splitlines():
            if str(self._directory) in mount:
                subprocess.run(["umount", "-l", mount.split()[1]], check=False)


def test_a_layer_is_mounted_from_another_repository(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("from/here", "1", [BUSYBOX])
    shared.ok("pull", f"{registry.host}/from/here:1")
    shared.ok("tag", f"{registry.host}/from/here:1", f"{registry.host}/to/there:2")
    assert ": Mounted from from/here" in shared.ok("push", f"{registry.host}/to/there:2")
    assert registry.manifests["to/there", "2"] == registry.manifests["from/here", "1"]


def test_a_manifest_that_came_along_is_sent_as_it_is(shared: TestEngine, registry: PlayRegistry, place: Path) -> None:
    archive = place / "plain.tar"
    archive.write_bytes(oci_archive(["plain:1"], [layer({"a": b"plain" * 1000})], compressed=False))
    shared.ok("load", "-i", str(archive))
    shared.ok("tag", "plain:1", f"{registry.host}/plain:1")
    shared.ok("push", f"{registry.host}/plain:1")
    (described,) = json.loads(registry.manifests["plain", "1"][1])["layers"]
    assert described["mediaType"].endswith(".tar") and registry.blobs[described["digest"]] == layer({"a": b"plain" * 1000})


def test_docker_s_client_works_on_the_socket(shared: TestEngine, registry: PlayRegistry, place: Path) -> None:
    needs("docker")
    docker = ("docker", "-H", f"unix://{shared.layout.socket}")
    environment = {"DOCKER_CONFIG": str(place / "docker-client")}
    registry.put_image("by/docker", "1", [layer({"docker": b"1"})])
    registry.auth = "token"
    login = ("login", "-u", "me", "-p", "secret", registry.host)
    assert "Login Succeeded" in run(*docker, *login, environment=environment)
    pulled = run(*docker, "pull", f"{registry.host}/by/docker:1", environment=environment)
    assert f"Status: Downloaded newer image for {registry.host}/by/docker:1" in pulled
    run(*docker, "tag", f"{registry.host}/by/docker:1", f"{registry.host}/by/docker:2")
    assert digest_of(run(*docker, "push", f"{registry.host}/by/docker:2", environment=environment)) == digest_of(pulled)
    assert registry.manifests["by/docker", "2"] == registry.manifests["by/docker", "1"]


def test_what_does_not_exist_is_not_pushed(shared: TestEngine) -> None:
    failed = shared.pyke("push", "127.0.0.1:1/nosuch")
    assert failed.status == 1
    assert failed.stdout == "Using default tag: latest\nThe push refers to repository [127.0.0.1:1/nosuch]\n"
    assert failed.stderr.startswith("pyke: An image does not exist locally with the tag: 127.0.0.1:1/nosuch\n")


# who asks


def test_a_login_opens_docker_registry(shared: TestEngine, place: Path) -> None:
    if not is_installed():
        pytest.skip("apt-get install docker-registry")
    with DockerRegistry(place / "closed", auth=True) as closed:
        shared.ok("tag", "busybox", f"{closed.host}/app:1")
        refused = shared.pyke("push", f"{closed.host}/app:1")
        assert refused.status == 1 and "unauthorized" in refused.stderr
        wrong = shared.pyke("login", "-u", USER, "--password-stdin", closed.host, input="wrong")
        assert wrong.status == 1 and "unauthorized" in wrong.stderr
        done = shared.pyke("login", "-u", USER, "--password-stdin", closed.host, input=f"{PASSWORD}\n")
        assert (done.status, done.stdout) == (0, "Login Succeeded\n")
        kept = place / ".config" / "pyke" / "auth.json"
        assert f"stored unencrypted in '{kept}'" in done.stderr and kept.stat().st_mode & 0o777 == 0o600
        shared.ok("push", f"{closed.host}/app:1")
        shared.ok("rmi", f"{closed.host}/app:1")
        shared.ok("pull", f"{closed.host}/app:1")
        assert shared.ok("logout", closed.host) == f"Removing login credentials for {closed.host}"
        assert shared.ok("logout", closed.host) == f"Not logged in to {closed.host}"
        denied = shared.pyke("pull", f"{closed.host}/app:1")
        assert denied.status == 1 and f"pull access denied for {closed.host}/app" in denied.stderr


def test_tokens_of_a_token_server_are_used(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "1", [layer({"token": b"1"})])
    registry.auth = "token"
    assert shared.pyke("pull", f"{registry.host}/app:1").status == 1
    shared.ok("login", "-u", "me", "--password-stdin", registry.host, input="secret")
    registry.requests.clear()
    shared.ok("pull", f"{registry.host}/app:1")
    tokens = [each for each in registry.requests if each.path == "/token"]
    assert tokens and all("secret" not in str(each.query) for each in registry.requests)
    shared.ok("logout", registry.host)


def test_docker_s_credentials_and_helpers_are_read(shared: TestEngine, registry: PlayRegistry, place: Path) -> None:
    registry.put_image("app", "1", [layer({"helper": b"1"})])
    registry.auth = "basic"
    helper = place / "docker-credential-play"
    answer = json.dumps({"ServerURL": registry.host, "Username": "me", "Secret": "secret"})
    helper.write_text(f"#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {registry.host}' ] && echo '{answer}' && exit\n")
    helper.write_text(helper.read_text() + "echo credentials not found in native keychain\nexit 1\n")
    helper.chmod(0o755)
    (place / ".docker").mkdir(exist_ok=True)
    config = place / ".docker" / "config.json"
    try:
        config.write_text(json.dumps({"credHelpers": {registry.host: "play"}}))
        shared.ok("pull", f"{registry.host}/app:1")
        config.write_text(json.dumps({"auths": {registry.host: {"auth": "bWU6d3Jvbmc="}}}))  # me:wrong
        assert shared.pyke("pull", f"{registry.host}/app:1").status == 1
        config.write_text(json.dumps({"auths": {registry.host: {"auth": "bWU6c2VjcmV0"}}}))  # me:secret
        shared.ok("pull", f"{registry.host}/app:1")
        config.write_text(json.dumps({"auths": {f"x{registry.host}": {"auth": "bWU6c2VjcmV0"}}}))
        assert shared.pyke("pull", f"{registry.host}/app:1").status == 1
    finally:
        config.unlink()


# looking around


def test_manifests_and_catalogues_are_shown(shared: TestEngine, registry: PlayRegistry) -> None:
    digest = registry.put_image("some/app", "1", [layer({"x": b"1"})])
    shown = json.loads(shared.ok("manifest", "inspect", f"{registry.host}/some/app:1"))
    assert shown == json.loads(registry.manifests["some/app", "1"][1])
    verbose = json.loads(shared.ok("manifest", "inspect", "-v", f"{registry.host}/some/app:1"))
    assert verbose["descriptor"]["digest"] == digest
    lines = shared.ok("search", f"{registry.host}/some").splitlines()
    assert lines[1].split()[0] == f"{registry.host}/some/app"


# mirrors, and what is installed


@pytest.fixture
def configured(tmp_path: Path, registry: PlayRegistry) -> Iterator[TestEngine]:
    """An engine for which `registry` is a mirror of registry.invalid, and of itself under another name, after one that is away."""
    (tmp_path / "root").mkdir()
    mirrors = {"registry.invalid": [registry.url], "localhost:9": ["http://127.0.0.1:1", registry.url]}
    (tmp_path / "root" / "config.yaml").write_text(json.dumps({"registries": {"mirrors": mirrors}}))
    with TestEngine(tmp_path / "root", {"HOME": str(tmp_path), "PYKE_DISABLE_PLUGINS": "registry-dockerhub"}) as engine:
        yield engine


def test_mirrors_are_asked_first_and_never_get_the_credentials(configured: TestEngine, registry: PlayRegistry, tmp_path: Path) -> None:
    registry.put_image("app", "1", [layer({"mirror": b"1"})])
    (tmp_path / ".docker").mkdir()
    auths = {name: {"auth": "bWU6c2VjcmV0"} for name in ("registry.invalid", "localhost:9")}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
    for name in ("registry.invalid", "localhost:9"):
        assert f"Status: Downloaded newer image for {name}/app:1" in configured.ok("pull", f"{name}/app:1")
    assert not any("authorization" in each.headers for each in registry.requests)
    # without the plugin of the Hub private registries work, and the Hub says what it needs
    refused = configured.pyke("pull", "redis")
    assert refused.status == 1
    assert "no registry plugin is installed that serves 'docker.io'" in refused.stderr
    assert "pip install pyke-registry-dockerhub" in refused.stderr


@pytest.fixture
def hub(tmp_path: Path, registry: PlayRegistry) -> Iterator[TestEngine]:
    """An engine for which `registry` is Docker Hub."""
    (tmp_path / "root").mkdir()
    drivers = {"registry-dockerhub": {"registry": registry.host, "search": registry.url}}
    settings = {"registries": {"insecure": ["docker.io"]}, "drivers": drivers}
    (tmp_path / "root" / "config.yaml").write_text(json.dumps(settings))
    with TestEngine(tmp_path / "root", {"HOME": str(tmp_path)}) as engine:
        yield engine


def test_docker_hub_is_meant_where_no_registry_is_named(hub: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("library/redis", "latest", [BUSYBOX])
    registry.auth = "token"
    assert hub.ok("login", "-u", "me", "--password-stdin", input="secret") == "Login Succeeded"
    lines = hub.ok("pull", "redis").splitlines()
    assert lines[:2] == ["Using default tag: latest", "latest: Pulling from library/redis"]
    assert lines[-2:] == ["Status: Downloaded newer image for redis:latest", "docker.io/library/redis:latest"]
    found = {"name": "redis", "description": "a store", "star_count": 12, "is_official": True}
    results = json.dumps({"results": [found]}).encode()
    registry.answer = lambda exchange: exchange.reply(200, results) if exchange.seen.path == "/v1/search" else None
    assert hub.ok("search", "redis").splitlines()[1].split() == ["redis", "a", "store", "12", "[OK]"]


def test_docker_hub_says_how_many_pulls_are_left(hub: TestEngine, registry: PlayRegistry) -> None:
    counts = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600", "Retry-After": "3600"}
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}).encode()

    def answer(exchange: Exchange) -> None:
        if exchange.seen.path != "/v2/":
            exchange.reply(200 if "ratelimitpreview" in exchange.seen.path else 429, body, counts)

    registry.answer = answer
    failed = hub.pyke("pull", "redis")
    assert failed.status == 1
    assert "(0 of 100 pulls are left in 360 minutes)" in failed.stderr
