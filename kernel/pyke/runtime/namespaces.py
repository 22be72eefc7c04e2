"""Which namespaces a container has of its own, which it shares, and how a child gets into them."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from _socket import AF_INET, SOCK_DGRAM, socket

from pyke.runtime import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: OCI's word, the flag of clone(2), the name in /proc/PID/ns. The user namespace comes first: it rules the others.
KINDS = (
    ("user", linux.CLONE_NEWUSER, "user"),
    ("mount", linux.CLONE_NEWNS, "mnt"),
    ("network", linux.CLONE_NEWNET, "net"),
    ("uts", linux.CLONE_NEWUTS, "uts"),
    ("ipc", linux.CLONE_NEWIPC, "ipc"),
    ("pid", linux.CLONE_NEWPID, "pid"),
    ("cgroup", linux.CLONE_NEWCGROUP, "cgroup"),
)
FLAGS = {kind: flag for kind, flag, _ in KINDS}

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def wanted(oci: dict[str, Any]) -> dict[str, str]:
    """The namespaces that an OCI configuration lists: kind to path, "" for a new one. What is not listed is the host's."""
    return {str(each["type"]): str(each.get("path") or "") for each in (oci.get("linux") or {}).get("namespaces") or []}


def own(oci: dict[str, Any]) -> frozenset[str]:
    """The kinds of which the container has new namespaces of its own."""
    return frozenset(kind for kind, path in wanted(oci).items() if not path)


def clone_flags(oci: dict[str, Any]) -> int:
    """What clone(2) is to make new. Not the cgroup namespace: its root is the cgroup that a process is in when it unshares."""
    return sum(FLAGS[kind] for kind in own(oci) if kind != "cgroup")


def clone(flags: int, pid_namespace: int, cgroup: int) -> int:
    """fork(2) into the new namespaces of `flags` and, unless -1, into the PID namespace behind the descriptor (of it, or a pidfd).

    `cgroup` is the directory of one of version 2, or -1. One's children can be sent to another PID namespace, oneself cannot; afterwards
    the caller's children are its own again.
    """
    if pid_namespace < 0:
        return linux.clone(flags, cgroup)
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    pid = -1
    try:
        linux.setns(pid_namespace, linux.CLONE_NEWPID)
        pid = linux.clone(flags, cgroup)
    finally:
        if pid != 0:
            linux.setns(home, linux.CLONE_NEWPID)
        os.close(home)
    return pid


def open_pid_namespace(oci: dict[str, Any]) -> int:
    """The PID namespace of another container that is to be joined, or -1."""
    path = wanted(oci).get("pid")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else -1


class Gate:
    """Where a child waits until its user namespace knows its identities; without such a namespace, an open door."""

    __slots__ = ("ends",)

    def __init__(self, flags: int) -> None:
        self.ends = os.pipe() if flags & linux.CLONE_NEWUSER else ()

    def open(self) -> None:
        if self.ends:
            os.write(self.ends[1], b"g")

    def wait(self) -> bool:
        """In the child; False when the monitor could not open it, or is dead."""
        if not self.ends:
            return True
        os.close(self.ends[1])
        return bool(os.read(self.ends[0], 1))

    def close(self) -> None:
        for fd in self.ends:
            os.close(fd)


def map_identities(pid: int, config: dict[str, Any]) -> None:
    """Tell the user namespace of `pid` which identities it has: OCI's uidMappings and gidMappings."""
    for file, key in (("uid_map", "uidMappings"), ("gid_map", "gidMappings")):
        if mappings := config.get(key):
            lines = "".join(f"{each['containerID']} {each['hostID']} {each['size']}\n" for each in mappings)
            fd = os.open(f"/proc/{pid}/{file}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, lines.encode())
            finally:
                os.close(fd)


def join(oci: dict[str, Any]) -> None:
    """In the child: become root of the user namespace, enter what is shared with other containers, and make the new cgroup namespace."""
    listed = wanted(oci)
    if "user" in listed:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    for kind, flag, _ in KINDS:
        if listed.get(kind) and kind != "pid":
            fd = os.open(listed[kind], os.O_RDONLY | os.O_CLOEXEC)
            linux.setns(fd, flag)
            os.close(fd)
    if listed.get("cgroup") == "":
        linux.unshare(linux.CLONE_NEWCGROUP)


def raise_loopback() -> None:
    """Take up the loopback interface of a new network namespace, as every network driver expects to find it (netdevice(7))."""
    control = socket(AF_INET, SOCK_DGRAM)
    request = struct.pack("@16sh22x", b"lo", 0)
    flags = struct.unpack_from("@16xh", fcntl.ioctl(control.fileno(), SIOCGIFFLAGS, request))[0]
    fcntl.ioctl(control.fileno(), SIOCSIFFLAGS, struct.pack("@16sh22x", b"lo", flags | IFF_UP))
    control.close()


class Target:
    """A running container, as an `exec` joins it: its first process, held by a pidfd so that the number cannot become another's."""

    __slots__ = ("flags", "pid", "pidfd")

    def __init__(self, pid: int, start_time: int | None) -> None:
        """`start_time` in clock ticks, field 22 of /proc/PID/stat. Raises ProcessLookupError when it is not that process any more."""
        self.pid, self.pidfd = pid, os.pidfd_open(pid)
        if start_time is not None and process_start_time(pid) != start_time:
            os.close(self.pidfd)
            raise ProcessLookupError(errno.ESRCH, "the container's process has ended", str(pid))
        # Joining one's own user namespace is an error, so only the kinds that differ are joined.
        self.flags = sum(flag for _, flag, name in KINDS if _inode(pid, name) != _inode("self", name))

    def open_pid_namespace(self) -> int:
        """A descriptor for `clone`, which sends a child there; -1 where it is the caller's own."""
        return os.dup(self.pidfd) if self.flags & linux.CLONE_NEWPID else -1

    def join(self) -> None:
        """In the child: enter all of its namespaces at once, and with the mount namespace its root."""
        linux.setns(self.pidfd, self.flags & ~linux.CLONE_NEWPID)
        os.chdir("/")

    def close(self) -> None:
        os.close(self.pidfd)


def process_start_time(pid: int | str) -> int:
    """When a process began, in clock ticks since boot; raises ProcessLookupError when there is none. A zombie has begun, too."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            return int(file.read().rpartition(b")")[2].split()[19])
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, "no such process", str(pid)) from None


def _inode(pid: int | str, name: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{name}").st_ino
