"""Many pulls at once, removals meanwhile, an engine that is killed twice: what is listed is whole, and nothing else is there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path

from pyke.testing.engine import TestEngine
from pyke.testing.images import layer
from pyke.testing.registry import PlayRegistry

IMAGES = 10
NOISE = random.Random(7)


def test_a_storm_leaves_whole_images_and_nothing_else(engine: TestEngine) -> None:
    with PlayRegistry() as registry:
        base = [layer({f"base{number}": NOISE.randbytes(400_000)}) for number in range(3)]
        for number in range(IMAGES):
            registry.put_image("storm", str(number), [*base, layer({f"own{number}": NOISE.randbytes(300_000)})])
        names = [f"{registry.host}/storm:{number}" for number in range(IMAGES)]
        engine.ok("pull", "-q", names[0])
        for kill in (True, True, False):
            pulls = [engine.start("pull", "-q", name) for name in names]
            for name in names[:3]:
                engine.pyke("rmi", "-f", name)
                engine.pyke("image", "prune", "-af") if name == names[1] else engine.pyke("image", "prune", "-f")
            if kill:
                engine.stop(signal.SIGKILL)
            _wait(pulls)
        for name in names:
            engine.ok("pull", "-q", name)
    _assert_whole(engine, IMAGES)
    engine.ok("rmi", *names)
    _assert_whole(engine, 0)


def _wait(pulls: list[subprocess.Popen[bytes]]) -> None:
    for pull in pulls:
        pull.communicate(timeout=120)


def _assert_whole(engine: TestEngine, count: int) -> None:
    """Every blob is what its name says, each is needed, and layers and blobs are those of the images."""
    ids = engine.ok("images", "-q", "--no-trunc").split()
    assert len(ids) == count
    images = json.loads(engine.ok("image", "inspect", *ids)) if ids else []
    content = Path(engine.layout.content)
    blobs = {path.name: path.read_bytes() for path in (content / "blobs" / "sha256").iterdir()}
    assert all(hashlib.sha256(text).hexdigest() == name for name, text in blobs.items())
    index = json.loads((content / "index.json").read_text())
    manifests = [each["digest"].partition(":")[2] for each in index["manifests"]]
    documents = [json.loads(blobs[each]) for each in manifests]
    needed = {*manifests, *(each["config"]["digest"][7:] for each in documents)}
    needed |= {described["digest"][7:] for each in documents for described in each["layers"]}
    assert set(blobs) == needed
    layers = {tuple(image["RootFS"]["Layers"][: depth + 1]) for image in images for depth in range(len(image["RootFS"]["Layers"]))}
    assert len(os.listdir(Path(engine.layout.root, "overlay", "layers"))) == len(layers)
    for place in ("oci/partial", "oci/downloads", "overlay/staging"):
        path = Path(engine.layout.root, place)
        assert not path.exists() or not os.listdir(path), place
