"""Trees that were removed: out of the way at once, gone a little later.

Deleting ten thousand files takes a disk seconds, and whoever removes a container should not wait for that. A tree is renamed into the
trash, and `rm` empties it in the background: one process for all that came together, C in place of Python, and no depth is too deep for it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
import time
from contextlib import suppress

GATHER = 0.2  # seconds to wait for more, so that a prune of forty containers is one process


class Trash:
    """A directory whose content is deleted in the background. What a killed engine leaves in it, the next one deletes."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._is_emptying = False

    def take(self, path: str) -> None:
        """Move a tree into the trash; idempotent. An empty directory is deleted at once."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.rename(path, os.path.join(self._directory, f"{os.path.basename(path)[:64]}.{secrets.token_hex(8)}"))
            self.empty()

    def empty(self) -> None:
        """See to it that what is in the trash now will be gone soon."""
        with self._lock:
            if not self._is_emptying:
                self._is_emptying = True
                threading.Thread(target=self._run, name="trash", daemon=True).start()

    def _run(self) -> None:
        stubborn: set[str] = set()  # what rm could not delete: an immutable file, a mount; the next engine tries again
        while names := self._waiting(stubborn):
            for start in range(0, len(names), 100):  # a command line has an end
                self._delete([os.path.join(self._directory, name) for name in names[start : start + 100]])
            stubborn.update(names)

    def _waiting(self, stubborn: set[str]) -> list[str]:
        """What is there to delete. When there is nothing, this thread is over, and the next thing taken starts another."""
        time.sleep(GATHER)
        with self._lock:
            names = sorted(set(os.listdir(self._directory)) - stubborn) if os.path.isdir(self._directory) else []
            self._is_emptying = bool(names)
        return names

    def _delete(self, paths: list[str]) -> None:
        environment = {"PATH": "/usr/bin:/bin"}
        subprocess.run(["rm", "-rf", "--one-file-system", "--", *paths], env=environment, stderr=subprocess.DEVNULL, check=False)
