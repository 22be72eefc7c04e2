"""Workers and the circuit breaker."""

from __future__ import annotations

import threading
import time

import pytest

from pyke.plugins.deadlines import Breaker, LateCall, Workers


def test_threads_are_reused() -> None:
    workers = Workers()
    assert len({workers.run(threading.get_ident, 5) for _ in range(20)}) <= 2
    workers.close()


def test_a_late_call_does_not_keep_others() -> None:
    workers, release = Workers(), threading.Event()
    with pytest.raises(LateCall):
        workers.run(release.wait, 0.01)
    assert workers.run(lambda: "quick", 5) == "quick"
    release.set()
    workers.close()


def test_errors_of_every_kind_come_back() -> None:
    def leave() -> None:
        raise SystemExit(7)

    workers = Workers()
    with pytest.raises(SystemExit):
        workers.run(leave, 5)
    assert workers.run(lambda: 1, 5) == 1
    workers.close()


def test_idle_threads_end_when_closed() -> None:
    workers = Workers()
    thread = workers.run(threading.current_thread, 5)
    time.sleep(0.05)  # until it has gone back to the idle ones
    workers.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_breaker_opens_probes_once_and_closes_again() -> None:
    breaker = Breaker(threshold=2, pause=0.05)
    breaker.was_late()
    assert breaker.admits()
    breaker.was_late()
    assert not breaker.admits()
    assert 0 < breaker.wait_time() <= 0.05
    time.sleep(0.06)
    assert breaker.admits()  # the probe
    assert not breaker.admits()  # the others wait for its outcome
    breaker.answered()
    assert breaker.admits() and breaker.admits()
