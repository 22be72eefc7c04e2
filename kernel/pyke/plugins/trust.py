"""Whether a plugin's files may be run: the engine is root, and whoever can write them would be too."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Iterator

import pyke


class Untrusted(Exception):
    """A plugin's files could be changed by somebody who is not trusted."""


def check_module(module: str) -> None:
    """Raise `Untrusted` when another than root, the engine's own user or the owner of pyke itself can write the top-level package of
    `module`, or a directory above it. Imports nothing; a module that does not exist is left for its import to report."""
    specification = importlib.util.find_spec(module.partition(".")[0])
    if specification is None:
        return
    trusted = {0, os.geteuid(), os.stat(pyke.__file__).st_uid}
    for place in specification.submodule_search_locations or [specification.origin or ""]:
        if os.path.exists(place):
            _check_place(os.path.realpath(place), trusted)


def _check_place(place: str, trusted: set[int]) -> None:
    for path in _files(place):
        _check_path(path, trusted, sticky_is_safe=False)
    while (parent := os.path.dirname(place)) != place:
        _check_path(parent, trusted, sticky_is_safe=True)
        place = parent


def _files(place: str) -> Iterator[str]:
    yield place
    for directory, folders, files in os.walk(place):
        for name in (*folders, *files):
            yield os.path.join(directory, name)


def _check_path(path: str, trusted: set[int], *, sticky_is_safe: bool) -> None:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return  # its own mode means nothing, and the directory that holds it is checked
    if status.st_uid not in trusted:
        raise Untrusted(f"{path} belongs to user {status.st_uid}, who is neither root nor the owner of pyke")
    if sticky_is_safe and status.st_mode & stat.S_ISVTX:
        return  # others may add names here, but not replace this one
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid())):
        raise Untrusted(f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod go-w {path}")
