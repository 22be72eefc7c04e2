"""An engine that was started in a chroot. Who joins a mount namespace by setns(2) gets the root of that namespace, whatever the root of its
processes is: an `exec` would be on the host. So such an engine makes its directory a real root, in a mount namespace of its own."""

from __future__ import annotations

import os

from pyke.runtime import linux, rootfs
from pyke.runtime.root import Root


def leave() -> None:
    """Where this process is in a chroot, make that directory the root of a mount namespace of its own. Threads may not exist yet.

    Who may not ask (an engine that is not root's) can run no container either.
    """
    try:
        is_confined = _is_confined()
    except PermissionError:
        return
    if is_confined:
        _make_root()


def _make_root() -> None:
    linux.unshare(linux.CLONE_NEWNS)
    with Root.at("/") as here:
        _see_all()
        linux.mount("none", "/", "", linux.MS_REC | linux.MS_SLAVE)
        tree = linux.open_tree("", linux.OPEN_TREE_CLONE | linux.AT_RECURSIVE | linux.AT_EMPTY_PATH, here.fd)
        with rootfs.enter(tree, here) as root:
            rootfs.forget_host(root)


def _is_confined() -> bool:
    """Whether this process's root is another directory than its mount namespace's."""
    with Root.at("/") as here, Root.at(".") as home:
        _see_all()
        with Root.at("/") as top:
            is_confined = _place(here) != _place(top)
        os.fchdir(here.fd)
        os.chroot(".")
        os.fchdir(home.fd)
    return is_confined


def _place(root: Root) -> tuple[str, int]:
    """Its mount and its inode; the inode alone is not enough, since a bind mount of a directory is that directory."""
    with open(f"/proc/self/fdinfo/{root.fd}", encoding="ascii") as file:
        mount = next(line for line in file if line.startswith("mnt_id:"))
    return mount, os.fstat(root.fd).st_ino


def _see_all() -> None:
    """Have the root of the mount namespace as root, which joining the namespace that one is in already gives."""
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    linux.setns(namespace, linux.CLONE_NEWNS)
    os.close(namespace)
