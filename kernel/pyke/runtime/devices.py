"""A container's /dev: the nodes that every program expects, those that were asked for, and its terminal."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios

from pyke.errors import StartFailed
from pyke.runtime import linux
from pyke.runtime.plan import Operation, attach, verify
from pyke.runtime.root import Root

#: path, type, major, minor: the default devices of the OCI runtime specification.
DEFAULT_DEVICES = (
    ("/dev/null", "c", 1, 3),
    ("/dev/zero", "c", 1, 5),
    ("/dev/full", "c", 1, 7),
    ("/dev/random", "c", 1, 8),
    ("/dev/urandom", "c", 1, 9),
    ("/dev/tty", "c", 5, 0),
)
DEFAULT_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)
TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


class DeviceOperation(Operation):
    """Make a device node; in a user namespace, where nobody may, bind the host's own."""

    __slots__ = ("gid", "is_bound", "major", "minor", "mode", "mount", "target", "type", "uid")

    def __init__(self, device: dict[str, object], is_bound: bool) -> None:
        self.target = str(device["path"])
        self.type = str(device.get("type", "c"))
        self.major, self.minor = _number(device, "major", 0), _number(device, "minor", 0)
        self.mode = _number(device, "fileMode", 0o666) & 0o7777
        self.uid, self.gid = _number(device, "uid", 0), _number(device, "gid", 0)
        self.is_bound = is_bound
        self.mount = -1

    def describe(self) -> str:
        return f"mknod -m {self.mode:o} {self.target} {self.type} {self.major} {self.minor}"

    def prepare(self) -> None:
        if self.is_bound:
            self.mount = linux.open_tree(self.target, linux.OPEN_TREE_CLONE)

    def execute(self, root: Root) -> None:
        if self.is_bound:
            attach(self.mount, root, self.target, is_directory=False)
            return
        directory, name = os.path.split(self.target)
        parent = root.make_directory(directory)
        try:
            os.mknod(name, TYPES[self.type] | self.mode, os.makedev(self.major, self.minor), dir_fd=parent)
            if self.uid or self.gid:
                os.chown(name, self.uid, self.gid, dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            self._check_existing(parent, name)
        finally:
            os.close(parent)

    def _check_existing(self, parent: int, name: str) -> None:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        wanted = (TYPES[self.type], os.makedev(self.major, self.minor))
        if (stat.S_IFMT(found.st_mode), found.st_rdev) != wanted:
            raise StartFailed(f"the device {self.target} cannot be made in the container: something else has this name")


class LinksOperation(Operation):
    """The symbolic links of /dev."""

    __slots__ = ()

    def describe(self) -> str:
        return "ln -s " + " ".join(f"{target}={path}" for path, target in DEFAULT_LINKS)

    def execute(self, root: Root) -> None:
        directory = root.open("/dev", os.O_PATH | os.O_DIRECTORY)
        for path, target in DEFAULT_LINKS:
            try:
                os.symlink(target, os.path.basename(path), dir_fd=directory)
            except FileExistsError:  # a /dev of the user's own
                continue
        os.close(directory)


def populate(devices: list[dict[str, object]], is_bound: bool) -> list[Operation]:
    """The operations that fill a fresh /dev. `devices` are the OCI configuration's."""
    defaults = [{"path": path, "type": kind, "major": major, "minor": minor} for path, kind, major, minor in DEFAULT_DEVICES]
    wanted: dict[object, dict[str, object]] = {device["path"]: device for device in [*defaults, *devices]}
    return [*(DeviceOperation(device, is_bound) for device in wanted.values()), LinksOperation()]


def _number(device: dict[str, object], key: str, default: int) -> int:
    value = device.get(key)
    return default if value is None else int(str(value))


# --- terminals -----------------------------------------------------------------------------------------------------


def open_terminal(root: Root, rows: int, columns: int) -> tuple[int, int]:
    """A new pseudo-terminal of the container's own devpts: (master, slave).

    The multiplexer is opened by a path that the container can change, so it is verified to be one (CVE-2025-52565).
    """
    master = root.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK, follow=False)
    if linux.filesystem_magic(master) != linux.DEVPTS_SUPER_MAGIC or os.fstat(master).st_rdev != os.makedev(5, 2):
        raise StartFailed("/dev/pts/ptmx in the container is not a terminal multiplexer")
    os.set_blocking(master, True)
    fcntl.ioctl(master, linux.TIOCSPTLCK, struct.pack("@i", 0))
    slave = fcntl.ioctl(master, linux.TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if rows and columns:
        resize(master, rows, columns)
    return master, slave


def resize(terminal: int, rows: int, columns: int) -> None:
    """Tell a terminal, by either of its ends, how large it is."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("@4H", rows, columns, 0, 0))


def bind_console(root: Root, slave: int) -> None:
    """Make the terminal known as /dev/console, which must not be a link (CVE-2025-52565)."""
    os.close(root.make_file("/dev/console", 0o600))
    console = root.open("/dev/console", follow=False)
    if not stat.S_ISREG(os.fstat(console).st_mode) and not stat.S_ISCHR(os.fstat(console).st_mode):
        raise StartFailed("/dev/console in the container is neither a file nor a device")
    mount = linux.open_tree("", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH, slave)
    linux.move_mount(mount, console)
    os.close(console)
    verify(mount, root, "/dev/console")


def take_terminal(slave: int) -> None:
    """Make the terminal this session's, and its standard input, output and error. The caller leads a session (setsid)."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(slave, number)
    os.close(slave)


def give_stdio(uid: int) -> None:
    """Let the container's user open /dev/stdout and the like again: what they lead to becomes its own, save /dev/null."""
    for number in (0, 1, 2):
        status = os.fstat(number)
        if status.st_uid == uid or (stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)):
            continue
        try:
            os.fchown(number, uid, -1)
        except OSError as error:  # a file system without owners, or an owner that this user namespace does not know
            if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
                raise
