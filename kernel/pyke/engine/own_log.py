"""The engine's own log, which whatever runs in the engine may write to: a plugin that prints must not fill the host's disk."""

from __future__ import annotations

import os
import stat

LIMIT = 16 << 20  # bytes; more than that, and only the end is kept
KEPT = 1 << 20  # bytes of it


def shorten(path: str, descriptor: int = 2) -> bool:
    """Keep the end of the log at `path` alone when it has grown too large; whether it had. `descriptor` is open on it for appending.

    What is written at the same moment may be lost. A descriptor that is no file, or another one (a journal, a terminal), is left alone.
    """
    try:
        status, named = os.fstat(descriptor), os.stat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or not os.path.samestat(status, named) or status.st_size <= LIMIT:
        return False
    with open(path, "r+b") as file:
        file.seek(-KEPT, os.SEEK_END)
        end = file.read(KEPT).partition(b"\n")[2]
        file.truncate(0)
        file.seek(0)
        file.write(b"(what was here has been dropped: the log was too large)\n" + end)
    return True
