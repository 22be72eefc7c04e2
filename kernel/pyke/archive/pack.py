"""A directory tree becomes a tar stream: the same tree gives the same bytes, whatever the order of its directories and the clock.

Names are sorted, times are whole seconds, long names and attributes are pax records. Overlayfs's whiteouts become those of OCI layers.
Sockets are left out, as tar does. A file that shrinks while it is read is filled up with zeros, so that the stream stays a tar.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator

from pyke.archive import tree
from pyke.archive.content import Content
from pyke.archive.limits import DEFAULT_LIMITS
from pyke.archive.tar import BLOCK, BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, HARD_LINK, SYMBOLIC_LINK, printable
from pyke.archive.whiteouts import OPAQUE, OPAQUE_NAME, PREFIX
from pyke.errors import PykeError

LARGE = 1 << 16  # bytes of content from which on it is not worth while to gather it
END = bytes(2 * BLOCK)
MAX_DEPTH = DEFAULT_LIMITS.max_depth
REDIRECTS = {b"trusted.overlay.redirect", b"trusted.overlay.metacopy"}
EXCHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL}  # deleted meanwhile, or no directory, file or link any more
KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFLNK: SYMBOLIC_LINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFIFO: FIFO,
}
KEPT_XATTRS = {b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"}


def pack(root: int, *, overlay: bool = False, base: bytes = b"", left_out: Container[bytes] = ()) -> Iterator[bytes | Content]:
    """The tree below the directory descriptor `root` as a plain tar, in pieces.

    With `overlay`, character devices 0:0 and opaque directories are written as ".wh." names: `root` is an overlay's upper directory.
    `base` is put before every name ("" or something that ends in "/"); what has one of the names in `left_out` is not told of. Raises
    `PykeError` where the tree cannot be told as a tar.
    """
    packer = _Packer(overlay, left_out)
    yield from packer.directory(root, base)
    yield END


def pack_one(parent: int, name: bytes, *, as_name: bytes, is_shown: Callable[[int], bool] | None = None) -> Iterator[bytes | Content]:
    """What `name` is in the directory descriptor `parent`, and all below it, as a plain tar in which it is called `as_name`.

    Directories of which `is_shown` says False, given a descriptor, are told as empty ones. FileNotFoundError when it is not there.
    """
    yield from _Packer(False, (), is_shown).entry(parent, name, as_name)
    yield END


def gathered(pieces: Iterable[bytes | Content], size: int = 1 << 18) -> Iterator[bytes | Content]:
    """The same bytes in pieces of about `size`, for headers would cost a system call each; and the content of large files by itself."""
    waiting: list[bytes] = []
    length = 0
    for piece in pieces:
        if isinstance(piece, Content):
            yield b"".join(waiting)
            yield piece
        else:
            waiting.append(piece)
            length += len(piece)
            if length < size:
                continue
            yield b"".join(waiting)
        waiting.clear()
        length = 0
    yield b"".join(waiting)


def read(pieces: Iterable[bytes | Content]) -> Iterator[bytes]:
    """The same bytes, for somebody who wants to look at them."""
    for piece in pieces:
        if isinstance(piece, Content):
            yield from piece.pieces()
        else:
            yield piece


class _Packer:
    def __init__(self, overlay: bool, left_out: Container[bytes], is_shown: Callable[[int], bool] | None = None) -> None:
        self.overlay, self.left_out, self.is_shown = overlay, left_out, is_shown
        self.linked: dict[tuple[int, int], bytes] = {}  # first names of files with several

    def directory(self, descriptor: int, prefix: bytes) -> Iterator[bytes | Content]:
        if prefix.count(b"/") > MAX_DEPTH:
            raise PykeError(f"{printable(prefix)} is deeper than {MAX_DEPTH} directories, more than an archive may have")
        if self.overlay and _opaque(descriptor):
            yield header(prefix + OPAQUE_NAME, FILE, 0)
        for name in sorted(os.fsencode(each) for each in os.listdir(descriptor)):
            if prefix + name in self.left_out:
                continue
            try:
                yield from self.entry(descriptor, name, prefix + name)
            except OSError as error:
                if error.errno not in EXCHANGED:
                    raise

    def entry(self, parent: int, name: bytes, path: bytes) -> Iterator[bytes | Content]:
        """What `name` is in a directory, under the name `path`."""
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        kind = KINDS.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            return
        if self.overlay and kind == CHARACTER and found.st_rdev == 0:
            directory, slash, last = path.rpartition(b"/")
            yield header(directory + slash + PREFIX + last, FILE, 0)
        elif kind == DIRECTORY:
            with tree.opened(name, dir_fd=parent) as directory_descriptor:
                yield from self._directory(directory_descriptor, path, found)
        elif kind == FILE:
            yield from self._file(parent, name, path, found)
        else:
            link = os.fsencode(os.readlink(name, dir_fd=parent)) if kind == SYMBOLIC_LINK else b""
            yield self._header(path, kind, found, link=link)

    def _directory(self, descriptor: int, path: bytes, found: os.stat_result) -> Iterator[bytes | Content]:
        prefix = path if path == b"/" else path + b"/"
        yield self._header(prefix, DIRECTORY, found, xattrs=self._xattrs(descriptor, path))
        if self.is_shown is None or self.is_shown(descriptor):
            yield from self.directory(descriptor, prefix)

    def _file(self, parent: int, name: bytes, path: bytes, found: os.stat_result) -> Iterator[bytes | Content]:
        identity = (found.st_dev, found.st_ino)
        if identity in self.linked:
            yield self._header(path, HARD_LINK, found, link=self.linked[identity])
            return
        with tree.opened_file(name, os.O_RDONLY, dir_fd=parent) as descriptor:
            found = os.fstat(descriptor)
            if found.st_nlink > 1:
                self.linked[found.st_dev, found.st_ino] = path
            yield self._header(path, FILE, found, size=found.st_size, xattrs=self._xattrs(descriptor, path))
            yield from _content(descriptor, found.st_size)

    def _header(
        self, name: bytes, kind: bytes, found: os.stat_result, *, size: int = 0, link: bytes = b"", xattrs: dict[bytes, bytes] | None = None
    ) -> bytes:
        device = (os.major(found.st_rdev), os.minor(found.st_rdev)) if kind in (CHARACTER, BLOCK_DEVICE) else (0, 0)
        return header(
            name,
            kind,
            size,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            mtime=int(found.st_mtime // 1),
            link=link,
            device=device,
            xattrs=xattrs or {},
        )

    def _xattrs(self, descriptor: int, name: bytes) -> dict[bytes, bytes]:
        found = {}
        for attribute in sorted(os.fsencode(each) for each in os.listxattr(descriptor)):
            if self.overlay and attribute in REDIRECTS:
                raise PykeError(f"{printable(name)} was renamed by overlayfs in a way that a layer cannot say")
            if attribute in KEPT_XATTRS or attribute.startswith(b"user."):
                found[attribute] = os.getxattr(descriptor, attribute)
        return found


def header(
    name: bytes,
    kind: bytes,
    size: int,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: dict[bytes, bytes] | None = None,
) -> bytes:
    """The header of an entry, ready to be followed by `size` bytes of content and `padding(size)`; `mtime` in whole seconds."""
    records = {b"SCHILY.xattr." + key: value for key, value in (xattrs or {}).items()}
    for key, text in ((b"path", name), (b"linkpath", link)):
        if len(text) > 100:
            records[key] = text
    for key, value, bits in ((b"size", size, 33), (b"uid", uid, 21), (b"gid", gid, 21)):
        if value >> bits:
            records[key] = b"%d" % value
    if mtime < 0 or mtime >> 33:
        records[b"mtime"] = b"%d" % mtime
    block = _block(name[:100], kind, size, mode, uid, gid, max(mtime, 0), link[:100], device)
    return _extended(records) + block if records else block


def padding(size: int) -> bytes:
    """The zeros that follow `size` bytes of content."""
    return bytes(-size % BLOCK)


def _extended(records: dict[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    return _block(b"PaxHeader", b"x", len(body), 0o644, 0, 0, 0, b"", (0, 0)) + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    digits = len(str(length))
    while len(str(length + digits)) != digits:  # the length counts its own digits
        digits += 1
    return b"%d %s=%s\n" % (length + digits, key, value)


def _block(name: bytes, kind: bytes, size: int, mode: int, uid: int, gid: int, mtime: int, link: bytes, device: tuple[int, int]) -> bytes:
    front = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        mode,
        uid & 0o7777777,
        gid & 0o7777777,
        size & 0o77777777777,
        mtime & 0o77777777777,
    )
    back = b"%s%sustar\00000%s%07o\0%07o\0%s" % (kind, link.ljust(100, b"\0"), bytes(64), device[0], device[1], bytes(167))
    checksum = sum(front) + sum(back) + 8 * 0x20
    return b"%s%06o\0 %s" % (front, checksum, back)


def _content(descriptor: int, size: int) -> Iterator[bytes | Content]:
    content = Content(descriptor, size)
    if size < LARGE:
        yield from content.pieces()
    else:
        yield content
    yield padding(size)


def _opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE) == b"y"
    except OSError:
        return False
