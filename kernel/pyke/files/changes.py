"""What a container changed: its own layer, compared with the layers of its image (`diff`, and what a `commit` takes along).

A directory counts as changed when something in it did, or its mode or owner; everything else by its mode, owner, size and time, as Docker
compares. The places that a start makes to mount on (/proc, /etc/hosts) count as having been there before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from pyke.archive import tree
from pyke.archive.whiteouts import OPAQUE
from pyke.runtime.root import Root

MODIFIED, ADDED, DELETED = 0, 1, 2  # of the API
Change = tuple[int, bytes]

#: Where a start makes directories and files to mount on; Docker's containers have them from a layer of their own.
MOUNT_POINTS = (b"dev", b"etc", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf", b"proc", b"sys")


def changes(upper: int, base: Root) -> Iterator[Change]:
    """The changes in the directory descriptor `upper` (an overlay's) over `base`, sorted by path, parents first."""
    with tree.opened(".", dir_fd=base.fd) as lower:
        yield from _directory(upper, lower, b"")


def _directory(upper: int, lower: int | None, prefix: bytes) -> Iterator[Change]:
    mine = {os.fsencode(name) for name in os.listdir(upper)}
    hidden = set(map(os.fsencode, os.listdir(lower))) - mine if lower is not None and _is_opaque(upper) else set()
    for name in sorted(mine | hidden):
        if name in hidden:
            yield DELETED, b"/" + prefix + name
        else:
            yield from _entry(upper, lower, name, prefix + name)


def _entry(upper: int, lower: int | None, name: bytes, path: bytes) -> Iterator[Change]:
    found, before = os.stat(name, dir_fd=upper, follow_symlinks=False), _before(lower, name)
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        if before is not None:
            yield DELETED, b"/" + path
        return
    below = list(_below(upper, lower, name, path)) if stat.S_ISDIR(found.st_mode) else []
    if before is None and path not in MOUNT_POINTS:
        yield ADDED, b"/" + path
    elif below or (_differs(found, before) if before is not None else _is_written(found)):
        yield MODIFIED, b"/" + path
    yield from below


def _below(upper: int, lower: int | None, name: bytes, path: bytes) -> Iterator[Change]:
    with tree.opened(name, dir_fd=upper) as directory:
        if lower is None or tree.kind_of(lower, name) != stat.S_IFDIR:
            yield from _directory(directory, None, path + b"/")
            return
        with tree.opened(name, dir_fd=lower) as directory_before:
            yield from _directory(directory, directory_before, path + b"/")


def _before(lower: int | None, name: bytes) -> os.stat_result | None:
    if lower is None:
        return None
    try:
        return os.stat(name, dir_fd=lower, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _differs(found: os.stat_result, before: os.stat_result) -> bool:
    if (found.st_mode, found.st_uid, found.st_gid, found.st_rdev) != (before.st_mode, before.st_uid, before.st_gid, before.st_rdev):
        return True
    return not stat.S_ISDIR(found.st_mode) and (found.st_size, found.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def _is_written(mount_point: os.stat_result) -> bool:
    return not stat.S_ISDIR(mount_point.st_mode) and mount_point.st_size > 0


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE) == b"y"
    except OSError:
        return False


def untouched_mount_points(upper: int, base: Root) -> frozenset[bytes]:
    """The mount points in `upper` that a start made and nobody used: a layer should not have them."""
    left_out: set[bytes] = set()
    with Root(os.dup(upper)) as mine:
        for path in sorted(MOUNT_POINTS, reverse=True):  # what lies in a directory comes before the directory
            if _is_untouched(mine, base, path, left_out):
                left_out.add(path)
    return frozenset(left_out)


def _is_untouched(upper: Root, base: Root, path: bytes, left_out: set[bytes]) -> bool:
    found, before = (_status(root, path) for root in (upper, base))
    if found is None or (before is not None and (not stat.S_ISDIR(found.st_mode) or _differs(found, before))):
        return False
    if not stat.S_ISDIR(found.st_mode):
        return stat.S_ISREG(found.st_mode) and not found.st_size
    fd = upper.open(os.fsdecode(path), os.O_RDONLY | os.O_DIRECTORY, follow=False)
    try:
        return not _is_opaque(fd) and {path + b"/" + os.fsencode(name) for name in os.listdir(fd)} <= left_out
    finally:
        os.close(fd)


def _status(root: Root, path: bytes) -> os.stat_result | None:
    try:
        fd = root.open(os.fsdecode(path), follow=False)
    except OSError:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
