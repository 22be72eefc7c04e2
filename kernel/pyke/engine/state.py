"""What the engine knows, in one SQLite file: records, intents and events.

Records are model objects kept as JSON, cached in memory and written through: reading costs nothing, and a write is on its way to the
disk when it returns (WAL, synchronous=NORMAL: a crash of the engine loses nothing; a loss of power may lose what was committed after the
last `sync`, but never consistency). One writer: the process that holds the engine's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pyke.codec import from_data, to_data
from pyke.errors import NoSpace, PykeError
from pyke.model import Container, Event, Image, Network, Volume

SCHEMA = 1
EVENTS_KEPT = 10_000
PAGES_CACHED = 64  # of 4 KiB, where SQLite's default is 2 MB: all records are in memory already, and the kernel has the file's pages

TABLES = """
CREATE TABLE records (kind TEXT, id TEXT, data TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE intents (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, object TEXT, data TEXT, time INTEGER);
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER, data TEXT);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT);
CREATE INDEX events_by_time ON events (time);
"""


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Intent:
    """An operation that has begun and is not known to have ended."""

    number: int
    kind: str  # container.create, container.start, image.load, network.create, ...
    object: str
    data: dict[str, Any]


class State:
    """The engine's memory. Safe to use from every thread.

    `belongings` are directories that hold nothing while there is no state yet. Where they do, the state was lost, and an engine that
    began anew would sweep away what it does not know: `PykeError`.
    """

    def __init__(self, path: str, belongings: Sequence[str] = ()) -> None:
        self.lock = threading.RLock()
        self._depth = 0
        self._afterwards: list[Callable[[], object]] = []  # to be done when the transaction is on its way to the disk
        self._undo: list[Callable[[], None]] = []  # or this, in reverse, when it fails
        self._path = path
        self._connection = _open(path, belongings)
        try:
            self.containers: Table[Container] = Table(self, "container", Container, "id")
            self.images: Table[Image] = Table(self, "image", Image, "id")
            self.networks: Table[Network] = Table(self, "network", Network, "id")
            self.volumes: Table[Volume] = Table(self, "volume", Volume, "name")
        except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
            raise PykeError(f"the state file {path} is damaged: {error}", hint=f"ls -l {path}") from error

    def close(self) -> None:
        with self.lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Group writes: all of them, or none. Nests; the outermost commits."""
        with self.lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                if self._depth == 1:
                    self._connection.execute("COMMIT")
                    self._committed()
            except BaseException as error:
                if self._depth == 1:
                    self._roll_back()
                if isinstance(error, sqlite3.Error):
                    raise self._translated(error) from error
                raise
            finally:
                self._depth -= 1

    def after_commit(self, act: Callable[[], object]) -> None:
        """Do something when the transaction that is under way has been made; nothing where it fails."""
        self._afterwards.append(act)

    def on_rollback(self, act: Callable[[], None]) -> None:
        """Do something if the transaction that is under way fails."""
        self._undo.append(act)

    def _committed(self) -> None:
        acts, self._afterwards = self._afterwards, []
        self._undo.clear()
        for act in acts:
            act()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._afterwards.clear()
        while self._undo:
            self._undo.pop()()

    def _translated(self, error: sqlite3.Error) -> PykeError:
        directory = os.path.dirname(self._path)
        if "full" in str(error):
            return NoSpace(f"no space left for the engine's state in {directory}", hint=f"df -h {directory}")
        return PykeError(f"the engine's state in {directory} cannot be changed: {error}", hint=f"ls -l {self._path}")

    def sync(self) -> None:
        """Wait until all that was committed is on the disk, and the power may go.

        fsync, not fdatasync: all that was created and renamed on this file system before is on the disk then, too (ext4, xfs and btrfs
        have one journal for everybody), and no record is there without what was made for it.
        """
        try:
            descriptor = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            directory = os.path.dirname(self._path)
            raise PykeError(f"the engine's state in {directory} cannot be written: {error.strerror}", hint=f"df -h {directory}") from error

    # intents

    @contextlib.contextmanager
    def intent(self, kind: str, object: str, **data: Any) -> Iterator[Intent]:
        """Record that `kind` begins on `object`; forget it when the block ends, well or with an error that it has cleaned up after.

        A block that is cut off by the engine's death leaves the intent behind, for the next engine to undo or finish.
        """
        intent = self.begin(kind, object, **data)
        try:
            yield intent
        finally:
            self.end(intent)

    def begin(self, kind: str, object: str, **data: Any) -> Intent:
        with self.transaction() as connection:
            row = connection.execute(
                "INSERT INTO intents (kind, object, data, time) VALUES (?, ?, ?, ?)", (kind, object, json.dumps(data), time.time_ns())
            )
            return Intent(row.lastrowid or 0, kind, object, data)

    def end(self, intent: Intent) -> None:
        with self.transaction() as connection:
            connection.execute("DELETE FROM intents WHERE number = ?", (intent.number,))

    def intents(self) -> list[Intent]:
        with self.lock:
            rows = self._connection.execute("SELECT number, kind, object, data FROM intents ORDER BY number").fetchall()
        return [Intent(number, kind, object, json.loads(data)) for number, kind, object, data in rows]

    # events

    def add_event(self, event: Event) -> None:
        with self.transaction() as connection:
            row = connection.execute("INSERT INTO events (time, data) VALUES (?, ?)", (event.time, json.dumps(to_data(event))))
            number = row.lastrowid or 0
            if number % 1000 == 0:
                connection.execute("DELETE FROM events WHERE number <= ?", (number - EVENTS_KEPT,))

    def events(self, since: int, until: int) -> list[Event]:
        with self.lock:
            rows = self._connection.execute(
                "SELECT data FROM events WHERE time >= ? AND time <= ? ORDER BY number", (since, until)
            ).fetchall()
        return [from_data(Event, json.loads(data)) for (data,) in rows]

    # facts: single values, such as the engine's ID

    def fact(self, name: str) -> str | None:
        with self.lock:
            row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_fact(self, name: str, value: str) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))


class Table(Generic[R]):
    """All records of one kind. What it returns is immutable; change a record by putting another in its place."""

    def __init__(self, state: State, kind: str, model: type[R], key: str) -> None:
        self._state, self._kind, self._key = state, kind, key
        with state.lock:
            rows = state._connection.execute("SELECT id, data FROM records WHERE kind = ?", (kind,)).fetchall()
        self._records: dict[str, R] = {id: from_data(model, json.loads(data)) for id, data in rows}

    def get(self, id: str) -> R | None:
        return self._records.get(id)

    def all(self) -> list[R]:
        with self._state.lock:
            return list(self._records.values())

    def put(self, record: R) -> None:
        id = getattr(record, self._key)
        with self._state.transaction() as connection:
            data = json.dumps(to_data(record))
            connection.execute("INSERT OR REPLACE INTO records (kind, id, data) VALUES (?, ?, ?)", (self._kind, id, data))
            self._remember(id, record)

    def delete(self, id: str) -> None:
        with self._state.transaction() as connection:
            connection.execute("DELETE FROM records WHERE kind = ? AND id = ?", (self._kind, id))
            self._remember(id, None)

    def _remember(self, id: str, record: R | None) -> None:
        before = self._records.get(id)
        self._state.on_rollback(lambda: self._set(id, before))
        self._set(id, record)

    def _set(self, id: str, record: R | None) -> None:
        if record is None:
            self._records.pop(id, None)
        else:
            self._records[id] = record

    def __len__(self) -> int:
        return len(self._records)


def _open(path: str, belongings: Sequence[str]) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds the environment of every container
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA cache_size = {PAGES_CACHED}")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            _check_is_first(path, belongings)
            connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")  # on the disk before its belongings
        connection.execute("PRAGMA synchronous = NORMAL")
    except (sqlite3.Error, OSError) as error:
        raise PykeError(f"the state file {path} cannot be opened: {error}", hint=f"ls -l {path}") from error
    if found > SCHEMA:
        raise PykeError(
            f"the state file {path} was written by a newer pyke (schema {found}, this one knows {SCHEMA})", hint="pip install -U pyke"
        )
    return connection


def _check_is_first(path: str, belongings: Sequence[str]) -> None:
    for directory in belongings:
        if os.path.isdir(directory) and os.listdir(directory):
            root = os.path.dirname(path)
            raise PykeError(f"the state file {path} is missing or empty, but {directory} is not", hint=f"mv {root} {root}.damaged")
