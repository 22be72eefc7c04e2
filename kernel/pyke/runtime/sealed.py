"""An executable that nobody can write through /proc/self/exe.

Between its clone and its exec, init is a Python whose executable belongs to the host, and a container may look at it: as the entry point
/proc/self/exe, as the interpreter of a script, or, with CAP_SYS_PTRACE, from a process beside an `exec` (CVE-2019-5736). So the spawner
runs from a read-only clone of the mount that its executable is on. The clone is attached nowhere, therefore nothing can remount it
writable, and unlike a copy in a memfd it costs no memory and shares its pages with every other Python. It costs one exec for each spawner.
"""

from __future__ import annotations

import os

from pyke.runtime import linux


def execute(executable: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Replace this process by `executable`, sealed. Returns only by raising OSError. Needs CAP_SYS_ADMIN and Linux 5.12.

    `arguments[0]` is to be the path of the executable, for Python finds its library by it.
    """
    mount = linux.open_tree(os.path.realpath(executable), linux.OPEN_TREE_CLONE)
    linux.mount_setattr(mount, set=linux.MOUNT_ATTR_RDONLY)
    linux.execveat(mount, arguments, environment)


def is_sealed() -> bool:
    """Whether this process's executable lies on a read-only mount that is attached nowhere."""
    flags = os.statvfs("/proc/self/exe").f_flag
    return bool(flags & os.ST_RDONLY)
