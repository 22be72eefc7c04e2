"""This side of a `cp`: what is copied from here, and where what comes is put.

What comes is placed as an engine places it (`pyke.archive.placing`): links are followed in the path that the user typed, and nowhere else.
"""

from __future__ import annotations

import os
import posixpath
import stat

from pyke.archive import tree
from pyke.archive.pack import pack_one
from pyke.archive.placing import Renaming, place
from pyke.archive.source import Source
from pyke.errors import BadArchive, NoSpace, PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyke.archive.content import Content

LINKS_FOLLOWED = 10  # of a destination, as Docker


class Renamed:
    """What an archive calls the thing that was copied, and what the user called it."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new


class Origin:
    """A file or directory here. `called` is what it is to be called in the container; "." stands for what is in it."""

    def __init__(self, path: str, called: str, is_directory: bool) -> None:
        self.path, self.called, self.is_directory = path, called, is_directory


def base_of(path: str) -> str:
    """The last component: "." of "a/.", "a" of "a/", "/" of "/"."""
    if path.endswith("/.") or path == ".":
        return "."
    return posixpath.basename(posixpath.normpath(path)) or "/"


def parent_of(path: str) -> str:
    """The directory that the last component is in: "a" of "a/b", "a/" and "a/." are in "." and "a"."""
    if path.endswith("/.") or path == ".":
        return posixpath.normpath(path)
    return posixpath.dirname(posixpath.normpath(path)) or "."


def asks_for_directory(path: str) -> bool:
    """Whether a path can only be meant for a directory."""
    return path.endswith(("/", "/.")) or path in ("", ".")


# --- from here -----------------------------------------------------------------------------------------------------


def origin(path: str, *, follow: bool) -> Origin:
    """What is to be copied. Links in the directories before it are followed; itself only with `follow`, or when "/" comes after it."""
    follow = follow or asks_for_directory(path)
    try:
        found = os.stat(path, follow_symlinks=follow)
    except FileNotFoundError as error:
        raise PykeError(f"lstat {os.path.abspath(path)}: no such file or directory") from error
    real = os.path.realpath(path) if follow else os.path.join(os.path.realpath(parent_of(path)), base_of(path))
    return Origin(real, base_of(path), stat.S_ISDIR(found.st_mode))


def packed(source: Origin, name: str) -> Iterator[bytes | Content]:
    """A tar of it, in which it is called `name`."""
    parent, last = os.path.split(source.path)
    with tree.opened(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) as directory:
        yield from pack_one(directory, os.fsencode(last or "."), as_name=os.fsencode(name))


def destination(target: str, *, exists: bool, is_directory: bool, source: Origin) -> tuple[str, str]:
    """The directory of the container that an archive is to be placed in, and the name of `source` in it: Docker's rules."""
    if is_directory:
        return target, source.called
    return parent_of(target), _new_name(target, exists, source.is_directory)


def _new_name(target: str, exists: bool, source_is_directory: bool) -> str:
    if exists and source_is_directory:
        raise PykeError("cannot copy directory")
    if not exists and not source_is_directory and asks_for_directory(target):
        raise PykeError("no such directory")
    return base_of(target)


# --- to here -------------------------------------------------------------------------------------------------------


def check_target(path: str) -> None:
    """Refuse a place where nothing can be copied to, before anything is asked of an engine."""
    directory = os.path.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")
    if not os.path.isdir(directory):
        raise PykeError(f'invalid output path: directory "{os.path.abspath(directory)}" does not exist', hint=f"mkdir -p {directory}")
    if os.path.exists(path) and not (os.path.isdir(path) or os.path.isfile(path)):
        raise PykeError(f'invalid output path: "{os.path.abspath(path)}" must be a directory or a regular file')


def receive(pieces: Iterable[bytes], names: Renamed, is_directory: bool, target: str, *, keep_owner: bool) -> None:
    """Place the archive of one thing at `target`, which was checked; its files belong to us unless their owners are to be kept."""
    path = target if asks_for_directory(target) else _followed(target)
    if os.path.isdir(path):
        directory, new = path, names.new
    else:
        directory, new = parent_of(path), _new_name(path, os.path.lexists(path), is_directory)
    renaming = Renaming(os.fsencode(names.old), os.fsencode("" if new in (".", "/") else new))  # and nothing comes that was not asked for
    iterator = iter(pieces)
    owner = None if keep_owner else (os.geteuid(), os.getegid())
    try:
        with tree.opened(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) as descriptor:
            place(Source(lambda size: next(iterator, b"")), descriptor, owner=owner, renaming=renaming)
    except NoSpace as error:
        error.hint = f"df -h {directory}"
        raise
    except BadArchive as error:
        raise PykeError(f"{error.message} (in {directory})", hint=error.hint) from error


def _followed(path: str) -> str:
    """Where the path leads that the user named, if that is a link; also to what is not there yet."""
    for _ in range(LINKS_FOLLOWED):
        if not os.path.islink(path):
            return path
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    raise PykeError(f"too many links in {path}")
