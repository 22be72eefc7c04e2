"""A start waits for the clients that were told they are attached."""

from __future__ import annotations

import threading
import time

from pyke.engine.containers.arrivals import Arrivals


def test_a_start_waits_for_all_who_are_on_the_way() -> None:
    arrivals, started = Arrivals(), threading.Event()

    def start() -> None:
        arrivals.wait("c1", patience=5)
        started.set()

    with arrivals.expected("c1"):
        with arrivals.expected("c1"):
            thread = threading.Thread(target=start)
            thread.start()
        assert not started.wait(0.05)
    thread.join()
    assert started.is_set()


def test_nobody_waits_for_another_containers_clients_or_for_ever() -> None:
    arrivals = Arrivals()
    with arrivals.expected("c1"):
        arrivals.wait("c2", patience=60)
        begin = time.monotonic()
        arrivals.wait("c1", patience=0.05)
        assert 0.04 < time.monotonic() - begin < 2


def test_who_fails_on_the_way_is_not_waited_for() -> None:
    arrivals = Arrivals()
    try:
        with arrivals.expected("c1"):
            raise ConnectionError("the client has gone")
    except ConnectionError:
        arrivals.wait("c1", patience=60)
