"""A container's files as a `Root`: of one that runs, through its mount namespace; of one that does not, by mounting its snapshot.

All of it happens in a mount namespace that is this process's own, and private: nothing that is mounted here is seen anywhere else, and it
is gone with the process.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyke.runtime import linux, rootfs
from pyke.runtime.options import Options
from pyke.runtime.plan import BindOperation, new_mount
from pyke.runtime.root import Root


def leave_the_host() -> None:
    """Enter a mount namespace of one's own, from which nothing reaches the host's. For a single-threaded process."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)


def of_process(pid: int, container: str, *, with_mounts: bool = True) -> Root:
    """The root of a running container, whose first process is `pid`; without its mounts, of its root file system alone.

    ProcessLookupError when that process has ended, or is not the container's (any more).
    """
    pidfd = os.pidfd_open(pid)
    try:
        _check_container(pid, container)
        with _joined(pidfd):
            if with_mounts:
                return Root.at("/")
            return Root(linux.open_tree("/", linux.OPEN_TREE_CLONE))
    finally:
        os.close(pidfd)


def _check_container(pid: int, container: str) -> None:
    """A number may have become another process's: its cgroup says whose it is."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            if container in file.read():
                return
    except FileNotFoundError:
        pass
    raise ProcessLookupError(errno.ESRCH, "the container's process has ended", str(pid))


@contextmanager
def _joined(pidfd: int) -> Iterator[None]:
    """Be in the mount namespace of a process for the length of a block, which should be short and import nothing."""
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(pidfd, linux.CLONE_NEWNS)
        try:
            yield
        finally:
            linux.setns(home, linux.CLONE_NEWNS)
    finally:
        os.close(home)


def of_snapshot(plan: Mapping[str, Any], binds: Sequence[Mapping[str, Any]], stand: str, *, read_only: bool) -> Root:
    """The file system of a container that does not run, with its volumes and binds (OCI mounts) in their places.

    `plan` is a RootFilesystem as data, `stand` a directory of the host that may be covered here.
    """
    operations = _prepared(binds)
    root = _furnished(_mounted(plan, stand), operations)
    if read_only:
        linux.mount_setattr(root.fd, set=linux.MOUNT_ATTR_RDONLY)
    return root


def over_snapshot(plan: Mapping[str, Any], binds: Sequence[Mapping[str, Any]], stand: str) -> Root:
    """The same for somebody who only reads: what is made here, as places to mount on, is thrown away.

    The container's own layer is mounted as a layer among others, and a new one, in memory, over it. So the snapshot is not in use by
    this, and may be mounted to run or deleted meanwhile.
    """
    if plan["kind"] != "overlay" or not plan.get("upper"):
        return of_snapshot(plan, binds, stand, read_only=False)
    operations = _prepared(binds)
    scratch = new_mount("tmpfs", "scratch", Options(["mode=700"]))
    _attach(scratch, stand)
    for name in ("upper", "work", "root"):
        os.mkdir(name, 0o755, dir_fd=scratch)
    _copy_mode(str(plan["upper"]), scratch)
    writable = {name: os.path.join(stand, name) for name in ("upper", "work")}
    layered = {**plan, "lower": [plan["upper"], *plan["lower"]], **writable}
    return _furnished(_mounted(layered, os.path.join(stand, "root")), operations)


def _copy_mode(upper: str, scratch: int) -> None:
    """The root directory's own attributes are those of the topmost layer's."""
    found = os.stat(upper)
    os.chown("upper", found.st_uid, found.st_gid, dir_fd=scratch)
    os.chmod("upper", found.st_mode & 0o7777, dir_fd=scratch)
    os.utime("upper", ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=scratch)


def of_layers(plan: Mapping[str, Any], stand: str) -> Root:
    """What a container began with: the layers of its image."""
    return _mounted(plan, stand)


def _prepared(binds: Sequence[Mapping[str, Any]]) -> list[BindOperation]:
    """What is to be bound, opened while nothing covers the host's directories yet."""
    operations = [BindOperation(bind["destination"], bind["source"], list(bind["options"])) for bind in binds]
    for operation in operations:
        operation.prepare()
    return operations


def _mounted(plan: Mapping[str, Any], stand: str) -> Root:
    mount = rootfs.root_operation(dict(plan), stand).execute()
    _attach(mount, stand)
    return Root(mount)


def _attach(mount: int, stand: str) -> None:
    with Root.at(stand) as covered:
        linux.move_mount(mount, covered.fd)


def _furnished(root: Root, operations: list[BindOperation]) -> Root:
    for operation in operations:
        operation.execute(root)
    return root
