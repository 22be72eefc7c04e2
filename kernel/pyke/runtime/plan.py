"""What is to be mounted in a container, as objects: `execute` does it, `describe` tells it.

The operations run after pivot_root, so that no path leads to the host any more. What belongs to the host (the sources of binds) is opened
by `prepare`, before. A target is resolved once, inside the root, to a descriptor; the mount is attached to the descriptor; then
the path is resolved again and has to lead to what was mounted (CVE-2021-30465, CVE-2025-31133, CVE-2025-52881).
"""

from __future__ import annotations

import errno
import os
import stat

from pyke.errors import StartFailed
from pyke.runtime import linux
from pyke.runtime.options import Options
from pyke.runtime.root import Root

PROC_ROOT_INODE = 1  # of the root of every proc file system

#: Files of /proc that may be replaced: they tell of resources, and nothing acts on them (lxcfs brings such files).
REPLACEABLE_IN_PROC = frozenset(
    "/proc/" + name for name in "cpuinfo diskstats loadavg meminfo net/dev slabinfo stat swaps sys/kernel/ns_last_pid uptime".split()
)


class Operation:
    """A step of the plan."""

    __slots__ = ()

    def describe(self) -> str:
        """The step as a line for a human, close to the command that would do it."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Open what belongs to the host; called while its file systems are still in sight."""

    def execute(self, root: Root) -> None:
        """Do it, inside `root`. Raises StartFailed or OSError."""
        raise NotImplementedError


class MountOperation(Operation):
    """Mount a new file system: proc, tmpfs, devpts, sysfs, mqueue, cgroup2."""

    __slots__ = ("kind", "options", "source", "target")

    def __init__(self, target: str, kind: str, source: str, options: list[str]) -> None:
        self.target, self.kind, self.source, self.options = target, kind, source, Options(options)

    def describe(self) -> str:
        data = ",".join(key if value is None else f"{key}={value}" for key, value in self.options.data)
        return f"mount -t {self.kind} {self.source} {self.target}" + (f" -o {data}" if data else "")

    def execute(self, root: Root) -> None:
        mount = new_mount(self.kind, self.source, self.options)
        # proc and sysfs elsewhere than at their own names would escape the masks, which are told by name (CVE-2019-19921).
        # The same holds for /dev, whose null device is a mask.
        is_fixed = self.kind in ("proc", "sysfs") or self.target == "/dev"
        attach(mount, root, self.target, is_directory=True, follow=not is_fixed)


class BindOperation(Operation):
    """Make a file or directory of the host visible inside."""

    __slots__ = ("options", "origin", "source", "target")

    def __init__(self, target: str, source: str, options: list[str]) -> None:
        self.target, self.source, self.options = target, source, Options(options)
        self.origin = -1

    def describe(self) -> str:
        return f"mount --{'rbind' if self.options.is_recursive else 'bind'} {self.source} {self.target}"

    def prepare(self) -> None:
        """A mount that is to stay the host's peer is cloned here, before this namespace parts from the host's."""
        flags = self._flags() if self.options.propagation in (linux.MS_SHARED, linux.MS_SLAVE) else 0
        try:
            self.origin = linux.open_tree(self.source, flags)
        except FileNotFoundError as error:
            raise StartFailed(f"bind source path does not exist: {self.source}", hint=f"mkdir -p {self.source}") from error

    def execute(self, root: Root) -> None:
        mount = self.clone()
        self.options.apply(mount)
        attach(mount, root, self.target, is_directory=stat.S_ISDIR(os.fstat(mount).st_mode))

    def clone(self) -> int:
        """The mount to attach. It is cloned as late as this, so that mount(8) lists it in its turn."""
        if self.options.propagation in (linux.MS_SHARED, linux.MS_SLAVE):
            return self.origin
        mount = linux.open_tree("", self._flags() | linux.AT_EMPTY_PATH, self.origin)
        os.close(self.origin)
        return mount

    def _flags(self) -> int:
        return linux.OPEN_TREE_CLONE | (linux.AT_RECURSIVE if self.options.is_recursive else 0)


class SharedMemoryOperation(BindOperation):
    """Share another container's /dev/shm: `source` is /proc/PID/root/dev/shm. It is a mount of that container's namespace, where it is
    cloned; and there it has to be a tmpfs in its place, whatever that container has made of its paths."""

    __slots__ = ()

    def prepare(self) -> None:
        process = self.source.partition("/root/")[0]
        home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        theirs = os.open(f"{process}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        linux.setns(theirs, linux.CLONE_NEWNS)
        try:
            with Root.at("/") as root:
                memory = root.open("/dev/shm", follow=False)
                if linux.filesystem_magic(memory) != linux.TMPFS_MAGIC:
                    raise StartFailed("/dev/shm of the container whose IPC namespace is to be joined is not shared memory")
                self.origin = linux.open_tree("", self._flags() | linux.AT_EMPTY_PATH, memory)
                os.close(memory)
        finally:
            linux.setns(home, linux.CLONE_NEWNS)
            os.close(home)
            os.close(theirs)

    def clone(self) -> int:
        return self.origin


class ReadOnlyOperation(Operation):
    """Let a path of the container be seen but not written; a path that does not exist needs no protection."""

    __slots__ = ("target",)

    def __init__(self, target: str) -> None:
        self.target = target

    def describe(self) -> str:
        return f"mount --bind -o ro {self.target} {self.target}"

    def execute(self, root: Root) -> None:
        try:
            target = root.open(self.target)
        except (FileNotFoundError, NotADirectoryError):
            return
        mount = linux.open_tree("", linux.OPEN_TREE_CLONE | linux.AT_RECURSIVE | linux.AT_EMPTY_PATH, target)
        linux.mount_setattr(mount, set=linux.MOUNT_ATTR_RDONLY, recursive=True)
        linux.move_mount(mount, target)
        os.close(target)
        verify(mount, root, self.target)


class MaskOperation(Operation):
    """Hide paths: directories under one empty tmpfs, files under the container's own /dev/null."""

    __slots__ = ("targets",)

    def __init__(self, targets: list[str]) -> None:
        self.targets = targets

    def describe(self) -> str:
        return "mask " + " ".join(self.targets)

    def execute(self, root: Root) -> None:
        covers: dict[bool, int] = {}
        for path in self.targets:
            try:
                target = root.open(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            is_directory = stat.S_ISDIR(os.fstat(target).st_mode)
            if is_directory in covers:
                cover = linux.open_tree("", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH, covers[is_directory])
            else:
                cover = new_mount("tmpfs", "tmpfs", Options(["ro"])) if is_directory else null_device(root)
                # Before Linux 6.15 only what is attached can be cloned: the first cover is used itself, the next ones are its clones.
                covers[is_directory] = os.dup(cover)
            linux.move_mount(cover, target)
            os.close(target)
            verify(cover, root, path)
        for cover in covers.values():
            os.close(cover)


class ReadOnlyRootOperation(Operation):
    """Make the container's root read-only; what is mounted below it keeps its own mind."""

    __slots__ = ()

    def describe(self) -> str:
        return "mount -o remount,bind,ro /"

    def execute(self, root: Root) -> None:
        linux.mount_setattr(root.fd, set=linux.MOUNT_ATTR_RDONLY)


def new_mount(kind: str, source: str, options: Options) -> int:
    """A new file system, mounted but not attached anywhere yet."""
    context = linux.fsopen(kind)
    try:
        linux.fsconfig(context, linux.FSCONFIG_SET_STRING, "source", source)
        for key, value in options.data:
            linux.fsconfig(context, linux.FSCONFIG_SET_FLAG if value is None else linux.FSCONFIG_SET_STRING, key, value)
        linux.fsconfig(context, linux.FSCONFIG_CMD_CREATE)
        mount = linux.fsmount(context, options.set)
    except OSError as error:
        raise StartFailed(f"a file system of type {kind} cannot be mounted: {error.strerror}", hint="cat /proc/filesystems") from error
    finally:
        os.close(context)
    if options.propagation:
        linux.mount_setattr(mount, propagation=options.propagation, recursive=options.propagation_is_recursive)
    return mount


def attach(mount: int, root: Root, path: str, *, is_directory: bool, follow: bool = True) -> None:
    """Attach a detached mount to `path` inside `root`, which is made where it is missing; closes `mount`."""
    target = _target(root, path, is_directory, follow)
    try:
        if stat.S_ISDIR(os.fstat(target).st_mode) != is_directory:
            raise StartFailed(f"a {_word(is_directory)} cannot be mounted on {path}, which is a {_word(not is_directory)} in the container")
        if linux.filesystem_magic(target) == linux.PROC_SUPER_MAGIC and path not in REPLACEABLE_IN_PROC:
            raise StartFailed(f"{path} cannot be mounted because it is inside /proc")
        linux.move_mount(mount, target)
    finally:
        os.close(target)
    if os.path.normpath("/" + path.lstrip("/")) == "/proc" and not _is_whole_proc(mount):
        raise StartFailed("/proc cannot be mounted because it is not of type proc", hint="pyke run -v NAME:/data IMAGE")
    verify(mount, root, path)


def _is_whole_proc(mount: int) -> bool:
    """A volume in the place of /proc would have init, and every program that trusts it, read and write a forgery (CVE-2019-19921)."""
    return linux.filesystem_magic(mount) == linux.PROC_SUPER_MAGIC and os.fstat(mount).st_ino == PROC_ROOT_INODE


def _target(root: Root, path: str, is_directory: bool, follow: bool) -> int:
    try:
        made = root.make_directory(path) if is_directory else root.make_file(path)
        if follow:
            return made
        os.close(made)
        return root.open(path, follow=False)
    except OSError as error:
        reason = "it has to be an ordinary directory" if error.errno == errno.ELOOP and not follow else os.strerror(error.errno or 0)
        raise StartFailed(f"nothing can be mounted on {path} in the container: {reason}") from error


def verify(mount: int, root: Root, path: str) -> None:
    """Refuse to go on unless `path` leads to what was just mounted; closes `mount`."""
    reached = root.open(path)
    if not os.path.sameopenfile(mount, reached):
        raise StartFailed(f"{path} in the container was exchanged while something was mounted on it")
    os.close(reached)
    os.close(mount)


def null_device(root: Root) -> int:
    """The container's /dev/null, verified to be the null device, as a mount of its own."""
    try:
        fd = root.open("/dev/null", follow=False)
    except OSError as error:
        message = f"/dev/null in the container, which files of /proc are to be hidden under, cannot be opened: {error.strerror}"
        raise StartFailed(message, hint="pyke run -v /dev:/dev IMAGE") from error
    status = os.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
        raise StartFailed("/dev/null in the container is not the null device, which files of /proc are to be hidden under")
    mount = linux.open_tree("", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH, fd)
    os.close(fd)
    return mount


def _word(is_directory: bool) -> str:
    return "directory" if is_directory else "file"
