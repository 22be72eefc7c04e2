"""Loading from a pipe: layers are unpacked while they come, in whatever order and pieces, and what does not become an image is gone."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.images import busybox_tree, configuration, digest, layer, oci_archive
from pyke.testing.processes import layer_workers

NOISE = random.Random(7)
BUSYBOX = layer(busybox_tree())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[TestEngine]:
    with TestEngine(tmp_path / "root") as engine:
        engine.ok("ps")
        yield engine


def eventually(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def own_layer(size: int = 3_000_000) -> bytes:
    """A layer that nobody else has: some megabytes in many files."""
    return layer({f"file{number}": NOISE.randbytes(size // 30) for number in range(30)})


def members(layers: list[bytes], reference: str) -> dict[str, bytes]:
    """What `docker save` of Docker 20.10 puts into its archive, in its order."""
    text = configuration(layers)
    names = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": names}]
    return {**dict(zip(names, layers, strict=True)), "config.json": text, "manifest.json": json.dumps(manifest).encode()}


def archive(layers: list[bytes], reference: str, *, manifest_first: bool = False) -> bytes:
    found = members(layers, reference)
    return layer(dict(reversed(found.items())) if manifest_first else found)


def place(engine: TestEngine, *parts: str) -> set[str]:
    """The names in a directory of the storage driver or of the layout."""
    path = Path(engine.layout.root, *parts)
    return set(os.listdir(path)) if path.is_dir() else set()


def layers_of(engine: TestEngine) -> set[str]:
    return place(engine, "overlay", "layers")


def is_clean(engine: TestEngine) -> bool:
    """Nothing is there that no image needs."""
    unused = [place(engine, "overlay", name) for name in ("layers", "staging", "trash")]
    return not any(unused) and not place(engine, "oci", "partial") and not place(engine, "oci", "blobs", "sha256")


def send(client: subprocess.Popen[bytes], data: bytes) -> None:
    assert client.stdin is not None
    client.stdin.write(data)
    client.stdin.flush()


def workers(engine: TestEngine) -> set[int]:
    return layer_workers(engine.engine_pid())


@pytest.mark.parametrize("manifest_first", [False, True])
@pytest.mark.parametrize("pack", [bytes, lambda data: gzip.compress(data, 1)], ids=["plain", "gzip"])
def test_an_archive_comes_in_pieces_through_a_pipe(engine: TestEngine, manifest_first: bool, pack: Callable[[bytes], bytes]) -> None:
    data = pack(archive([BUSYBOX, own_layer(), layer({"greeting": b"hello"})], "pieces:1", manifest_first=manifest_first))
    client = engine.start("load")
    for start in range(0, len(data), 50_001):
        send(client, data[start : start + 50_001])
    output, errors = client.communicate(timeout=120)
    assert (client.returncode, output) == (0, b"Loaded image: pieces:1\n"), errors
    assert engine.ok("run", "--rm", "--network", "none", "pieces:1", "cat", "/greeting") == "hello"
    assert len(layers_of(engine)) == 3


def test_compressed_layers_of_an_oci_layout_come_through_a_pipe(engine: TestEngine) -> None:
    client = engine.start("load")
    output, errors = client.communicate(oci_archive(["oci/app:1"], [BUSYBOX, own_layer()]), timeout=120)
    assert (client.returncode, output) == (0, b"Loaded image: oci/app:1\n"), errors
    assert engine.ok("run", "--rm", "--network", "none", "oci/app:1", "ls", "/").count("file") == 30
    assert len(layers_of(engine)) == 2


def test_a_layer_is_unpacked_before_the_archive_has_ended(engine: TestEngine) -> None:
    first = own_layer()
    data = archive([first, own_layer()], "ahead:1")
    cut = len(first) + 2_000_000  # the command and the connection hold some of it back
    client = engine.start("load")
    send(client, data[:cut])
    eventually(lambda: len(layers_of(engine)) == 1)
    early = Path(engine.layout.root, "overlay", "layers", *layers_of(engine))
    assert early.name != digest(first)[7:]
    inode = (early / "diff" / "file0").stat().st_ino
    client.communicate(data[cut:], timeout=120)
    assert client.returncode == 0
    named = Path(engine.layout.root, "overlay", "layers", digest(first)[7:])
    assert (named / "diff" / "file0").stat().st_ino == inode, "the layer was unpacked anew"
    assert len(layers_of(engine)) == 2 and early.name not in layers_of(engine)


def test_an_archive_that_is_cut_short_leaves_nothing(engine: TestEngine) -> None:
    data = archive([own_layer(), own_layer()], "cut:1")
    client = engine.start("load")
    send(client, data[: len(data) * 2 // 3])
    eventually(lambda: layers_of(engine))
    _, errors = client.communicate(timeout=120)
    assert client.returncode == 1 and b"ends" in errors
    eventually(lambda: is_clean(engine) and not workers(engine))


def test_a_client_that_is_killed_leaves_nothing(engine: TestEngine) -> None:
    data = archive([own_layer(), own_layer()], "killed:1")
    client = engine.start("load")
    send(client, data[: len(data) * 2 // 3])
    eventually(lambda: layers_of(engine))
    client.kill()
    client.communicate(timeout=60)
    eventually(lambda: is_clean(engine) and not workers(engine))


def test_an_engine_that_is_killed_leaves_nothing_to_the_next(engine: TestEngine) -> None:
    data = archive([own_layer(), own_layer()], "crash:1")
    client = engine.start("load")
    send(client, data[: len(data) * 2 // 3])
    eventually(lambda: layers_of(engine))
    engine.stop(signal.SIGKILL)
    client.kill()
    client.communicate(timeout=60)
    engine.ok("images")
    eventually(lambda: is_clean(engine))
    assert engine.pyke("image", "inspect", "crash:1").status == 1


def test_a_worker_that_is_killed_costs_only_time(engine: TestEngine) -> None:
    data = archive([BUSYBOX, own_layer()], "worker:1")
    cut = len(data) - 1_000_000
    client = engine.start("load")
    send(client, data[:cut])
    eventually(lambda: len(layers_of(engine)) == 1 and len(workers(engine)) == 1)
    os.kill(workers(engine).pop(), signal.SIGKILL)
    output, errors = client.communicate(data[cut:], timeout=120)
    assert (client.returncode, output) == (0, b"Loaded image: worker:1\n"), errors
    assert engine.ok("run", "--rm", "--network", "none", "worker:1", "ls", "/").count("file") == 30
    assert len(layers_of(engine)) == 2
    eventually(lambda: not place(engine, "overlay", "staging") and not place(engine, "overlay", "trash"))


def test_a_client_that_stops_in_the_middle_keeps_nobody_waiting(engine: TestEngine) -> None:
    data = archive([own_layer()], "stopped:1")
    clients = [engine.start("load") for _ in range(3)]
    for client in clients:
        send(client, data[:2_500_000])
    eventually(lambda: len(workers(engine)) == 2)
    output, errors = engine.start("load").communicate(archive([BUSYBOX, own_layer()], "other:1"), timeout=120)
    assert output == b"Loaded image: other:1\n", errors
    for client in clients:
        output, errors = client.communicate(data[2_500_000:], timeout=120)
        assert output == b"Loaded image: stopped:1\n", errors
    assert len(layers_of(engine)) == 3
    eventually(lambda: not place(engine, "overlay", "staging") and not place(engine, "overlay", "trash"))


def test_what_only_looks_like_a_layer_is_removed(engine: TestEngine) -> None:
    found = members([BUSYBOX], "looks:1")
    decoys = {
        "a/layer.tar": own_layer(),
        "b/layer.tar": b"no tar at all" * 1000,
        "c/layer.tar": layer({"../escape": b""}),
        "d/layer.tar": b"",
    }
    client = engine.start("load")
    output, errors = client.communicate(layer({**decoys, **found}), timeout=120)
    assert (client.returncode, output) == (0, b"Loaded image: looks:1\n"), errors
    assert layers_of(engine) == {digest(BUSYBOX)[7:]}
    eventually(lambda: not place(engine, "overlay", "trash") and not place(engine, "overlay", "staging"))


def test_a_layer_that_cannot_be_unpacked_is_told_of_as_ever(engine: TestEngine) -> None:
    client = engine.start("load")
    _, errors = client.communicate(archive([own_layer(), layer({"../escape": b""})], "bad:1"), timeout=120)
    assert client.returncode == 1 and b"leads out of the archive" in errors
    eventually(lambda: is_clean(engine))


def test_an_image_that_is_here_is_not_unpacked_again(engine: TestEngine) -> None:
    data = archive([BUSYBOX, own_layer()], "twice:1")
    for _ in range(2):
        client = engine.start("load")
        output, _ = client.communicate(data, timeout=120)
        assert output == b"Loaded image: twice:1\n"
    client = engine.start("load")
    cut = len(data) - 2000
    send(client, data[:cut])
    client.communicate(data[cut:], timeout=120)
    assert len(layers_of(engine)) == 2 and not place(engine, "overlay", "trash")
