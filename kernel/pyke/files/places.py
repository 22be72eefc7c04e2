"""Where a path of a container leads, in Docker's way: the last component is taken as it is, all others are followed.

A path that ends in "/" or "/." asks for a directory, and then the last component is followed, too. Everything is resolved once, to
descriptors; what the container exchanges afterwards is not seen.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from datetime import UTC, datetime
from typing import Any

from pyke.errors import Forbidden, InvalidRequest, NotFound, PykeError
from pyke.runtime import linux
from pyke.runtime.root import LINKS_FOLLOWED, Root

#: What the kernel shows of itself inside a container is nobody's file: it is not there for `cp`, as it is not for Docker's.
KERNEL_FILE_SYSTEMS = {
    linux.CGROUP2_SUPER_MAGIC,
    linux.CGROUP_SUPER_MAGIC,
    linux.DEVPTS_SUPER_MAGIC,
    linux.MQUEUE_MAGIC,
    linux.PROC_SUPER_MAGIC,
    linux.SYSFS_MAGIC,
}
GO_MODES = (  # of Go's os.FileMode, which the API speaks
    (stat.S_IFDIR, 1 << 31),
    (stat.S_IFLNK, 1 << 27),
    (stat.S_IFBLK, 1 << 26),
    (stat.S_IFIFO, 1 << 25),
    (stat.S_IFSOCK, 1 << 24),
    (stat.S_IFCHR, 1 << 26 | 1 << 21),
)
GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class Place:
    """What a path leads to: `fd` (O_PATH), its directory `parent` and its `name` there, and the name that it is called by."""

    def __init__(self, root: Root, path: str, container: str) -> None:
        self.root, self.path, self.container = root, path, container
        self.clean = posixpath.normpath("/" + path.lstrip("/"))
        asks_for_directory = path.endswith(("/", "/.")) or path == "." or self.clean == "/"
        self.called = "." if path.endswith("/.") or path == "." else posixpath.basename(self.clean) or "/"
        try:
            if asks_for_directory:
                self.parent, self.name = root.open(self.clean, os.O_PATH | os.O_DIRECTORY), "."
            else:
                self.parent, self.name = (
                    root.open(posixpath.dirname(self.clean), os.O_PATH | os.O_DIRECTORY),
                    posixpath.basename(self.clean),
                )
            self.fd = os.open(self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.parent)
        except OSError as error:
            raise self._translated(error) from error
        if self.name != "." and not is_shown(self.parent):
            raise self._missing()

    def stat(self) -> dict[str, Any]:
        """Docker's ContainerPathStat."""
        found = os.fstat(self.fd)
        return {
            "name": self.called,
            "size": found.st_size,
            "mode": go_mode(found.st_mode),
            "mtime": _instant(found.st_mtime_ns),
            "linkTarget": self._link_target() if stat.S_ISLNK(found.st_mode) else "",
        }

    def _link_target(self) -> str:
        """Where a link leads in the end, as a path from the container's root. It is told, and never used here."""
        path = self.clean
        for _ in range(LINKS_FOLLOWED):
            try:
                parent = self.root.open(posixpath.dirname(path), os.O_PATH | os.O_DIRECTORY)
            except OSError:
                return path
            try:
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.readlink(posixpath.basename(path), dir_fd=parent)))
            except OSError:
                return path
            finally:
                os.close(parent)
        return path

    def _translated(self, error: OSError) -> PykeError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return self._missing()
        return PykeError(f"{self.path} in container {self.container} cannot be reached: {os.strerror(error.errno or 0)}")

    def _missing(self) -> NotFound:
        return NotFound(f"Could not find the file {self.path} in container {self.container}", hint=f"pyke export {self.container} | tar t")


def destination(root: Root, path: str, container: str) -> int:
    """A descriptor of the directory that an archive is to be copied into; `Forbidden` where it is mounted read-only."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    try:
        found = root.open(clean)
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise InvalidRequest("extraction point is not a directory") from error
        raise NotFound(f"Could not find the file {path} in container {container}") from error
    if not stat.S_ISDIR(os.fstat(found).st_mode):
        raise InvalidRequest("extraction point is not a directory")
    if not is_shown(found):
        raise Forbidden(f"{path} in container {container} is the kernel's own: nothing can be copied there")
    if os.fstatvfs(found).f_flag & os.ST_RDONLY:
        is_root = os.fstat(found).st_dev == os.fstat(root.fd).st_dev
        raise Forbidden("container rootfs is marked read-only" if is_root else "mounted volume is marked read-only")
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=found)


def followed(root: Root, path: str, parts: tuple[bytes, ...]) -> int:
    """A descriptor of the directory `parts` below `path`, links on the way followed inside the container: `bin/x` may mean /usr/bin/x."""
    found = root.open("/".join((path, *map(os.fsdecode, parts))), os.O_RDONLY | os.O_DIRECTORY)
    if is_shown(found):
        return found
    os.close(found)
    raise NotADirectoryError(errno.ENOTDIR, "the kernel's own directory", path)


def is_shown(directory: int) -> bool:
    """Whether a directory holds files of the container, and not the kernel's."""
    return linux.filesystem_magic(directory) not in KERNEL_FILE_SYSTEMS


def go_mode(mode: int) -> int:
    """A mode of stat(2) as Go's os.FileMode has it."""
    kind = next((bits for value, bits in GO_MODES if stat.S_IFMT(mode) == value), 0)
    return kind | sum(go for bit, go in GO_BITS if mode & bit) | mode & 0o777


def _instant(nanoseconds: int) -> str:
    """As Go writes an instant in JSON: RFC 3339, and no digit more than there is to say."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{digits}Z"
