"""Pulling: from registries that behave and from such that do not, each byte once, each image whole."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.engine.images.platforms import architecture
from pyke.testing.engine import TestEngine
from pyke.testing.images import busybox_tree, executable, layer
from pyke.testing.patience import eventually
from pyke.testing.registry import INDEX, MANIFEST, Exchange, PlayRegistry
from pyke.testing.tricks import cutting

BUSYBOX = layer(busybox_tree())
NOISE = random.Random(4)  # the same noise each time, which no compression makes smaller


def noise(size: int) -> bytes:
    return NOISE.randbytes(size)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """One engine for all tests here: each pulls images of its own."""
    directory = tmp_path_factory.mktemp("pull")
    (directory / "root").mkdir()
    (directory / "root" / "config.yaml").write_text("registries: {silence: 2}\n")
    with TestEngine(directory / "root", {"HOME": str(directory)}) as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "--network", "none", "busybox", "true")  # its processes are there before the first test is looked at
        yield engine


@pytest.fixture
def registry() -> Iterator[PlayRegistry]:
    with PlayRegistry() as registry:
        yield registry


def stored(engine: TestEngine) -> dict[str, bytes]:
    """All blobs of the engine, by the names under which they lie."""
    place = Path(engine.layout.content, "blobs", "sha256")
    return {path.name: path.read_bytes() for path in place.iterdir()}


def assert_whole(engine: TestEngine) -> None:
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in stored(engine).items())


def test_an_absent_image_is_pulled_and_run(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("team/app", "latest", [BUSYBOX, layer({"greeting": b"hello"})])
    done = shared.pyke("run", "--rm", "--network", "none", f"{registry.host}/team/app", "cat", "/greeting")
    assert (done.status, done.stdout) == (0, "hello")
    lines = done.stderr.splitlines()
    assert lines[0] == f"Unable to find image '{registry.host}/team/app:latest' locally"
    assert lines[1] == "latest: Pulling from team/app"
    assert lines[-1] == f"Status: Downloaded newer image for {registry.host}/team/app:latest"
    assert sum(line.endswith(": Pull complete") for line in lines) == 2


def test_what_is_up_to_date_costs_one_head(shared: TestEngine, registry: PlayRegistry) -> None:
    digest = registry.put_image("app", "1", [layer({"a": noise(100)})])
    shared.ok("pull", f"{registry.host}/app:1")
    registry.requests.clear()
    lines = shared.ok("pull", f"{registry.host}/app:1").splitlines()
    assert [(each.method, each.path) for each in registry.requests] == [("HEAD", "/v2/app/manifests/1")]
    assert lines == [
        "1: Pulling from app",
        f"Digest: {digest}",
        f"Status: Image is up to date for {registry.host}/app:1",
        f"{registry.host}/app:1",
    ]


def test_shared_layers_are_fetched_once(shared: TestEngine, registry: PlayRegistry) -> None:
    base = layer({"base": noise(1000)})
    registry.put_image("one", "1", [base, layer({"one": noise(10)})])
    registry.put_image("two", "1", [base, layer({"two": noise(10)})])
    shared.ok("pull", f"{registry.host}/one:1")
    registry.requests.clear()
    assert ": Already exists" in shared.ok("pull", f"{registry.host}/two:1")
    assert registry.count("GET", "/blobs/") == 2  # the configuration, and the layer that is new


def test_two_pulls_do_the_work_once(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "twice", [layer({"a": noise(3_000_000)}), layer({"b": noise(2_000_000)})])
    registry.answer = lambda exchange: time.sleep(0.3) if "/blobs/" in exchange.seen.path else None
    pulls = [shared.start("pull", f"{registry.host}/app:twice") for _ in range(3)]
    assert [pull.wait(60) for pull in pulls] == [0, 0, 0]
    for pull in pulls:
        pull.communicate()
    layers = [each["digest"] for each in json.loads(registry.manifests["app", "twice"][1])["layers"]]
    assert [registry.count("GET", digest) for digest in layers] == [1, 1]


def test_a_link_that_breaks_twenty_times_costs_no_byte_twice(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "cut", [layer({"a": noise(4_000_000)})])
    registry.answer = cutting(registry, 190_000, 20)
    shared.ok("pull", f"{registry.host}/app:cut")
    (blob,) = (each for each in registry.blobs.values() if len(each) > 1_000_000)
    config = sum(len(each) for each in registry.blobs.values()) - len(blob)
    assert registry.sent == len(blob) + config
    assert_whole(shared)


def test_a_new_engine_goes_on_where_the_last_one_was_killed(engine: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "killed", [layer({"a": noise(3_000_000)}), layer({"b": noise(100)})])
    registry.answer = _holding(registry, 1_000_000)
    pull = engine.start("pull", f"{registry.host}/app:killed")
    partial = Path(engine.layout.content, "downloads")
    eventually(lambda: partial.is_dir() and sum(path.stat().st_size for path in partial.iterdir()) >= 900_000)
    engine.stop(signal.SIGKILL)
    assert pull.wait(30) != 0
    pull.communicate()
    come = max(path.stat().st_size for path in partial.iterdir())
    registry.answer = None
    registry.requests.clear()
    engine.ok("pull", f"{registry.host}/app:killed")
    ranges = [each.headers["range"] for each in registry.requests if "range" in each.headers]
    assert ranges == [f"bytes={come}-"]
    assert not list(partial.iterdir())
    assert_whole(engine)


def test_twenty_cuts_and_two_killed_engines_cost_no_byte_twice(engine: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "worse", [layer({"a": noise(4_000_000)})])
    digest, blob = max(registry.blobs.items(), key=lambda each: len(each[1]))
    cut, sent, requests = cutting(registry, 190_000, 20), 0, 0

    def answer(exchange: Exchange) -> None:
        nonlocal sent, requests
        if digest not in exchange.seen.path or exchange.seen.method != "GET":
            return
        requests += 1
        if requests in (7, 15):
            engine.stop(signal.SIGKILL)
            exchange.cut()
            return
        before = registry.sent
        cut(exchange)
        sent += registry.sent - before if exchange.is_answered else len(blob) - _start(exchange)

    registry.answer = answer
    statuses = []
    while not statuses or (statuses[-1] and len(statuses) < 5):
        statuses.append(engine.pyke("pull", f"{registry.host}/app:worse").status)
    assert statuses == [1, 1, 0]
    assert (requests, sent) == (23, len(blob)), "20 that were cut, 2 that killed an engine, and the last"
    assert_whole(engine)


def test_a_silent_registry_is_asked_again(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "silent", [layer({"a": noise(500_000)})])
    registry.answer = _holding(registry, 100_000, times=1, seconds=4)
    started = time.monotonic()
    shared.ok("pull", f"{registry.host}/app:silent")
    assert 2 < time.monotonic() - started < 20


def test_a_client_that_hangs_up_ends_its_pull(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "left", [layer({"a": noise(2_000_000)})])
    registry.answer = _holding(registry, 500_000)
    pull = shared.start("pull", f"{registry.host}/app:left")
    partial = Path(shared.layout.content, "downloads")
    eventually(lambda: partial.is_dir() and sum(path.stat().st_size for path in partial.iterdir()) >= 400_000)
    pull.kill()
    pull.communicate()
    eventually(lambda: not _fetchers(shared))
    assert shared.pyke("image", "inspect", f"{registry.host}/app:left").status == 1
    assert "Total reclaimed space: 5" in shared.ok("image", "prune", "-f")
    assert not list(partial.iterdir())


def test_a_pull_that_fails_leaves_nothing(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("app", "lost", [layer({"a": noise(1000)}), layer({"b": noise(1000)})])
    lost = json.loads(registry.manifests["app", "lost"][1])["layers"][1]["digest"]
    registry.repositories["app"].remove(lost)
    before = set(stored(shared)), set(os.listdir(Path(shared.layout.root, "overlay", "layers")))
    failed = shared.pyke("pull", f"{registry.host}/app:lost")
    assert failed.status == 1 and "blob unknown" in failed.stderr
    assert before == (set(stored(shared)), set(os.listdir(Path(shared.layout.root, "overlay", "layers"))))
    shared.ok("image", "prune", "-f")


@pytest.mark.parametrize(("asked", "chosen"), [("", "native"), ("linux/arm/v7", "seven"), ("linux/arm/v8", "eight"), ("linux/arm/v6", "")])
def test_an_index_has_one_for_each_platform(shared: TestEngine, registry: PlayRegistry, asked: str, chosen: str) -> None:
    offered = {"native": (architecture(), ""), "seven": ("arm", "v7"), "eight": ("arm", "v8"), "five": ("mips", "")}
    entries = []
    for name, (machine, variant) in offered.items():
        kept = {"architecture": machine} | ({"variant": variant} if variant else {})
        digest = registry.put_image("many", name, [layer({"name": name.encode(), "noise": asked.encode()})], {}, **kept)
        entries.append({"mediaType": MANIFEST, "digest": digest, "size": 500, "platform": {"os": "linux", **kept}})
    digest = registry.put_manifest("many", "all", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    done = shared.pyke("pull", "--platform", asked, f"{registry.host}/many:all")
    if not chosen:
        assert done.status == 1
        assert "no matching manifest for linux/arm/v6 in the manifest list entries" in done.stderr
        return
    found = json.loads(shared.ok("image", "inspect", f"{registry.host}/many:all"))[0]
    assert (found["Architecture"], found.get("Variant", "")) == offered[chosen]
    assert found["RepoDigests"] == [f"{registry.host}/many@{digest}"]


def test_all_tags_of_a_repository(shared: TestEngine, registry: PlayRegistry) -> None:
    for tag in ("1", "2", "3"):
        registry.put_image("all", tag, [layer({"tag": tag.encode()})])
    shared.ok("pull", "--all-tags", f"{registry.host}/all")
    assert sorted(shared.ok("images", f"{registry.host}/all", "--format", "{{.Tag}}").splitlines()) == ["1", "2", "3"]


def test_a_digest_is_pinned(shared: TestEngine, registry: PlayRegistry) -> None:
    digest = registry.put_image("pin", "1", [layer({"a": b"1"})])
    registry.put_image("pin", "1", [layer({"a": b"2"})])
    shared.ok("pull", f"{registry.host}/pin@{digest}")
    assert shared.ok("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", f"{registry.host}/pin") == f"<none> {digest}"


def test_a_tag_that_moves_leaves_the_old_image_without_it(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("moves", "1", [layer({"a": b"old"})])
    shared.ok("pull", f"{registry.host}/moves:1")
    registry.put_image("moves", "1", [layer({"a": b"new"})])
    assert "Downloaded newer image" in shared.ok("pull", f"{registry.host}/moves:1")
    assert sorted(shared.ok("images", "--format", "{{.Tag}}", f"{registry.host}/moves").splitlines()) == ["1", "<none>"]


def test_what_is_not_there_is_told_in_one_line(shared: TestEngine, registry: PlayRegistry) -> None:
    failed = shared.pyke("pull", f"{registry.host}/nosuch:1")
    assert failed.status == 1
    assert failed.stderr == f"pyke: manifest for {registry.host}/nosuch:1 not found: manifest unknown: manifest unknown\n"


def test_a_registry_that_counts_says_how_long_to_wait(shared: TestEngine, registry: PlayRegistry) -> None:
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}).encode()
    registry.answer = lambda exchange: exchange.reply(429, body, {"Retry-After": "3600"}) if exchange.seen.path != "/v2/" else None
    started = time.monotonic()
    failed = shared.pyke("pull", f"{registry.host}/app:1")
    assert failed.status == 1 and time.monotonic() - started < 5
    assert "wait 3600 s" in failed.stderr


def test_an_executable_arrives_executable(shared: TestEngine, registry: PlayRegistry) -> None:
    registry.put_image("exec", "1", [BUSYBOX, layer({"run": executable(b"#!/bin/sh\necho ran\n")})])
    assert shared.ok("run", "--rm", "--network", "none", "--quiet", f"{registry.host}/exec:1", "/run") == "ran"


def _start(exchange: Exchange) -> int:
    """The first byte that is asked for."""
    return int(exchange.seen.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def _holding(registry: PlayRegistry, size: int, times: int = 1000, seconds: float = 1.5) -> Callable[[Exchange], None]:
    """Send so many bytes of a large blob, and then nothing more for a while."""
    left = [times]

    def answer(exchange: Exchange) -> None:
        name = exchange.seen.path.rpartition("/")[2]
        if exchange.seen.method != "GET" or len(registry.blobs.get(name, b"")) < 2 * size or not left[0]:
            return
        left[0] -= 1
        content = registry.blobs[name]
        exchange.reply(200, content[:size], length=len(content))
        exchange.handler.wfile.flush()
        time.sleep(seconds)
        exchange.cut()

    return answer


def _fetchers(engine: TestEngine) -> list[str]:
    """Processes that fetch for this engine: forked by the one among its children that does nothing else."""
    return [worker for child in _children(str(engine.engine_pid())) if _is_nursery(child) for worker in _children(child)]


def _is_nursery(pid: str) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and b"pyke.engine.images.worker" in command.read_bytes()


def _children(pid: str) -> list[str]:
    tasks = Path(f"/proc/{pid}/task")
    return [child for path in tasks.glob("*/children") for child in path.read_text().split()]
