"""Waiting for the end and the removal of a container."""

import threading

import pytest

from pyke.engine.containers.waits import Exit, Waits
from pyke.errors import InvalidRequest


def test_an_end_releases_those_who_wait_for_it_and_no_others() -> None:
    waits = Waits()
    end, removal, other = waits.register("a", "next-exit"), waits.register("a", "removed"), waits.register("b", "next-exit")
    waits.exited("a", Exit(3))
    assert end.result(0) == Exit(3)
    assert removal.result(0) is None
    assert other.result(0) is None
    waits.removed("a", Exit(3))
    assert removal.result(0) == Exit(3)


def test_a_removal_releases_everybody() -> None:
    waits = Waits()
    waiting = [waits.register("a", condition) for condition in ("not-running", "next-exit", "removed")]
    waits.removed("a", Exit(0))
    assert [wait.result(0) for wait in waiting] == [Exit(0)] * 3


def test_who_cancels_is_released_and_forgotten() -> None:
    waits = Waits()
    wait = waits.register("a", "next-exit")
    thread = threading.Thread(target=wait.result)
    thread.start()
    wait.cancel()
    wait.cancel()
    thread.join(5)
    assert not thread.is_alive()
    waits.exited("a", Exit(1))
    assert wait.result(0) is None


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="invalid condition"):
        Waits().register("a", "bored")
