"""What a worker does with what registry clients give it: each byte once, and nobody is waited for in vain."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyke.archive.limits import DEFAULT_LIMITS
from pyke.codec import to_data
from pyke.drivers import DriverHome
from pyke.engine.images.nursery import Nursery, Worker
from pyke.errors import PluginFailed, PykeError, RegistryFailed, RegistryUnavailable
from pyke.registries import RegistryEndpoint, Repository

MODULE = "clients"  # the file beside this one
SIZE = 3_000_000
DIGEST = "sha256:" + hashlib.sha256(bytes(SIZE)).hexdigest()
WAITING = ["Unopened", "Unheard", "Threaded", "Dripping"]


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(str(tmp_path_factory.mktemp("nursery") / "lock"))
    yield nursery
    nursery.close()


def job(directory: Path, *kinds: str, silence: float = 600, attempts: int = 3) -> dict[str, Any]:
    """A blob that no storage driver wants, of clients of these kinds."""
    home, repository = to_data(DriverHome(str(directory), "")), to_data(Repository(RegistryEndpoint("play"), "app"))
    return {
        "sources": [{"client": f"{MODULE}:{kind}", "home": home, "repository": repository} for kind in kinds],
        "digest": DIGEST,
        "size": SIZE,
        "path": str(directory / "blob"),
        "is_kept": False,
        "attempts": attempts,
        "silence": silence,
        "diff_id": DIGEST,
        "limits": to_data(DEFAULT_LIMITS),
        "storage": None,
    }


def ended(worker: Worker) -> None:
    """Listen until it has done what it was to do, or raise how it ended."""
    while "status" in worker.answer("the test", 60):
        pass


def fetch(nursery: Nursery, directory: Path, *kinds: str, silence: float = 600, attempts: int = 3) -> list[int]:
    """Fetch it, and return the bytes from which on it was asked for."""
    with nursery.worker("fetch", [MODULE], job(directory, *kinds, silence=silence, attempts=attempts)) as worker:
        ended(worker)
    assert (directory / "blob").read_bytes() == bytes(SIZE)
    return [int(line) for line in (directory / "offsets").read_text().split()]


def test_a_blob_is_fetched_in_one_piece(nursery: Nursery, tmp_path: Path) -> None:
    assert fetch(nursery, tmp_path, "Right") == [0]


def test_what_has_come_is_not_asked_for_again(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(500_000))
    begun = fetch(nursery, tmp_path, "Cut")
    assert begun[0] == 500_000 and len(begun) == 2 and begun[1] >= 1_000_000


@pytest.mark.parametrize("kind", ["Wrong", "TooMuch", "Text", "Leaving", "Ending", *WAITING])
def test_a_client_that_is_no_good_is_left_for_the_next(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    """Whatever is right of what it gave is kept. What it gave is known to be wrong only when all of it is there."""
    if kind == "Wrong":
        with pytest.raises(RegistryFailed, match="verification failed"):
            fetch(nursery, tmp_path, kind, "Right")
        assert not (tmp_path / "blob").exists()
    else:
        fetch(nursery, tmp_path, kind, "Right", silence=1, attempts=1)


@pytest.mark.parametrize("kind", WAITING)
def test_nobody_is_waited_for_in_vain(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    with pytest.raises(RegistryUnavailable, match="less than 1024 bytes a second"):
        fetch(nursery, tmp_path, kind, silence=0.5, attempts=2)


@pytest.mark.parametrize("kind", WAITING)
def test_an_engine_that_hangs_up_ends_every_wait(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    with nursery.worker("fetch", [MODULE], job(tmp_path, kind)) as worker:
        time.sleep(0.3)  # so that it does wait, most of the times
        worker.cancel()
        with pytest.raises(PykeError, match="context canceled"):
            ended(worker)


@pytest.mark.parametrize(("kind", "words"), [("TooMuch", "where at most [0-9]+ bytes"), ("Text", "gave 'text'"), ("Leaving", "had enough")])
def test_a_client_that_breaks_its_promise_is_named(nursery: Nursery, tmp_path: Path, kind: str, words: str) -> None:
    with pytest.raises(PluginFailed, match=words):
        fetch(nursery, tmp_path, kind)
