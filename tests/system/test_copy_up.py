"""What an image has where an empty volume is mounted becomes the volume's first content, as Docker has it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.images import Node, busybox_tree, directory, docker_archive, layer, symbolic_link
from pyke.testing.patience import eventually

TREE = {
    "srv/app": directory(0o2750, uid=7, gid=8),
    "srv/app/file": Node(content=b"of the image", mode=0o640, uid=9, gid=10),
    "srv/app/link": symbolic_link("/etc/passwd"),
    "srv/app/deep": directory(0o700),
    "srv/app/deep/er": b"x",
    "opt/there": symbolic_link("/srv/app"),
}
BIG = {"big": directory(), **{f"big/{number}": os.urandom(1 << 20) for number in range(60)}}
LOOK = "stat -c '%n %a %u %g' . file deep deep/er; readlink link; cat file"
SEEN = ". 2750 7 8\nfile 640 9 10\ndeep 700 0 0\ndeep/er 644 0 0\n/etc/passwd\nof the image"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    place = tmp_path_factory.mktemp("filled")
    base = layer(busybox_tree())
    with TestEngine(place / "root") as engine:
        for name, config in (("filled", {}), ("declared", {"Volumes": {"/srv/app": {}}})):
            (place / "archive.tar").write_bytes(docker_archive([name], [base, layer(TREE)], config))
            engine.ok("load", "-i", str(place / "archive.tar"))
        engine.ok("run", "--rm", "--network", "none", "filled", "true")
        yield engine


@pytest.fixture
def engine(shared: TestEngine) -> Iterator[TestEngine]:
    yield shared
    shared.empty()


def ran(engine: TestEngine, *words: str) -> str:
    return engine.ok("run", "--rm", "--network", "none", *words)


def test_a_named_volume_takes_over_the_image_s_content(engine: TestEngine) -> None:
    assert ran(engine, "-v", "data:/srv/app", "-w", "/srv/app", "filled", "sh", "-c", LOOK) == SEEN
    ran(engine, "-v", "data:/mnt", "filled", "sh", "-c", "rm -r /mnt/deep; echo mine > /mnt/file")
    assert ran(engine, "-v", "data:/srv/app", "filled", "sh", "-c", "ls /srv/app; cat /srv/app/file") == "file\nlink\nmine"


def test_an_anonymous_volume_does_too(engine: TestEngine) -> None:
    for words in (["declared"], ["-v", "/srv/app", "filled"], ["--mount", "type=volume,target=/srv/app", "filled"]):
        assert ran(engine, "-w", "/srv/app", *words, "sh", "-c", LOOK) == SEEN


def test_it_is_there_when_the_container_is_created(engine: TestEngine) -> None:
    engine.ok("create", "--name", "box", "-v", "data:/srv/app", "filled", "true")
    place = Path(engine.ok("volume", "inspect", "-f", "{{.Mountpoint}}", "data"))
    assert sorted(each.name for each in place.iterdir()) == ["deep", "file", "link"]


def test_a_link_to_the_place_is_followed_in_the_image_alone(engine: TestEngine) -> None:
    assert ran(engine, "-v", "data:/opt/there", "filled", "cat", "/srv/app/file") == "of the image"


@pytest.mark.parametrize("words", [["-v", "data:/srv/app:nocopy"], ["--mount", "type=volume,source=data,target=/srv/app,volume-nocopy"]])
def test_nothing_is_copied_where_that_is_said(engine: TestEngine, words: list[str]) -> None:
    assert ran(engine, *words, "filled", "ls", "/srv/app") == ""


def test_what_is_not_an_empty_volume_stays_as_it_is(engine: TestEngine, tmp_path: Path) -> None:
    ran(engine, "-v", "data:/mnt", "filled", "touch", "/mnt/own")
    assert ran(engine, "-v", "data:/srv/app", "filled", "ls", "/srv/app") == "own"
    (tmp_path / "bound").mkdir()
    assert ran(engine, "-v", f"{tmp_path}/bound:/srv/app", "filled", "ls", "/srv/app") == ""
    assert ran(engine, "-v", "new:/nowhere/at/all", "filled", "ls", "/nowhere/at/all") == ""


def test_volumes_from_another_go_before_those_of_the_image_and_are_not_filled(engine: TestEngine) -> None:
    engine.ok("create", "--name", "first", "-v", "data:/srv/app:nocopy", "filled", "true")
    assert ran(engine, "--volumes-from", "first", "declared", "ls", "/srv/app") == ""
    assert engine.ok("volume", "ls", "-q") == "data"


def test_a_copy_that_was_cut_off_is_taken_back_and_made_anew(tmp_path: Path) -> None:
    """Half of it would count as content for ever."""
    archive = tmp_path / "big.tar"
    archive.write_bytes(docker_archive(["big"], [layer(busybox_tree()), layer(BIG)]))
    with TestEngine(tmp_path / "root") as engine:
        engine.ok("load", "-i", str(archive))
        engine.ok("volume", "create", "data")
        place = Path(engine.ok("volume", "inspect", "-f", "{{.Mountpoint}}", "data"))
        for _ in range(3):
            creating = engine.start("create", "--name", "box", "-v", "data:/big", "big", "true")
            while not list(place.iterdir()) and creating.poll() is None:
                time.sleep(0.001)
            engine.stop(signal.SIGKILL)
            creating.communicate(timeout=60)  # which may have asked the next engine once more, and been served
            engine.pyke("rm", "-f", "box")
            eventually(lambda: len(list(place.iterdir())) in (0, 60), "all of it or nothing")
        assert ran(engine, "-v", "data:/big", "big", "sh", "-c", "ls /big | wc -l") == "60"
