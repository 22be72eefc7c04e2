"""A container's root file system: told by a storage driver (`RootFilesystem`), mounted here, and made the root of everything.

`kind` overlay is assembled with the new mount API, a layer at a time (`lowerdir+`, Linux 6.7), which knows no limit on their names but
256 bytes for each; an older kernel gets all of them in the one page of mount(2), by names of one to three digits.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct

from pyke.errors import StartFailed
from pyke.runtime import linux
from pyke.runtime.options import ATTRIBUTES, Options
from pyke.runtime.plan import new_mount
from pyke.runtime.root import Root

LONGEST_VALUE = 255  # of fsconfig(2), in bytes

LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_READ_ONLY = 1


class RootOperation:
    """Mount the root file system. `execute` returns it detached; `stand` is a directory of the host that may be covered."""

    __slots__ = ("images", "options", "stand")

    def __init__(self, rootfs: dict[str, object], stand: str) -> None:
        self.stand = stand
        self.images = _images(rootfs)
        self.options: list[str] = _words(rootfs, "options")

    def describe(self) -> str:
        raise NotImplementedError

    def execute(self) -> int:
        """Mount the images that layers live in, then the root itself."""
        for file, kind, directory in self.images:
            mount_image(file, kind, directory)
        return self.mount()

    def mount(self) -> int:
        raise NotImplementedError

    def attributes(self) -> list[str]:
        return [option for option in self.options if option in ATTRIBUTES]

    def data(self) -> list[str]:
        return [option for option in self.options if option not in ATTRIBUTES]


class BindRootOperation(RootOperation):
    """A directory of the host becomes the root."""

    __slots__ = ("source",)

    def __init__(self, rootfs: dict[str, object], stand: str) -> None:
        super().__init__(rootfs, stand)
        self.source = str(rootfs["source"])

    def describe(self) -> str:
        return f"mount --rbind {self.source} /"

    def mount(self) -> int:
        mount = linux.open_tree(self.source, linux.OPEN_TREE_CLONE | linux.AT_RECURSIVE)
        linux.mount_setattr(mount, propagation=linux.MS_PRIVATE, recursive=True)
        Options(self.attributes()).apply(mount)
        return mount


class OverlayRootOperation(RootOperation):
    """A stack of layers, the topmost first, and a writable one over them."""

    __slots__ = ("lower", "upper", "work")

    def __init__(self, rootfs: dict[str, object], stand: str) -> None:
        super().__init__(rootfs, stand)
        self.lower = _words(rootfs, "lower")
        self.upper, self.work = str(rootfs.get("upper") or ""), str(rootfs.get("work") or "")

    def describe(self) -> str:
        writable = f",upperdir={self.upper},workdir={self.work}" if self.upper else ""
        return f"mount -t overlay overlay / -o lowerdir={':'.join(self.lower)}{writable}"

    def mount(self) -> int:
        try:
            return self.mount_by_layers()
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise StartFailed(f"the container's root cannot be mounted: {error.strerror} ({error.filename})") from error
        return self.mount_by_page()

    def mount_by_layers(self) -> int:
        """Mount with fsconfig(2), one layer after the other; EINVAL from a kernel before 6.7."""
        context = linux.fsopen("overlay")
        try:
            linux.fsconfig(context, linux.FSCONFIG_SET_STRING, "source", "overlay")
            for layer in self.lower:
                _set_path(context, "lowerdir+", layer)
            if self.upper:
                _forget_volatile(self.work)
                _set_path(context, "upperdir", self.upper)
                _set_path(context, "workdir", self.work)
            for option in self.data():
                key, has_value, value = option.partition("=")
                linux.fsconfig(context, linux.FSCONFIG_SET_STRING if has_value else linux.FSCONFIG_SET_FLAG, key, value or None)
            linux.fsconfig(context, linux.FSCONFIG_CMD_CREATE)
            return linux.fsmount(context, Options(self.attributes()).set)
        finally:
            os.close(context)

    def mount_by_page(self) -> int:
        """Mount with mount(2), whose options have to fit one page: the layers get numbers for names, links on a small tmpfs."""
        names = new_mount("tmpfs", "names", Options(["size=1m", "mode=700"]))
        with Root.at(self.stand) as stand:
            linux.move_mount(names, stand.fd)
        os.fchdir(names)
        for number, layer in enumerate(self.lower):
            os.symlink(layer, str(number))
        data = ["lowerdir=" + ":".join(map(str, range(len(self.lower)))), *self.data()]
        if self.upper:
            _forget_volatile(self.work)
            os.symlink(self.upper, "upper")
            os.symlink(self.work, "work")
            data += ["upperdir=upper", "workdir=work"]
        os.mkdir("root")
        linux.mount("overlay", "root", "overlay", 0, ",".join(data))
        mount = linux.open_tree("root", linux.OPEN_TREE_CLONE)
        linux.mount_setattr(mount, set=Options(self.attributes()).set)
        os.chdir("/")
        os.close(names)
        return mount


def root_operation(rootfs: dict[str, object], stand: str) -> RootOperation:
    """The operation for a RootFilesystem as data."""
    if rootfs["kind"] == "overlay":
        return OverlayRootOperation(rootfs, stand)
    if rootfs["kind"] == "bind":
        return BindRootOperation(rootfs, stand)
    raise StartFailed(f"a root file system of kind {rootfs['kind']!r} cannot be mounted: the kinds are overlay and bind")


def enter(mount: int, stand: Root) -> Root:
    """Make the detached `mount`, put on the directory `stand`, this mount namespace's root; cwd is "/". Needs a namespace of its own.

    The host's root lies over it, out of every path's reach, until `forget_host`: pivot_root(".", ".") stacks the two, so that no
    directory has to be made in the container for it (pivot_root(2)).
    """
    linux.move_mount(mount, stand.fd)
    os.fchdir(mount)
    linux.pivot_root(".", ".")
    return Root(mount)


def forget_host(root: Root) -> None:
    """Unmount the host's root and all below it, for this mount namespace alone."""
    os.fchdir(root.fd)
    linux.umount(".", linux.MNT_DETACH)
    os.chdir("/")


def mount_image(file: str, kind: str, directory: str) -> None:
    """Mount the image `file` read-only on `directory` of the host, as this mount namespace alone sees it."""
    os.makedirs(directory, exist_ok=True)
    try:
        mount = _mount_file(file, kind)
    except OSError as error:
        if error.errno != errno.ENOTBLK:  # before Linux 6.12, EROFS wants a block device
            raise StartFailed(f"the layer {file} cannot be mounted as {kind}: {error.strerror}", hint=f"file {file}") from error
        mount = _mount_loop(file, kind)
    with Root.at(directory) as target:
        linux.move_mount(mount, target.fd)
    os.close(mount)


def _mount_file(file: str, kind: str) -> int:
    context = linux.fsopen(kind)
    try:
        _set_path(context, "source", file)
        linux.fsconfig(context, linux.FSCONFIG_SET_FLAG, "ro")
        linux.fsconfig(context, linux.FSCONFIG_CMD_CREATE)
        return linux.fsmount(context, linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def _mount_loop(file: str, kind: str) -> int:
    """Mount through a loop device that vanishes with the mount."""
    with open("/dev/loop-control", "rb") as control, open(file, "rb") as image:
        while True:
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            with open(path, "rb") as device:
                configuration = bytearray(struct.pack("=II", image.fileno(), 4096))
                configuration += bytes(52) + struct.pack("=I", LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR) + bytes(304 - 64)
                try:
                    fcntl.ioctl(device, LOOP_CONFIGURE, configuration)
                except OSError as error:
                    if error.errno == errno.EBUSY:  # somebody else was given the same number
                        continue
                    raise
                return _mount_file(path, kind)


def _set_path(context: int, key: str, path: str) -> None:
    """Name a path to a file system that is being made; one too long for fsconfig(2) is named from its own directory."""
    if len(os.fsencode(path)) <= LONGEST_VALUE:
        linux.fsconfig(context, linux.FSCONFIG_SET_STRING, key, path)
        return
    os.chdir(os.path.dirname(path))
    linux.fsconfig(context, linux.FSCONFIG_SET_STRING, key, os.path.basename(path))
    os.chdir("/")


def _forget_volatile(work: str) -> None:
    """Remove the mark of an earlier mount with `volatile`, which would refuse every later one. Its fear is the loss of what was never
    synced, which only a machine that went down meanwhile can have lost (Documentation/filesystems/overlayfs.rst)."""
    mark = os.path.join(work, "work", "incompat", "volatile")
    for remove, path in ((os.unlink, f"{mark}/dirty"), (os.rmdir, mark)):
        with contextlib.suppress(OSError):  # mostly there is none; and what cannot be removed the mount will complain about
            remove(path)


def _words(rootfs: dict[str, object], key: str) -> list[str]:
    words = rootfs.get(key)
    return [str(word) for word in words] if isinstance(words, (list, tuple)) else []


def _images(rootfs: dict[str, object]) -> list[tuple[str, str, str]]:
    images = rootfs.get("images")
    return [(str(file), str(kind), str(directory)) for file, kind, directory in images] if isinstance(images, (list, tuple)) else []
