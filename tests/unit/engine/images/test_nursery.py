"""Processes that are forked for one job each: they answer, give up, die, and leave, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyke.archive.limits import DEFAULT_LIMITS
from pyke.codec import to_data
from pyke.drivers import DriverHome, LayerRequest
from pyke.engine.images.nursery import Nursery
from pyke.errors import BadArchive, PluginFailed, PykeError
from pyke.testing import processes
from pyke.testing.images import layer

DRIVER = "stores"  # the file beside this one
LAYER = layer({"a": b"x" * 1000})


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    nursery = Nursery(str(tmp_path / "lock"))
    yield nursery
    nursery.close()
    eventually(lambda: not children())  # a worker that has said all may need a moment to end


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(LAYER)
    return path


def children() -> list[int]:
    """The nurseries of this process."""
    return [pid for pid in processes.children(os.getpid()) if b"pyke.engine.images.worker" in command(pid)]


def command(pid: int) -> bytes:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def job(blob: Path, kind: str = "Counting") -> dict[str, Any]:
    request = LayerRequest("sha256:" + hashlib.sha256(LAYER).hexdigest())
    storage = {"driver": f"{DRIVER}:{kind}", "home": to_data(DriverHome(str(blob.parent), "")), "layer": to_data(request)}
    return {"storage": storage, "blob": str(blob), "diff_id": request.chain_id, "limits": to_data(DEFAULT_LIMITS)}


def unpacked(nursery: Nursery, blob: Path, kind: str = "Counting", seconds: float = 60.0) -> int:
    with nursery.worker("unpack", [DRIVER], job(blob, kind)) as worker:
        return int(worker.answer("the test", seconds)["size"])


def test_a_job_is_answered_by_a_process_of_its_own(nursery: Nursery, blob: Path) -> None:
    assert [unpacked(nursery, blob) for _ in range(3)] == [len(LAYER)] * 3
    assert len(children()) == 1
    assert len(set((blob.parent / "pids").read_text().split())) == 3


def test_jobs_are_done_at_the_same_time(nursery: Nursery, blob: Path) -> None:
    with nursery.worker("unpack", [], job(blob, "Waiting")) as first, nursery.worker("unpack", [], job(blob, "Waiting")) as second:
        eventually(lambda: len((blob.parent / "pids").read_text().split()) == 2 if (blob.parent / "pids").exists() else False)
        (blob.parent / "go").touch()
        assert first.answer("the test")["size"] == second.answer("the test")["size"] == len(LAYER)


def test_an_error_is_raised_as_what_it_was(nursery: Nursery, blob: Path) -> None:
    with pytest.raises(BadArchive, match="own words"):
        unpacked(nursery, blob, "Refusing")
    with pytest.raises(PluginFailed, match="ZeroDivisionError"):
        unpacked(nursery, blob, "Failing")
    with pytest.raises(PluginFailed, match=r"has no attribute"):
        unpacked(nursery, blob, "Nobody")


def test_a_worker_that_dies_is_told_of_and_the_next_one_works(nursery: Nursery, blob: Path) -> None:
    with pytest.raises(PluginFailed, match="died"):
        unpacked(nursery, blob, "Dying")
    assert unpacked(nursery, blob) == len(LAYER)


def test_a_worker_that_is_late_is_killed(nursery: Nursery, blob: Path) -> None:
    with pytest.raises(TimeoutError):
        unpacked(nursery, blob, "Waiting", 0.5)
    eventually(lambda: (blob.parent / "pids").exists() and not alive(int((blob.parent / "pids").read_text())))


def test_a_nursery_that_was_killed_is_started_anew(nursery: Nursery, blob: Path) -> None:
    assert unpacked(nursery, blob) == len(LAYER)
    os.kill(children()[0], signal.SIGKILL)
    assert unpacked(nursery, blob) == len(LAYER)


def test_the_workers_of_a_nursery_that_is_gone_are_not_met_again(nursery: Nursery, blob: Path) -> None:
    with nursery.worker("unpack", [], job(blob, "Waiting")):
        eventually((blob.parent / "pids").exists)
        os.kill(int((blob.parent / "pids").read_text()), signal.SIGSTOP)
        os.kill(children()[0], signal.SIGKILL)
        Nursery(str(blob.parent / "lock")).await_orphans()
        assert not alive(int((blob.parent / "pids").read_text()))


def test_a_nursery_without_jobs_leaves_and_comes_back(blob: Path) -> None:
    nursery = Nursery(str(blob.parent / "lock"), idle=0.1)
    for _ in range(2):
        assert unpacked(nursery, blob) == len(LAYER)
        eventually(lambda: not children())


def test_a_nursery_is_not_left_while_a_job_is_done(blob: Path) -> None:
    nursery = Nursery(str(blob.parent / "lock"), idle=0.05)
    threading.Timer(0.5, (blob.parent / "go").touch).start()
    assert unpacked(nursery, blob, "Waiting") == len(LAYER)
    nursery.close()


def test_a_module_that_does_not_import_is_the_jobs_own_matter(nursery: Nursery, blob: Path) -> None:
    with nursery.worker("unpack", ["no.such.module"], job(blob)) as worker:
        assert worker.answer("the test")["size"] == len(LAYER)


def test_what_is_no_pyke_error_of_its_own_is_the_nearest_that_is_known(nursery: Nursery, blob: Path) -> None:
    with pytest.raises(PykeError) as caught:
        unpacked(nursery, blob, "Special")
    assert type(caught.value) is BadArchive


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
