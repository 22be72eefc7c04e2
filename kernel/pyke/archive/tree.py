"""Directories reached by descriptors: parents found without ever leaving the root, trees removed without following a link."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator

from pyke.archive.limits import DEFAULT_LIMITS
from pyke.archive.tar import printable
from pyke.errors import BadArchive, NoDirectory

DIRECTORY_ONLY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_DEPTH = DEFAULT_LIMITS.max_depth
MAX_LINKS = 40  # as the kernel's
MAX_STEPS = 400  # parts of the targets of all links in one name: each costs a system call or more, and a name may be one of millions
OPEN_PARENTS = 64  # descriptors kept: deeper than almost any tree, and archives come in the order of their trees


class Parents:
    """Opens the directories below a root in which entries are to be made, and keeps the last ones open.

    Each component is opened relative to the one before it and never through a symbolic link, so nothing that an archive or another
    process puts into the tree leads outside of it. `follow` may open a directory one part of which is such a link, in a way that does not
    lead outside either; without it, that is a `NoDirectory`.
    """

    def __init__(self, root: int, follow: Callable[[tuple[bytes, ...]], int] | None = None) -> None:
        self._root, self._follow = root, follow
        self._open: dict[tuple[bytes, ...], int] = {}
        self.made: list[tuple[bytes, ...]] = []  # directories that no entry of the archive announced

    def of(self, parts: tuple[bytes, ...], *, make: bool = True) -> int:
        """A descriptor of the directory `parts`, valid until the next call. Missing directories are made unless `make` is False."""
        if not parts:
            return self._root
        found = self._open.get(parts)
        if found is None:
            found = self._enter(self.of(parts[:-1], make=make), parts, make)
            if len(self._open) >= OPEN_PARENTS:
                self.forget()
            self._open[parts] = found
        return found

    def _enter(self, parent: int, parts: tuple[bytes, ...], make: bool) -> int:
        try:
            return os.open(parts[-1], DIRECTORY_ONLY, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
            self.made.append(parts)
            return os.open(parts[-1], DIRECTORY_ONLY, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            with contextlib.suppress(OSError):
                if self._follow is not None:
                    return self._follow(parts)
            raise NoDirectory(f"{printable(b'/'.join(parts))} is not a directory, and the archive wants something below it") from error

    def resolved(self, parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The directory `parts`, which may be missing from some part on, by a name without symbolic links.

        As in a chroot, `/` and `..` of a link end at the root. FileNotFoundError where a link leads to nothing.
        """
        found: tuple[bytes, ...] = ()
        budget = [MAX_LINKS, MAX_STEPS]
        for at, part in enumerate(parts):
            try:
                directory = self.of(found, make=False)
            except FileNotFoundError:
                return (*found, *parts[at:])
            target = _target(directory, part)
            found = (*found, part) if target is None else self._led(found, target, budget)
        return found

    def _led(self, directory: tuple[bytes, ...], target: bytes, budget: list[int]) -> tuple[bytes, ...]:
        """Where a link in `directory` with the text `target` leads; what it leads to is there."""
        found = () if target.startswith(b"/") else directory
        steps = target.split(b"/")
        budget[:] = budget[0] - 1, budget[1] - len(steps)
        if min(budget) < 0:
            raise BadArchive(
                f"{printable(target)} leads through more than {MAX_LINKS} symbolic links, or {MAX_STEPS} parts of their targets"
            )
        for part in steps:
            if part == b"..":
                found = found[:-1]
            elif part not in (b"", b"."):
                further = _target(self.of(found, make=False), part)
                found = (*found, part) if further is None else self._led(found, further, budget)
        self.of(found, make=False)
        return found

    def forget(self) -> None:
        """Close what is kept open: a directory was replaced, or the work is done."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def _target(directory: int, name: bytes) -> bytes | None:
    """What the symbolic link `name` says, None where it is no link."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        return None


@contextlib.contextmanager
def opened(path: str | bytes, flags: int = DIRECTORY_ONLY, *, dir_fd: int | None = None) -> Iterator[int]:
    """A descriptor for the length of a block."""
    descriptor = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_file(name: bytes, flags: int, *, dir_fd: int) -> Iterator[int]:
    """A descriptor of a regular file for the length of a block; FileNotFoundError for anything else.

    A device that takes the file's place meanwhile is not opened: for a watchdog or a tape, that alone is an act.
    """
    with opened(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd) as node:
        if not stat.S_ISREG(os.fstat(node).st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file any more", os.fsdecode(name))
        with opened(f"/proc/self/fd/{node}", flags | os.O_CLOEXEC) as descriptor:
            yield descriptor


def is_mount_point(parent: int, name: bytes) -> bool:
    """Whether something is mounted on `name`, in whatever namespace the directory `parent` is seen.

    The kernel would say so only for the caller's own namespace, and take a mount of another one away with the file under it (unlink(2)).
    """
    with opened(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent) as node:
        return _mount_id(node) != _mount_id(parent)


def _mount_id(descriptor: int) -> bytes:
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
        return next(line for line in file if line.startswith(b"mnt_id:"))


def remove(parent: int, name: bytes) -> None:
    """Remove what `name` is in the directory `parent`: a file, a link, or a tree of any depth. Links are never followed."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        with opened(name, dir_fd=parent) as top:
            while children := os.listdir(top):
                for child in children:
                    _remove_child(top, os.fsencode(child))
        os.rmdir(name, dir_fd=parent)


def _remove_child(top: int, name: bytes) -> None:
    """Remove an entry of `top`; the directories in it are moved up into `top`, so that no depth costs descriptors or stack."""
    try:
        os.unlink(name, dir_fd=top)
    except IsADirectoryError:
        with opened(name, dir_fd=top) as directory:
            for child in os.listdir(directory):
                try:
                    os.unlink(child, dir_fd=directory)
                except IsADirectoryError:
                    os.rename(child, secrets.token_hex(16), src_dir_fd=directory, dst_dir_fd=top)
        os.rmdir(name, dir_fd=top)


def size_of(directory: int) -> int:
    """The bytes of file content below a directory descriptor, files with several names counted once, as Docker counts.

    What lies deeper than `MAX_DEPTH` is not counted: whoever nests that deep does it to be expensive.
    """
    seen: set[tuple[int, int]] = set()
    return _size_of(directory, seen, 0)


def _size_of(directory: int, seen: set[tuple[int, int]], depth: int) -> int:
    size = 0
    with os.scandir(directory) as children:
        for child in children:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found = child.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and depth < MAX_DEPTH:
                    with opened(child.name, dir_fd=directory) as below:
                        size += _size_of(below, seen, depth + 1)
                elif stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                    if found.st_nlink > 1:
                        seen.add((found.st_dev, found.st_ino))
                    size += found.st_size
    return size


def kind_of(parent: int, name: bytes) -> int:
    """The file type bits of what `name` is in `parent`, 0 when there is nothing."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return 0
