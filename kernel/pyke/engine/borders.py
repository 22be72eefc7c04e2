"""Where the host's errors become the engine's: an OSError that could be foreseen gets a name, a hint and a status."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from pyke.errors import NoSpace, PykeError


@contextlib.contextmanager
def host_errors(what: str, directory: str) -> Iterator[None]:
    """Translate an OSError of a block that does `what` below `directory`: a full disk, a read-only file system, a path too long."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"{what}: no space left in {directory}", hint=f"df -h {directory}") from error
        place = f"{error.filename}: " if error.filename else ""
        raise PykeError(f"{what}: {place}{os.strerror(error.errno or 0)}", hint=f"ls -ld {error.filename or directory}") from error
