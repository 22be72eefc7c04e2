"""The engine's memory: written through, all or nothing, and read again by the next engine."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.engine.state import EVENTS_KEPT, SCHEMA, State
from pyke.errors import PykeError
from pyke.model import Event, Network, Volume


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "pyke.db")


@pytest.fixture
def state(path: str) -> Iterator[State]:
    state = State(path)
    yield state
    state.close()


def network(name: str) -> Network:
    return Network(id=name * 8, name=name, driver="bridge", options={"mtu": "1400"})


def test_a_record_is_there_for_the_next_engine(state: State, path: str) -> None:
    state.networks.put(network("one"))
    state.volumes.put(Volume("data", labels={"a": "b"}))
    later = State(path)
    assert later.networks.all() == [network("one")]
    assert later.volumes.get("data") == Volume("data", labels={"a": "b"})
    later.close()


def test_putting_again_replaces(state: State, path: str) -> None:
    state.networks.put(network("one"))
    changed = Network(id="one" * 8, name="other", driver="none")
    state.networks.put(changed)
    assert len(state.networks) == 1 and state.networks.get("one" * 8) == changed


def test_deleting_twice_succeeds(state: State) -> None:
    state.networks.put(network("one"))
    state.networks.delete("one" * 8)
    state.networks.delete("one" * 8)
    assert state.networks.get("one" * 8) is None


def test_a_transaction_is_all_or_nothing_in_the_file(state: State, path: str) -> None:
    with pytest.raises(RuntimeError), state.transaction():
        state.networks.put(network("one"))
        with state.transaction():
            state.networks.put(network("two"))
        raise RuntimeError
    later = State(path)
    assert later.networks.all() == []
    later.close()


def test_an_intent_ends_with_its_block_however_that_ends(state: State) -> None:
    with state.intent("container.create", "abc", step=1) as intent:
        assert [each.number for each in state.intents()] == [intent.number]
    with pytest.raises(RuntimeError), state.intent("container.create", "abc"):
        raise RuntimeError
    assert state.intents() == []


def test_an_intent_that_was_cut_off_is_found_by_the_next_engine(state: State, path: str) -> None:
    state.begin("image.load", "busybox", layers=["sha256:1"])
    later = State(path)
    found = later.intents()
    assert [(each.kind, each.object, each.data) for each in found] == [("image.load", "busybox", {"layers": ["sha256:1"]})]
    later.end(found[0])
    assert later.intents() == []
    later.close()


def test_events_are_kept_by_time(state: State) -> None:
    for time in (10, 20, 30):
        state.add_event(Event(time, "container", "start", f"c{time}", {"name": "x"}))
    assert [event.time for event in state.events(15, 30)] == [20, 30]
    assert state.events(10, 10) == [Event(10, "container", "start", "c10", {"name": "x"})]


def test_old_events_are_forgotten(state: State) -> None:
    with state.transaction() as connection:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (EVENTS_KEPT + 998,))
        connection.execute("INSERT INTO events (number, time, data) VALUES (1, 1, '{}')")
    for time in range(2):
        state.add_event(Event(time + 2, "container", "die", "c"))
    assert [event.time for event in state.events(0, 100)] == [2, 3]


def test_facts(state: State, path: str) -> None:
    assert state.fact("id") is None
    state.set_fact("id", "1")
    state.set_fact("id", "2")
    later = State(path)
    assert later.fact("id") == "2"
    later.close()


def test_threads_write_side_by_side(state: State, path: str) -> None:
    def work(number: int) -> None:
        for index in range(20):
            state.networks.put(network(f"n{number}-{index}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = State(path)
    assert len(later.networks) == len(state.networks) == 80
    later.close()


def test_a_file_that_is_no_database_is_an_expected_error(path: str) -> None:
    Path(path).write_bytes(b"this is not a database, whatever it was" * 10)
    with pytest.raises(PykeError, match=r"state file .* cannot be opened") as caught:
        State(path)
    assert caught.value.hint == f"ls -l {path}"


def test_a_newer_engines_file_is_refused(state: State, path: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    with pytest.raises(PykeError, match="written by a newer pyke"):
        State(path)


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["empty", "text", "garbage"])
def test_a_lost_or_damaged_state_is_no_new_beginning(path: str, tmp_path: Path, content: bytes) -> None:
    """An engine that knew nothing of what is there would sweep it away."""
    (tmp_path / "containers" / ("1" * 64)).mkdir(parents=True)
    Path(path).write_bytes(content)
    for _ in range(2):
        with pytest.raises(PykeError, match=re.escape(f"the state file {path} ")):
            State(path, belongings=[str(tmp_path / "containers")])


def test_where_nothing_is_yet_a_state_begins(path: str, tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    State(path, belongings=[str(tmp_path / "containers"), str(tmp_path / "blobs")]).close()
    (tmp_path / "containers" / ("1" * 64)).mkdir()
    State(path, belongings=[str(tmp_path / "containers")]).close()


def test_a_damaged_record_is_told_with_the_file(state: State, path: str) -> None:
    with state.transaction() as connection:
        connection.execute("INSERT INTO records VALUES ('network', 'x', '{\"id\": 5')")
    with pytest.raises(PykeError, match="is damaged"):
        State(path)


def test_what_fails_is_as_if_it_had_never_been(state: State) -> None:
    """The records in memory, too, and nobody is told of it."""
    told: list[str] = []
    state.networks.put(network("old"))
    with pytest.raises(ValueError, match="no"), state.transaction():
        state.networks.put(Network(id="old" * 8, name="changed", driver="none"))
        state.networks.put(network("new"))
        state.networks.delete("old" * 8)
        state.after_commit(lambda: told.append("new"))
        raise ValueError("no")
    assert state.networks.all() == [network("old")]
    with state.transaction():
        state.after_commit(lambda: told.append("next"))
        assert told == []
    assert told == ["next"]
