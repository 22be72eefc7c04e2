"""What execs leave in the run directory, so that the next engine knows those that run on and how the last ones ended.

RUN/containers/CONTAINER/exec/ID holds `bundle.json` (with the exec itself as "record"), `exit.json` from its monitor when it has ended, and
`told` when an engine has taken note of that.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator

from pyke.codec import from_data
from pyke.engine.identifiers import check_id, is_full_id
from pyke.model import Exec
from pyke.paths import Layout

KEPT = 32  # records of execs that have ended: a client whose engine was killed asks the next one within a second


class ExecRecords:
    """The directories of an engine's execs. Not safe for several threads at once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ended: deque[str] = deque()  # directories, the oldest first

    def directory(self, exec: Exec) -> str:
        return os.path.join(self._layout.container_run_directory(exec.container), "exec", check_id(exec.id))

    def all(self) -> Iterator[Exec]:
        """Every exec that has a readable record; what is broken is removed."""
        for container in filter(is_full_id, _entries(self._layout.container_runs)):
            directory = os.path.join(self._layout.container_run_directory(container), "exec")
            for id in filter(is_full_id, _entries(directory)):
                try:
                    yield _read(os.path.join(directory, id))
                except (OSError, ValueError, KeyError, TypeError):
                    shutil.rmtree(os.path.join(directory, id), ignore_errors=True)

    def is_told(self, exec: Exec) -> bool:
        """Whether an engine has taken note of its end already."""
        return os.path.exists(os.path.join(self.directory(exec), "told"))

    def ended(self, exec: Exec) -> None:
        """Its end has been taken note of: its record will be removed, when others have come after it."""
        directory = self.directory(exec)
        try:
            os.close(os.open(os.path.join(directory, "told"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except OSError:
            return  # it never had a directory, or its container's is gone
        self._ended.append(directory)
        while len(self._ended) > KEPT:
            shutil.rmtree(self._ended.popleft(), ignore_errors=True)


def _read(directory: str) -> Exec:
    with open(os.path.join(directory, "bundle.json"), encoding="utf-8") as file:
        return from_data(Exec, json.load(file)["record"])


def _entries(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
