"""A container's root directory, and the one way to reach a path below it.

Every path goes through openat2(2) with RESOLVE_IN_ROOT: `..` and absolute symbolic links end at the root, whatever the container has put
there or changes meanwhile, and links of /proc that lead out (/proc/self/fd/3, /proc/1/root) are refused.
"""

from __future__ import annotations

import errno
import os
import stat

from pyke.runtime import linux

LINKS_FOLLOWED = 40  # as the kernel


class Root:
    """A directory that paths cannot leave. Holds one descriptor; `close` it, or use it in a `with`."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def at(cls, path: str) -> Root:
        return cls(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.fd)

    def open(self, path: str, flags: int = os.O_PATH, *, mode: int = 0, follow: bool = True) -> int:
        """Open `path`; with `follow` False no part of it may be a symbolic link (ELOOP)."""
        links = 0 if follow else linux.RESOLVE_NO_SYMLINKS
        while True:
            try:
                return linux.openat2(self.fd, path, flags, mode=mode, resolve=linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS | links)
            except BlockingIOError:  # EAGAIN: something was renamed somewhere during the walk; the kernel asks to try again
                continue

    def open_file(self, path: str, limit: int) -> bytes | None:
        """What the regular file `path` holds, or None where there is none. Never waits (for a FIFO), never reads beyond `limit` bytes.

        Raises OSError EFBIG for a larger file.
        """
        try:
            fd = self.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return None
            raise
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return None
        with os.fdopen(fd, "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
        return content

    def make_directory(self, path: str, mode: int = 0o755) -> int:
        """Open (O_PATH) the directory `path`, made with its parents where it is missing."""
        return self._make(path, True, mode, LINKS_FOLLOWED)

    def make_file(self, path: str, mode: int = 0o755) -> int:
        """Open (O_PATH) the file `path`, made empty and with its parents where it is missing."""
        return self._make(path, False, mode, LINKS_FOLLOWED)

    def _make(self, path: str, is_directory: bool, mode: int, links: int) -> int:
        path = os.path.normpath("/" + path)  # as Docker: ".." of a target is taken by its words
        try:
            return self.open(path)
        except FileNotFoundError:
            parent_path, name = os.path.split(path)
        if not name or links == 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        parent = self.make_directory(parent_path)
        try:
            _create(name, parent, is_directory, mode)
        except FileExistsError:  # a symbolic link that leads to nothing: what is wanted is made where it leads
            return self._make(os.path.join(parent_path, os.readlink(name, dir_fd=parent)), is_directory, mode, links - 1)
        finally:
            os.close(parent)
        return self.open(path)


def _create(name: str, parent: int, is_directory: bool, mode: int) -> None:
    if is_directory:
        os.mkdir(name, mode, dir_fd=parent)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=parent))
