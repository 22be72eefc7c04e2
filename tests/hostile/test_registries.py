"""Registries that want credentials, want in, want all of the disk or of the time, or talk nonsense: refused, and nothing is left."""

from __future__ import annotations

import functools
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.testing import tricks
from pyke.testing.engine import Finished, TestEngine
from pyke.testing.images import configuration, layer
from pyke.testing.registry import CONFIG, INDEX, LAYER, MANIFEST, Exchange, PlayRegistry, digest_of

TINY = layer({"a": b"tiny"})
SETTINGS = {
    "registries": {"silence": 1, "attempts": 2},
    "archives": {"max_bytes": "64m", "max_ratio": 50},
}
SECRET = "correct-horse"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def warm(place: Path) -> Iterator[TestEngine]:
    (place / "root").mkdir()
    (place / "root" / "config.yaml").write_text(json.dumps(SETTINGS))
    with TestEngine(place / "root", {"HOME": str(place)}) as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "--network", "none", "busybox", "true")
        yield engine


@pytest.fixture
def engine(warm: TestEngine) -> Iterator[TestEngine]:
    """The engine, of which an attack may change nothing."""
    before = held(warm)
    yield warm
    started = time.monotonic()
    warm.ok("ps")
    assert time.monotonic() - started < 1.5
    warm.ok("image", "prune", "-f")
    assert held(warm) == before


def held(engine: TestEngine) -> set[str]:
    """What lies on the disk of images."""
    places = ("oci/blobs/sha256", "oci/partial", "oci/downloads", "overlay/layers", "overlay/staging")
    return {f"{place}/{name}" for place in places for name in _listed(Path(engine.layout.root, place))}


def _listed(path: Path) -> list[str]:
    return os.listdir(path) if path.exists() else []


@pytest.fixture
def registry() -> Iterator[PlayRegistry]:
    with PlayRegistry(users={"me": SECRET}) as registry:
        yield registry


@pytest.fixture
def evil() -> Iterator[PlayRegistry]:
    """Another server, which wants to hear something."""
    with PlayRegistry() as evil:
        yield evil


@pytest.fixture
def login(place: Path, registry: PlayRegistry) -> Iterator[None]:
    """The user has credentials for `registry`, and for nobody else."""
    (place / ".docker").mkdir(exist_ok=True)
    config = place / ".docker" / "config.json"
    config.write_text(json.dumps({"auths": {registry.host: {"username": "me", "password": SECRET}}}))
    yield
    config.unlink()


def refused(engine: TestEngine, registry: PlayRegistry, name: str = "app:1", *, within: float = 15.0) -> Finished:
    """A pull that must fail, in one line, soon, and without a word of the secret."""
    started = time.monotonic()
    done = engine.pyke("pull", f"{registry.host}/{name}")
    assert done.status == 1 and time.monotonic() - started < within, done
    assert done.stderr.startswith("pyke: ") and len(done.stderr) < 2000
    assert "defect" not in done.stderr and "Traceback" not in done.stderr and SECRET not in done.stderr + engine.log_tail(400)
    return done


def image(registry: PlayRegistry, blobs: list[tuple[bytes, dict[str, object]]], layers: list[bytes], tag: str = "1") -> str:
    """An image whose manifest says of its layers what it likes."""
    text = configuration(layers)
    described = [{"mediaType": LAYER, "digest": registry.put_blob("app", blob), "size": len(blob), **lies} for blob, lies in blobs]
    config = {"mediaType": CONFIG, "digest": registry.put_blob("app", text), "size": len(text)}
    return registry.put_manifest("app", tag, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described})


# credentials


@pytest.mark.parametrize("realm", ["http://localhost:{port}/token", "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/token"])
def test_a_token_server_elsewhere_gets_no_credentials(
    engine: TestEngine, registry: PlayRegistry, evil: PlayRegistry, login: None, realm: str
) -> None:
    registry.auth, registry.realm = "token", realm.format(port=evil.host.rpartition(":")[2])
    refused(engine, registry)
    assert not evil.requests


@pytest.mark.parametrize(
    "realm", ["http://169.254.169.254/latest/meta-data/", "http://100.100.100.200/", "file:///etc/shadow", "", "gopher://x/"]
)
def test_nothing_is_asked_of_metadata_even_without_credentials(engine: TestEngine, registry: PlayRegistry, realm: str) -> None:
    registry.auth, registry.realm = "token", realm or "nothing"
    refused(engine, registry)


def test_a_token_server_that_redirects_is_not_followed(engine: TestEngine, registry: PlayRegistry, evil: PlayRegistry, login: None) -> None:
    registry.auth = "token"
    registry.answer = lambda exchange: (
        exchange.reply(307, headers={"Location": f"{evil.url}/token"}) if exchange.seen.path == "/token" else None
    )
    refused(engine, registry)
    assert not evil.requests


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_redirect_takes_no_credentials_along(
    engine: TestEngine, registry: PlayRegistry, evil: PlayRegistry, login: None, auth: str
) -> None:
    registry.put_image("app", "1", [TINY])
    registry.auth = auth

    def elsewhere(exchange: Exchange) -> None:
        if "/v2/app/" in exchange.seen.path and exchange.seen.headers.get("authorization"):
            exchange.reply(302, headers={"Location": evil.url + exchange.seen.path})

    registry.answer = elsewhere
    refused(engine, registry)
    assert evil.requests and not any("authorization" in each.headers for each in evil.requests)


def test_a_look_alike_gets_no_credentials(engine: TestEngine, registry: PlayRegistry, login: None) -> None:
    registry.auth = "basic"
    port = registry.host.rpartition(":")[2]
    for name in (f"localhost:{port}", f"127.0.0.2:{port}", f"127.0.0.1:{port}0"):
        done = engine.pyke("pull", f"{name}/app:1")
        assert done.status == 1
    assert not any("authorization" in each.headers for each in registry.requests)


# documents


def _both(registry: PlayRegistry) -> None:
    document = json.loads(registry.manifests["app", registry.put_image("app", "1", [TINY])][1])
    registry.put_manifest("app", "1", {**document, "manifests": []})


def _other_than_pinned(registry: PlayRegistry) -> None:
    registry.put_image("app", "1", [TINY])
    _, content = registry.manifests["app", "1"]
    registry.manifests = {key: (MANIFEST, content + b" ") if ":" in key[1] else each for key, each in registry.manifests.items()}


def _nested(registry: PlayRegistry) -> None:
    digest, media_type = registry.put_image("app", "0", [TINY]), MANIFEST
    for depth in range(12):
        entry = {"mediaType": media_type, "digest": digest, "size": 1}
        digest, media_type = registry.put_manifest("app", str(depth + 1), {"schemaVersion": 2, "manifests": [entry]}, INDEX), INDEX
    registry.manifests["app", "1"] = registry.manifests["app", "12"]


def _fan_out(registry: PlayRegistry) -> None:
    entry = {"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1, "platform": {"os": "plan9", "architecture": "mips"}}
    registry.put_manifest("app", "1", {"schemaVersion": 2, "manifests": [entry] * 20_000}, INDEX)


def _many_layers(registry: PlayRegistry) -> None:
    image(registry, [(gzip.compress(TINY), {})] * 600, [TINY] * 600)


def _deep(registry: PlayRegistry) -> None:
    registry.put_manifest("app", "1", b'{"layers":' + b"[" * 200_000)


def _named(registry: PlayRegistry, digest: str) -> None:
    image(registry, [(gzip.compress(TINY), {"digest": digest})], [TINY])


DOCUMENTS: dict[str, Callable[[PlayRegistry], object]] = {
    "manifest and index at once": _both,
    "another than was asked for": _other_than_pinned,
    "indexes in indexes": _nested,
    "an index of nothing, often": _fan_out,
    "more layers than can be stacked": _many_layers,
    "deep": _deep,
    "no JSON": lambda registry: registry.put_manifest("app", "1", b"\xff\xfe"),
    "a list": lambda registry: registry.put_manifest("app", "1", b"[]"),
    "nothing": lambda registry: registry.put_manifest("app", "1", b"{}"),
    "of schema 1": lambda registry: registry.put_manifest("app", "1", b'{"schemaVersion":1,"fsLayers":[],"history":[]}'),
    "a path for a digest": lambda registry: _named(registry, "sha256:../../../../etc/passwd"),
    "another algorithm": lambda registry: _named(registry, "md5:" + "0" * 32),
    "upper case": lambda registry: _named(registry, "sha256:" + "A" * 64),
    "huge": lambda registry: registry.put_manifest("app", "1", b'{"a":"' + b" " * (5 << 20) + b'"}'),
    "a negative size": lambda registry: image(registry, [(gzip.compress(TINY), {"size": -1})], [TINY]),
    "a size beyond all": lambda registry: image(registry, [(gzip.compress(TINY), {"size": 1 << 62})], [TINY]),
    "a text for a size": lambda registry: image(registry, [(gzip.compress(TINY), {"size": "1"})], [TINY]),
    "fewer layers than its configuration": lambda registry: image(registry, [], [TINY]),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_that_lies_is_refused(engine: TestEngine, registry: PlayRegistry, case: str) -> None:
    DOCUMENTS[case](registry)
    refused(engine, registry)


def test_a_tag_that_changes_between_two_requests_gives_one_whole_image(warm: TestEngine, registry: PlayRegistry) -> None:
    first = registry.put_image("app", "changing", [layer({"a": b"first"})])

    def change(exchange: Exchange) -> None:
        if exchange.seen.method == "GET" and "/manifests/" in exchange.seen.path:
            registry.put_image("app", "changing", [layer({"a": b"second"})])

    registry.answer = change
    assert f"Digest: {first}" in warm.ok("pull", f"{registry.host}/app:changing")
    warm.ok("rmi", f"{registry.host}/app:changing")


def test_urls_of_foreign_layers_are_not_asked(warm: TestEngine, registry: PlayRegistry, evil: PlayRegistry) -> None:
    blob = gzip.compress(TINY)
    urls = {
        "urls": [f"{evil.url}/layer", "http://169.254.169.254/"],
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
    image(registry, [(blob, urls)], [TINY], tag="foreign")
    warm.ok("pull", f"{registry.host}/app:foreign")
    assert not evil.requests
    warm.ok("rmi", f"{registry.host}/app:foreign")


# layers


def test_other_content_of_the_right_size_is_refused(engine: TestEngine, registry: PlayRegistry) -> None:
    good, bad = gzip.compress(TINY, mtime=0), gzip.compress(TINY, mtime=1)
    image(registry, [(good, {})], [TINY])
    registry.blobs[digest_of(good)] = bad
    assert "filesystem layer verification failed for digest" in refused(engine, registry).stderr


def test_a_configuration_of_another_digest_is_refused(engine: TestEngine, registry: PlayRegistry) -> None:
    image(registry, [(gzip.compress(TINY), {})], [TINY])
    config = json.loads(registry.manifests["app", "1"][1])["config"]["digest"]
    registry.blobs[config] = registry.blobs[config].replace(b"sh", b"SH")
    assert "config verification failed" in refused(engine, registry).stderr


def test_a_layer_that_unpacks_to_another_is_refused(engine: TestEngine, registry: PlayRegistry) -> None:
    image(registry, [(gzip.compress(layer({"b": b"other"})), {})], [TINY])
    assert "has the content of" in refused(engine, registry).stderr


def test_a_bomb_does_not_go_off(engine: TestEngine, registry: PlayRegistry) -> None:
    bomb = layer({"zeros": bytes(200 << 20)})
    image(registry, [(gzip.compress(bomb, 1), {})], [bomb])
    assert "unpacks to more than" in refused(engine, registry).stderr


@pytest.mark.parametrize("what", ["layer", "config"])
def test_a_body_without_end_fills_no_disk(engine: TestEngine, registry: PlayRegistry, what: str) -> None:
    image(registry, [(gzip.compress(TINY), {})], [TINY])
    document = json.loads(registry.manifests["app", "1"][1])
    digest = document["config"]["digest"] if what == "config" else document["layers"][0]["digest"]

    registry.answer = functools.partial(tricks.endless, part=digest)
    refused(engine, registry)


@pytest.mark.parametrize("what", ["layer", "config", "manifest"])
def test_a_body_shorter_than_its_head_says_is_no_end(engine: TestEngine, registry: PlayRegistry, what: str) -> None:
    pinned = image(registry, [(gzip.compress(TINY), {})], [TINY])
    content = registry.manifests["app", pinned][1]
    document = json.loads(content)
    digest = {"layer": document["layers"][0]["digest"], "config": document["config"]["digest"], "manifest": pinned}[what]
    body = registry.blobs.get(digest, content)

    def shorter(exchange: Exchange) -> None:
        if digest in exchange.seen.path and exchange.seen.method == "GET":
            exchange.reply(200, body[:-1], {"Content-Type": MANIFEST}, length=len(body))
            exchange.cut()

    registry.answer = shorter
    assert "unexpected EOF" in refused(engine, registry).stderr
    registry.answer = None
    engine.ok("pull", f"{registry.host}/app:1")  # and what came is gone on with
    engine.ok("rmi", f"{registry.host}/app:1")


def test_a_layer_that_drips_is_given_up(engine: TestEngine, registry: PlayRegistry) -> None:
    image(registry, [(gzip.compress(TINY), {})], [TINY])
    digest = json.loads(registry.manifests["app", "1"][1])["layers"][0]["digest"]
    registry.answer = tricks.dripping(digest, 0.3)
    assert "bytes a second" in refused(engine, registry).stderr


# HTTP


def _raw(text: bytes) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        if exchange.seen.path != "/v2/":
            exchange.handler.wfile.write(text)
            exchange.cut()

    return answer


NONSENSE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(5000)) + b"\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nDocker-Content-Digest: x\r\n\r\n",
    "a digest that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDocker-Content-Digest: sha256:../../x\r\n\r\n",
    "a redirect to itself": b"HTTP/1.1 307 Go\r\nLocation: ?\r\nContent-Length: 0\r\n\r\n",
    "a chunk that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "a challenge without end": b'HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer realm="' + b"a" * 60_000 + b'"\r\n\r\n',
    "a challenge that is none": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Negotiate x\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_an_error_of_one_line(engine: TestEngine, registry: PlayRegistry, case: str) -> None:
    registry.answer = _raw(NONSENSE[case])
    refused(engine, registry)


def test_a_registry_s_words_move_no_cursor(engine: TestEngine, registry: PlayRegistry) -> None:
    words = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b[2J\x1b]0;owned\x07\r\nroot# " + "x" * 9000}]}).encode()
    registry.answer = lambda exchange: exchange.reply(403, words) if exchange.seen.path != "/v2/" else None
    done = refused(engine, registry)
    assert "\x1b" not in done.stderr and "\x07" not in done.stderr and "\r" not in done.stderr
