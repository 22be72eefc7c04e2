"""How much a directory holds."""

from __future__ import annotations

import os
import stat


def tree_size(path: str) -> int:
    """Bytes of the files below `path`, each counted once whatever its names; links are not followed. 0 where there is nothing."""
    seen: set[tuple[int, int]] = set()
    total = 0
    if not os.path.isdir(path):
        return 0
    for _, directories, files, handle in os.fwalk(path, follow_symlinks=False):
        for name in (*directories, *files):
            try:
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted while we look
            if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total
