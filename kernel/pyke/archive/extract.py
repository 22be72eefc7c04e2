"""A tar stream becomes a directory tree: ownership, modes, times, attributes, links, devices and whiteouts as the archive says.

The archive is hostile until the last byte. Everything is done relative to a descriptor of a directory that was opened component by
component without following links (`tree.Parents`); names with ".." are refused; content is counted before it is written. A name that leads
through a symbolic link of the archive is resolved first, to a name below the root that leads through none. The tree being filled should be
one that nobody else can reach until `extract` has returned.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass

from pyke.archive import sparse, tree
from pyke.archive.birth import NOTHING, Birth
from pyke.archive.limits import DEFAULT_LIMITS, ArchiveLimits
from pyke.archive.source import Source
from pyke.archive.tar import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMBOLIC_LINK,
    Entry,
    TarReader,
    printable,
)
from pyke.archive.whiteouts import PREFIX, AppliedWhiteouts, OverlayWhiteouts, Whiteouts
from pyke.errors import BadArchive, NoDirectory, NoSpace

Parts = tuple[bytes, ...]

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
KEPT_XATTRS = {b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"}
FULL = {errno.ENOSPC, errno.EDQUOT}
UNSUPPORTED = {errno.ENOTSUP, errno.EPERM}
MAX_COMPONENT = 255


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came out of an archive. `size` is the bytes of file content, as Docker counts the size of a layer."""

    size: int
    entries: int


def extract(source: Source, root: int, *, limits: ArchiveLimits = DEFAULT_LIMITS, overlay: bool = False) -> Extracted:
    """Unpack the plain tar `source` below the directory descriptor `root`, and read `source` to its end.

    Whiteouts of OCI layers (image-spec, layer.md) become overlayfs's own where `overlay` is true, and deletions of what was there
    before where it is not. Extended attributes of other namespaces than user and security.capability and POSIX ACLs are dropped:
    trusted.overlay.* from outside would speak to the kernel. Raises `BadArchive`, or `NoSpace`, and leaves a partial tree behind.
    """
    extractor = Extractor(root, OverlayWhiteouts() if overlay else AppliedWhiteouts())
    extractor.birth = Birth.below(root)
    return extractor.run(TarReader(source, limits))


class Extractor:
    """Places entries below a directory, one after the other. With `whiteouts` None, names like ".wh.x" are names like others."""

    follows_links = True  # of the archive itself, where it has entries below them
    implied = Entry(b"", DIRECTORY, 0o755, 0, 0, 0, 0, b"", (0, 0))  # what a directory is that no entry announced

    def __init__(self, root: int, whiteouts: Whiteouts | None) -> None:
        self.root = root
        self.whiteouts = whiteouts
        self.parents = tree.Parents(root)
        self.directories: dict[Parts, Entry] = {}  # their metadata is set last: filling a directory changes its time
        self.birth = NOTHING  # what new files have without being told
        self.born: set[Parts] = set()  # directories that have all of their metadata but their time
        self.reader: TarReader
        self.makers = {
            FILE: self._file,
            HARD_LINK: self._hard_link,
            SYMBOLIC_LINK: self._symbolic_link,
            CHARACTER: self._device,
            BLOCK_DEVICE: self._device,
            FIFO: self._fifo,
        }

    def run(self, reader: TarReader) -> Extracted:
        """Place every entry of an archive, and read it to its end."""
        self.reader = reader
        try:
            return self._run()
        finally:
            self.parents.forget()

    def _run(self) -> Extracted:
        size = entries = 0
        for entry in self.reader:
            entries += 1
            try:
                self._place(entry)
            except OSError as error:
                raise _translated(error, entry.name) from error
            size += entry.length
        self._finish_directories()
        return Extracted(size, entries)

    def _place(self, entry: Entry) -> None:
        parts = parts_of(entry.name)
        try:
            self._place_at(parts, entry)
        except NoDirectory:
            self._place_at((*self._resolved(parts[:-1]), parts[-1]), entry)

    def _resolved(self, directory: Parts) -> Parts:
        """Another name for a directory that has a symbolic link in its name, without one; `BadArchive` where there is none."""
        if self.follows_links:
            with contextlib.suppress(FileNotFoundError):
                resolved = self.parents.resolved(directory)
                if resolved != directory:
                    return resolved
        raise BadArchive(f"{printable(b'/'.join(directory))} is not a directory, and the archive wants something below it")

    def _place_at(self, parts: Parts, entry: Entry) -> None:
        if not parts:
            if entry.kind != DIRECTORY:
                raise BadArchive("the archive's root is not a directory")
            return  # what the root is like is for whoever made it to say, as it is for Docker
        name = parts[-1]
        if self.whiteouts is not None and PREFIX in entry.name and _is_whiteout(parts):
            if self.whiteouts.whiteout(self.parents, parts[:-1], name):
                self._forget()
            return
        parent = self.parents.of(parts[:-1])
        if entry.kind == DIRECTORY:
            self._directory(parent, parts, entry)
            return
        make = self.makers[entry.kind]
        try:
            make(parent, name, entry)
        except FileExistsError:
            self._clear(parent, name)
            make(self.parents.of(parts[:-1]), name, entry)
        if self.whiteouts is not None:
            self.whiteouts.placed(parts)

    def _clear(self, parent: int, name: bytes) -> None:
        """Make room for an entry whose name is taken by an earlier one: the later one counts."""
        tree.remove(parent, name)
        self._forget()

    def _forget(self) -> None:
        """What was removed may be a directory that is kept open, or one of which only the time is still to be set."""
        self.parents.forget()
        self.born.clear()

    # the kinds of entries

    def _file(self, parent: int, name: bytes, entry: Entry) -> None:
        is_born = self.birth.gives(entry)
        descriptor = os.open(name, NEW_FILE, entry.mode if is_born else 0o600, dir_fd=parent)
        try:
            self._write_content(entry, descriptor)
            if not is_born:
                _set_metadata(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _write_content(self, entry: Entry, descriptor: int) -> None:
        if entry.extents is None:
            self.reader.source.copy(entry.size, descriptor)
        else:
            sparse.write(self.reader.source, entry.extents, entry.length, descriptor)

    def _directory(self, parent: int, parts: Parts, entry: Entry) -> None:
        is_born = self.birth.gives(entry) and entry.mode & stat.S_IRWXU == stat.S_IRWXU  # or it could not be filled
        try:
            os.mkdir(parts[-1], entry.mode if is_born else 0o700, dir_fd=parent)
            if is_born:
                self.born.add(parts)
        except FileExistsError:
            self.born.discard(parts)
            kind = tree.kind_of(parent, parts[-1])
            if kind != stat.S_IFDIR:
                self._clear(parent, parts[-1])
                os.mkdir(parts[-1], 0o700, dir_fd=parent)
                if kind == stat.S_IFCHR and self.whiteouts is not None:
                    self.whiteouts.revived(parent, parts[-1])
        self.directories[parts] = entry
        if self.whiteouts is not None:
            self.whiteouts.placed(parts)

    def _hard_link(self, parent: int, name: bytes, entry: Entry) -> None:
        target = parts_of(entry.link)
        if not target or target == parts_of(entry.name):
            raise BadArchive(f"{printable(entry.name)} is a hard link to itself or to the root")
        holder = os.dup(parent)  # asking for another parent may close this one
        try:
            try:
                source = self.parents.of(target[:-1], make=False)
            except NoDirectory:
                source = self.parents.of(self._resolved(target[:-1]), make=False)
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=holder, follow_symlinks=False)
            _set_metadata_by_name(holder, name, entry)  # of the file: what its last link says counts, as for Docker
        except FileNotFoundError:
            raise BadArchive(f"{printable(entry.name)} is a hard link to {printable(entry.link)}, which is not there") from None
        finally:
            os.close(holder)

    def _symbolic_link(self, parent: int, name: bytes, entry: Entry) -> None:
        os.symlink(entry.link, name, dir_fd=parent)
        if (entry.uid, entry.gid) != self.birth.owner:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        _set_time(parent, name, entry)

    def _device(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.device == (0, 0):  # the kernel's own whiteout: an archive has its own way to say that
            raise BadArchive(f"{printable(entry.name)} is a device with the number 0:0")
        kind = stat.S_IFCHR if entry.kind == CHARACTER else stat.S_IFBLK
        os.mknod(name, kind | 0o600, os.makedev(*entry.device), dir_fd=parent)
        _set_metadata_by_name(parent, name, entry)

    def _fifo(self, parent: int, name: bytes, entry: Entry) -> None:
        os.mkfifo(name, 0o600, dir_fd=parent)
        _set_metadata_by_name(parent, name, entry)

    # directories, at the end

    def _finish_directories(self) -> None:
        for parts in self.parents.made:
            self.directories.setdefault(parts, self.implied)
        for parts, entry in sorted(self.directories.items(), key=lambda item: item[0], reverse=True):
            try:
                self._finish_directory(parts, entry)
            except OSError as error:
                raise _translated(error, entry.name) from error

    def _finish_directory(self, parts: Parts, entry: Entry) -> None:
        if parts in self.born:
            _set_time(self.parents.of(parts[:-1], make=False), parts[-1], entry)
            return
        with contextlib.suppress(FileNotFoundError, BadArchive):  # a later entry took its place
            directory = self.parents.of(parts, make=False)
            _set_metadata(directory, entry)
            os.utime(directory, ns=(entry.mtime, entry.mtime))


def parts_of(name: bytes) -> Parts:
    """The components of a name below the root. Absolute names are taken as relative, as tar does; ".." is refused."""
    parts = tuple([part for part in name.split(b"/") if part and part != b"."])
    if b".." in parts:
        raise BadArchive(f"the name {printable(name)} leads out of the archive")
    for part in parts:
        if len(part) > MAX_COMPONENT:
            raise BadArchive(f"the name {printable(name)} has a part of more than {MAX_COMPONENT} bytes")
    return parts


def _is_whiteout(parts: Parts) -> bool:
    if any(part.startswith(PREFIX) for part in parts[:-1]):
        raise BadArchive(f"the name {printable(b'/'.join(parts))} lies below a whiteout")
    return parts[-1].startswith(PREFIX)


def _set_metadata(descriptor: int, entry: Entry) -> None:
    # chown clears set-user-ID bits and capabilities, so it comes first; a write would too, so all of this comes after the content.
    os.fchown(descriptor, entry.uid, entry.gid)
    os.fchmod(descriptor, entry.mode)
    for name, value in entry.xattrs.items():
        _set_xattr(descriptor, name, value)


def _set_metadata_by_name(parent: int, name: bytes, entry: Entry) -> None:
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if entry.kind != SYMBOLIC_LINK:
        with tree.opened(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent) as node:
            if not stat.S_ISLNK(os.fstat(node).st_mode):  # the other name of a link is a link
                path = f"/proc/self/fd/{node}"  # by its name, chmod(2) would follow a link that has taken its place
                os.chmod(path, entry.mode)
                for attribute, value in entry.xattrs.items():
                    _set_xattr(path, attribute, value)
    _set_time(parent, name, entry)


def _set_time(parent: int, name: bytes, entry: Entry) -> None:
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)


def _set_xattr(file: int | str, name: bytes, value: bytes) -> None:
    if name not in KEPT_XATTRS and not name.startswith(b"user."):
        return
    try:
        os.setxattr(file, name, value)
    except OSError as error:
        if error.errno not in UNSUPPORTED:  # tmpfs before Linux 6.6 has no user attributes; Docker goes on as well
            raise


def _translated(error: OSError, name: bytes) -> NoSpace | BadArchive:
    if error.errno in FULL:
        return NoSpace(f"no space is left for {printable(name)}: {error.strerror}", hint="pyke image prune")
    return BadArchive(f"{printable(name)} cannot be unpacked: {error.strerror or error}")
