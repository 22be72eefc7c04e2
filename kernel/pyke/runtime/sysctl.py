"""Kernel parameters of a container: only those that a namespace of its own keeps apart from the host's.

The list is runc's and Docker's. A name is a path in disguise (CVE-2022-0811), so each part is checked and the file is reached without
following anything.
"""

from __future__ import annotations

import os

from pyke.errors import StartFailed
from pyke.runtime import linux

IPC = frozenset("kernel." + name for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split())
UTS = frozenset(("kernel.domainname",))
ALLOWED_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:@.")


def parts(name: str) -> list[str]:
    """The path of a parameter below /proc/sys. The first separator decides: in "net/ipv4/conf/eth0.100/forwarding" dots are letters."""
    slash, dot = name.find("/"), name.find(".")
    if slash != -1 and (dot == -1 or slash < dot):
        return name.split("/")
    return [part.replace("/", ".") for part in name.split(".")]


def refusal(name: str, namespaces: frozenset[str]) -> str:
    """Why a container may not set `name`, or "" if it may. `namespaces` are those of its own: of "network", "ipc", "uts"."""
    path = parts(name)
    if any(part in ("", ".", "..") or not set(part) <= ALLOWED_CHARACTERS for part in path):
        return f"sysctl '{name}' is not a name"
    dotted = ".".join(path)
    needed = _namespace(path, dotted)
    if not needed:
        return f"sysctl '{name}' is not allowed: it belongs to the whole machine"
    if needed not in namespaces:
        return f"sysctl '{name}' is not allowed in the host's {needed} namespace, or in another container's"
    return ""


def _namespace(path: list[str], dotted: str) -> str:
    if path[0] == "net" and len(path) > 2:
        return "network"
    if dotted in IPC or (path[:2] == ["fs", "mqueue"] and len(path) == 3):
        return "ipc"
    return "uts" if dotted in UTS else ""


def write(proc_sys: int, parameters: dict[str, str], namespaces: frozenset[str]) -> None:
    """Set `parameters` below the directory `proc_sys`, a /proc/sys that may be written. All are checked before the first is set."""
    for name in parameters:
        if reason := refusal(name, namespaces):
            raise StartFailed(reason, hint="pyke run --help")
    for name, value in parameters.items():
        try:
            resolve = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_XDEV | linux.RESOLVE_NO_MAGICLINKS
            fd = linux.openat2(proc_sys, "/".join(parts(name)), os.O_WRONLY, resolve=resolve)
            try:
                os.write(fd, str(value).encode())
            finally:
                os.close(fd)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise StartFailed(f"sysctl '{name}' cannot be set to {value!r}: {reason}", hint=f"sysctl {name}") from error
