"""Control groups: what a container may use of the machine, what it has used, and all of its processes at once.

    group = cgroups.at("pyke/ID")       # a path below the root of every hierarchy; nothing is touched yet
    group.create(resources)             # OCI `linux.resources`
    group.place(pid)
    group.update(resources) / freeze() / thaw() / pids() / statistics() / oom_events() / kill_all() / remove()

The three ways in which systems mount cgroups are told apart here, once: version 2 alone; version 1; and hybrid, version 1 beside a
version 2 without controllers. All calls raise OSError, which names the file; undoing what is gone succeeds.
"""

from __future__ import annotations

import contextlib
import os

from pyke.runtime.cgroups import support
from pyke.runtime.cgroups.common import Cgroup
from pyke.runtime.cgroups.v1 import CgroupV1
from pyke.runtime.cgroups.v2 import CgroupV2

__all__ = ["Cgroup", "at", "children", "hierarchies", "lacking", "of_process", "unified"]

_found: dict[tuple[str, ...], str] | None = None


def at(path: str) -> Cgroup:
    """The cgroup at `path` below the root of this system's hierarchies. Raises ValueError for a path with ".." in it."""
    if ".." in path.split("/"):
        raise ValueError(f"{path!r} is not the path of a cgroup")
    relative = os.path.normpath(path).strip("/")
    version_1 = {names: mount for names, mount in hierarchies().items() if names}
    return CgroupV1(relative, version_1) if version_1 else CgroupV2(relative, unified())


def of_process(pid: int) -> CgroupV2:
    """The cgroup of version 2 that a process is in. Raises OSError where it is in none."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("0::"):
                return CgroupV2(line[3:].strip("/\n"), unified())
    raise FileNotFoundError(2, "the process is in no cgroup of version 2", f"/proc/{pid}/cgroup")


def children(path: str) -> list[str]:
    """The names of the cgroups right below `path`, in any hierarchy; none where it does not exist."""
    names: set[str] = set()
    for directory in at(path).directories():
        with contextlib.suppress(FileNotFoundError):
            names.update(entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False))
    return sorted(names)


def hierarchies() -> dict[tuple[str, ...], str]:
    """Where the hierarchies are mounted, by the names of their controllers, in the order of mounting; version 2 has the name ()."""
    global _found
    if _found is None:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            _found = parse_mountinfo(file.read())
    return _found


def lacking() -> frozenset[str]:
    """The limits that this system's kernel cannot keep: names of fields of `Limits`."""
    return support.lacking(hierarchies())


def unified() -> str:
    """Where version 2 is mounted. Raises OSError where it is not."""
    try:
        return hierarchies()[()]
    except KeyError:
        raise FileNotFoundError(2, "no cgroup file system is mounted", "/sys/fs/cgroup") from None


def parse_mountinfo(text: str) -> dict[tuple[str, ...], str]:
    """Find cgroup mounts in the format of proc_pid_mountinfo(5)."""
    found: dict[tuple[str, ...], str] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        if not after.startswith("cgroup"):
            continue
        kind, _, options = after.split(" ", 2)
        point = before.split()[4].replace("\\040", " ")
        if kind == "cgroup2":
            found.setdefault((), point)
        elif kind == "cgroup":
            names = [option for option in options.split(",") if option not in ("rw", "ro", "xattr", "clone_children", "noprefix")]
            names = [name for name in names if not name.startswith("release_agent=")]
            found.setdefault(tuple(names), point)
    return found
