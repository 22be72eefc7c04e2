"""What of an image is on the disk: its blobs before it is listed, its unpacked layers a little later.

Blobs are written to the disk while they come (written.py), and synced before the image is recorded. The trees that were unpacked from
them are more to write, in thousands of files, and can be made again: an image is recorded in one transaction with a note of its layers and
of the machine's boot, and a thread syncs and deletes the note. A crash of the engine loses nothing, since the kernel keeps what was
written. Layers in a note of another boot may have lost content with the machine's power: they are deleted, and unpacked again from
their blobs. See docs/decisions/0102-blobs-are-durable-before-an-image-is-listed.md
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable

from pyke.engine.state import State
from pyke.errors import PykeError

FACT = "layers-unsynced"
DELAY = 20.0  # seconds: most is written by then, and whoever starts a container after a pull does not wait for the disk


class Unsynced:
    """The chain IDs of layers that are unpacked but may not be on the disk. `delay` is how long a sync waits for others, in seconds."""

    def __init__(self, state: State, sync: Callable[[], None], delay: float = DELAY) -> None:
        self._state, self._sync, self._delay = state, sync, delay
        self._lock = threading.Lock()
        self._is_waiting = False

    def note(self, chain_ids: Iterable[str]) -> None:
        """Remember layers that no image had before; to be called in the transaction that records their image.

        One that an image has is noted already or on the disk; and were it noted again, it might be lost below others that are not.
        """
        with self._state.transaction():
            self._write({**self._read(), **dict.fromkeys(chain_ids, f"{_boot()} {time.monotonic_ns()}")})

    def settle(self) -> None:
        """Sync in the background, soon, and forget those that were noted before."""
        with self._lock:
            if not self._is_waiting and self._read():
                self._is_waiting = True
                threading.Thread(target=self._settle, name="sync", daemon=True).start()

    def lost(self) -> set[str]:
        """The layers that may have lost content: noted in another boot of the machine."""
        return {chain_id for chain_id, noted in self._read().items() if noted.split()[0] != _boot()}

    def forget(self, chain_ids: set[str]) -> None:
        with self._state.transaction():
            self._write({chain_id: noted for chain_id, noted in self._read().items() if chain_id not in chain_ids})

    def _forget_synced(self, notes: dict[str, str]) -> None:
        """Not those that were removed, unpacked and noted anew meanwhile."""
        with self._state.transaction():
            now = self._read()
            self.forget({chain_id for chain_id, noted in notes.items() if now.get(chain_id) == noted})

    def _settle(self) -> None:
        threading.Event().wait(self._delay)
        with contextlib.suppress(sqlite3.ProgrammingError, PykeError):  # closed: the engine left meanwhile, and the next one settles
            with self._lock:
                self._is_waiting = False
                notes = self._read()
            self._sync()
            self._forget_synced(notes)

    def _read(self) -> dict[str, str]:
        """The boot and the moment in which each was noted."""
        notes: dict[str, str] = json.loads(self._state.fact(FACT) or "{}")
        return notes

    def _write(self, notes: dict[str, str]) -> None:
        self._state.set_fact(FACT, json.dumps(notes))


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
