"""Content that is written but may not be on the disk yet: known by name, so that nobody waits for the disk and a loss of power is noticed.

Syncing 700 MB takes a disk longer than unpacking them, and Docker does not sync at all. An image is recorded at once, in one transaction
with a note of the machine's boot; a thread syncs and deletes the note. A crash of the engine loses nothing, since the kernel keeps what was
written. A note of another boot means that power was lost in between: that image is forgotten, and what it left is deleted.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable

from pyke.engine.state import State
from pyke.errors import PykeError

FACT = "images-unsynced"


class Unsynced:
    """The IDs of images whose content is on its way to the disk."""

    def __init__(self, state: State, sync: Callable[[], None]) -> None:
        self._state, self._sync = state, sync
        self._lock = threading.Lock()

    def note(self, id: str) -> None:
        """Remember an image; to be called in the transaction that records it."""
        with self._state.transaction():
            self._write({**self._read(), id: _boot()})

    def settle(self) -> None:
        """Sync in the background, and forget those that were noted before."""
        threading.Thread(target=self._settle, args=(set(self._read()),), name="sync", daemon=True).start()

    def lost(self) -> set[str]:
        """The images that may have lost content: noted in another boot of the machine."""
        return {id for id, boot in self._read().items() if boot != _boot()}

    def forget(self, ids: set[str]) -> None:
        with self._state.transaction():
            self._write({id: boot for id, boot in self._read().items() if id not in ids})

    def _settle(self, ids: set[str]) -> None:
        with self._lock:  # one sync at a time: a second one would only wait for the first
            self._sync()
        with contextlib.suppress(sqlite3.ProgrammingError, PykeError):  # closed: the engine left meanwhile, and the next one settles
            self.forget(ids)

    def _read(self) -> dict[str, str]:
        notes: dict[str, str] = json.loads(self._state.fact(FACT) or "{}")
        return notes

    def _write(self, notes: dict[str, str]) -> None:
        self._state.set_fact(FACT, json.dumps(notes))


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
