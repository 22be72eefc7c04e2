"""The event bus: nothing is missed between asking and reading, and nobody is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.engine.events import ATTRIBUTES_LIMIT, QUEUE_LIMIT, Events
from pyke.engine.state import State


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Events]:
    state = State(str(tmp_path / "pyke.db"))
    yield Events(state)
    state.close()


def test_a_listener_hears_what_comes_after_it_asked(events: Events) -> None:
    events.publish("container", "create", "before")
    subscription = events.subscribe()
    events.publish("container", "start", "after", name="x")
    event = subscription.next(timeout=5)
    assert event is not None and (event.object, event.attributes) == ("after", {"name": "x"})
    assert subscription.next(timeout=0) is None


def test_a_label_may_have_the_name_of_anything(events: Events) -> None:
    labels = {"kind": "a", "action": "b", "object": "c", "self": "d", "known": "e", "exitCode": "f"}
    event = events.publish("container", "die", "one", labels, exitCode="3")
    assert (event.kind, event.action, event.object) == ("container", "die", "one")
    assert event.attributes == {**labels, "exitCode": "3"}


def test_the_past_comes_first_and_once(events: Events) -> None:
    events.publish("container", "create", "one")
    subscription = events.subscribe(since=1, until=time.time_ns() + 200_000_000)
    events.publish("container", "create", "two")
    assert [event.object for event in subscription] == ["one", "two"]


def test_the_end_may_lie_in_the_past(events: Events) -> None:
    events.publish("container", "create", "one")
    assert [event.object for event in events.subscribe(since=1, until=time.time_ns())] == ["one"]


def test_only_what_is_wanted(events: Events) -> None:
    subscription = events.subscribe(until=time.time_ns() + 200_000_000, wanted=lambda event: event.kind == "network")
    events.publish("container", "create", "one")
    events.publish("network", "create", "two")
    assert [event.object for event in subscription] == ["two"]


def test_closing_releases_a_reader(events: Events) -> None:
    subscription = events.subscribe()
    heard: list[object] = []
    reader = threading.Thread(target=lambda: heard.extend(subscription))
    reader.start()
    events.publish("container", "create", "one")
    subscription.close()
    reader.join(5)
    assert not reader.is_alive() and len(heard) == 1


def test_a_listener_that_does_not_read_is_cut_off_and_waited_for_by_nobody(events: Events) -> None:
    idle, busy = events.subscribe(), events.subscribe()
    for _ in range(QUEUE_LIMIT + 1):
        events.publish("container", "exec_start", "x")
        assert busy.next(timeout=5) is not None
    assert list(idle) == []
    events.publish("container", "die", "y")
    last = busy.next(timeout=5)
    assert last is not None and last.action == "die"


def test_a_reader_that_leaves_has_closed_its_subscription(events: Events) -> None:
    subscription = events.subscribe()
    events.publish("container", "create", "one")
    for event in subscription:
        assert event.object == "one"
        break
    with pytest.raises(StopIteration):
        next(iter(subscription))


def test_megabytes_of_labels_do_not_become_megabytes_of_events(events: Events) -> None:
    labels = {"small": "kept", "large": "x" * (3 << 20), "\x1b[31m": "y" * 100}
    event = events.publish("container", "create", "one", **labels, image="busybox")
    assert event.attributes == {"small": "kept", "\x1b[31m": "y" * 100, "image": "busybox"}
    many = events.publish("container", "create", "one", **{f"label{number}": "z" * 1000 for number in range(1000)}, name="c")
    assert sum(len(name) + len(value) for name, value in many.attributes.items()) <= ATTRIBUTES_LIMIT and many.attributes["name"] == "c"
