"""What a layer deletes from the layers below it: the names ".wh.NAME" and ".wh..wh..opq" (OCI image-spec, layer.md, "Whiteouts")."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Protocol

from pyke.archive import tree
from pyke.archive.tar import printable
from pyke.errors import BadArchive

Parts = tuple[bytes, ...]

PREFIX = b".wh."
OPAQUE_NAME = b".wh..wh..opq"
OPAQUE = b"trusted.overlay.opaque"


class Whiteouts(Protocol):
    """A way to carry out what a layer deletes."""

    def whiteout(self, parents: tree.Parents, directory: Parts, name: bytes) -> bool:
        """Carry out the whiteout `name` found in `directory`; True when directories that existed may have vanished."""
        ...

    def placed(self, parts: Parts) -> None:
        """The layer itself has an entry `parts`, which its whiteouts do not touch."""
        ...

    def revived(self, parent: int, name: bytes) -> None:
        """The layer has a directory `name` after having deleted what the layers below call so."""
        ...


def target_of(name: bytes) -> bytes:
    """What the whiteout `name` deletes; b"" for the marks of other programs that begin with ".wh..wh."."""
    if name.startswith(b".wh..wh."):
        return b""
    target = name[len(PREFIX) :]
    if target in (b"", b".", b".."):
        raise BadArchive(f"the whiteout {printable(name)} deletes nothing that a layer may delete")
    return target


class OverlayWhiteouts:
    """Whiteouts in overlayfs's own form (kernel, Documentation/filesystems/overlayfs): a device 0:0, an attribute on a directory."""

    def whiteout(self, parents: tree.Parents, directory: Parts, name: bytes) -> bool:
        parent = parents.of(directory)
        if name == OPAQUE_NAME:
            os.setxattr(parent, OPAQUE, b"y")
        elif target := target_of(name):
            self._delete(parent, target)
        return False

    def _delete(self, parent: int, target: bytes) -> None:
        try:
            os.mknod(target, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:  # of this layer, so it stays; but nothing from below may shine through it
            if tree.kind_of(parent, target) == stat.S_IFDIR:
                self.revived(parent, target)

    def placed(self, parts: Parts) -> None:
        pass

    def revived(self, parent: int, name: bytes) -> None:
        with tree.opened(name, dir_fd=parent) as directory:
            os.setxattr(directory, OPAQUE, b"y")


class AppliedWhiteouts:
    """Whiteouts carried out on the tree that is there already: what they name is deleted, unless this same layer brought it."""

    def __init__(self) -> None:
        self._own: set[Parts] = set()

    def whiteout(self, parents: tree.Parents, directory: Parts, name: bytes) -> bool:
        with contextlib.suppress(FileNotFoundError):
            parent = parents.of(directory, make=False)
            if name == OPAQUE_NAME:
                return self._empty(parent, directory)
            if target := target_of(name):
                return self._delete(parent, (*directory, target))
        return False

    def _empty(self, parent: int, directory: Parts) -> bool:
        deleted = [self._delete(parent, (*directory, os.fsencode(child))) for child in os.listdir(parent)]
        return any(deleted)

    def _delete(self, parent: int, parts: Parts) -> bool:
        if parts not in self._own:
            tree.remove(parent, parts[-1])
            return True
        if tree.kind_of(parent, parts[-1]) == stat.S_IFDIR:
            with tree.opened(parts[-1], dir_fd=parent) as directory:
                return self._empty(directory, parts)
        return False

    def placed(self, parts: Parts) -> None:
        self._own.update(parts[:count] for count in range(1, len(parts) + 1))

    def revived(self, parent: int, name: bytes) -> None:
        pass
