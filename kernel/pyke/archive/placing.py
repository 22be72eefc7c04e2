"""A tar stream is copied into a directory that is in use: what `cp` does, on either side.

As with a layer, nothing is trusted, and no link is followed unless somebody knows how. Otherwise than with a layer, what is there already
counts: a directory is merged with the one in the archive, a file takes the place of a file, and neither takes the other's unless that was
asked for.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyke.archive import tree
from pyke.archive.extract import Extracted, Extractor, parts_of
from pyke.archive.limits import DEFAULT_LIMITS, ArchiveLimits
from pyke.archive.source import Source
from pyke.archive.tar import DIRECTORY, HARD_LINK, Entry, TarReader, printable
from pyke.errors import BadArchive

Follow = Callable[[tuple[bytes, ...]], int]


@dataclass(frozen=True, slots=True)
class Renaming:
    """The first component of every name, and what it is to be instead. An `old` of "", "." or "/" is no component: `new` is put before."""

    old: bytes
    new: bytes

    def of(self, name: bytes) -> bytes:
        """The new name; `BadArchive` for one that does not begin as announced."""
        parts = [part for part in name.split(b"/") if part and part != b"."]
        if self.old not in (b"", b".", b"/"):
            if not parts or parts[0] != self.old:
                raise BadArchive(f"the archive has {printable(name)} where something in {printable(self.old)} was expected")
            del parts[0]
        return b"/".join((self.new, *parts))


def place(
    source: Source,
    directory: int,
    *,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    owner: tuple[int, int] | None = None,
    renaming: Renaming | None = None,
    may_exchange: bool = False,
    follow: Follow | None = None,
) -> Extracted:
    """Copy the plain tar `source` into the directory descriptor `directory`, and read `source` to its end.

    Files belong to `owner` (user and group ID), None: to whom the archive says. With `may_exchange` a file may take the place of a
    directory and the other way round. `follow` opens a directory whose name has a link in it, see `tree.Parents`; without it, nothing is
    copied through a link. An entry for `directory` itself is left out. Raises `BadArchive`, or `NoSpace`, and leaves what was
    copied until then.
    """
    return _Placer(directory, owner, renaming, may_exchange, follow).run(TarReader(source, limits))


class _Placer(Extractor):
    follows_links = False  # but by `follow`: others may exchange them meanwhile

    def __init__(
        self, root: int, owner: tuple[int, int] | None, renaming: Renaming | None, may_exchange: bool, follow: Follow | None
    ) -> None:
        super().__init__(root, whiteouts=None)
        self.parents = tree.Parents(root, follow)
        self.owner, self.renaming, self.may_exchange = owner, renaming, may_exchange
        self.implied = Entry(b"", DIRECTORY, 0o755, *(owner or (0, 0)), time.time_ns(), 0, b"", (0, 0))
        self.entry = self.implied  # the one that is being placed

    def _place(self, entry: Entry) -> None:
        self.entry = entry
        if self.renaming is not None:
            entry.name = self.renaming.of(entry.name)
            entry.link = self.renaming.of(entry.link) if entry.kind == HARD_LINK else entry.link
        if self.owner is not None:
            entry.uid, entry.gid = self.owner
        if entry.kind != DIRECTORY or parts_of(entry.name):
            super()._place(entry)

    def _clear(self, parent: int, name: bytes) -> None:
        if tree.is_mount_point(parent, name):  # removing it would take the mount away from whoever has it
            raise BadArchive(f"{printable(self.entry.name)} cannot be replaced, for something is mounted on it")
        if self.may_exchange:
            super()._clear(parent, name)
        elif tree.kind_of(parent, name) == stat.S_IFDIR:
            raise BadArchive(f"cannot overwrite directory {printable(self.entry.name)} with a non-directory")
        elif self.entry.kind == DIRECTORY:
            raise BadArchive(f"cannot overwrite non-directory {printable(self.entry.name.rstrip(b'/'))} with a directory")
        else:
            os.unlink(name, dir_fd=parent)

    def _file(self, parent: int, name: bytes, entry: Entry) -> None:
        """As for a layer, but a file on which another is mounted (/etc/hosts, `-v FILE:FILE`) is written in place."""
        try:
            super()._file(parent, name, entry)
        except FileExistsError:
            if tree.kind_of(parent, name) != stat.S_IFREG or not tree.is_mount_point(parent, name):
                raise
            with tree.opened_file(name, os.O_WRONLY, dir_fd=parent) as descriptor:
                os.ftruncate(descriptor, 0)
                self._write_content(entry, descriptor)
