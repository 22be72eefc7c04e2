"""System calls that Python's os module lacks: thin wrappers that raise plain OSError, constants spelt as in the kernel's headers.

The only module that imports ctypes. Descriptors that these functions return are close-on-exec. Sources: the man page of each call,
and include/uapi/linux of Linux 6.18 for the structures. What is needed is Linux 5.12, for mount_setattr(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct

AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2
BPF_PROG_ATTACH = 8
BPF_PROG_DETACH = 9
BPF_PROG_LOAD = 5
BPF_PROG_TYPE_CGROUP_DEVICE = 15
CGROUP2_SUPER_MAGIC = 0x63677270
CGROUP_SUPER_MAGIC = 0x27E0EB
CLONE_INTO_CGROUP = 0x200000000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWTIME = 0x00000080
CLONE_NEWUSER = 0x10000000
CLONE_NEWUTS = 0x04000000
CLONE_PARENT = 0x00008000
CLOSE_RANGE_CLOEXEC = 4
DEVPTS_SUPER_MAGIC = 0x1CD1
FSCONFIG_CMD_CREATE = 6
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSMOUNT_CLOEXEC = 1
FSOPEN_CLOEXEC = 1
MNT_DETACH = 2
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR__ATIME = 0x70
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MQUEUE_MAGIC = 0x19800202
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_NOSUID = 0x2
MS_PRIVATE = 0x40000
MS_RDONLY = 0x1
MS_REC = 0x4000
MS_SHARED = 0x100000
MS_SLAVE = 0x80000
MS_UNBINDABLE = 0x20000
M_ARENA_MAX = -8
OPEN_TREE_CLONE = 1
PROC_SUPER_MAGIC = 0x9FA0
PR_CAPBSET_DROP = 24
PR_CAPBSET_READ = 23
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38
PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x2
RESOLVE_NO_SYMLINKS = 0x4
RESOLVE_NO_XDEV = 0x1
SECCOMP_MODE_FILTER = 2
SYSFS_MAGIC = 0x62656572
TIOCGPTPEER = 0x20005441 if os.uname().machine.startswith("ppc") else 0x5441
TIOCSPTLCK = 0x80045431 if os.uname().machine.startswith("ppc") else 0x40045431
TMPFS_MAGIC = 0x01021994
SYNC_FILE_RANGE_WRITE = 2

# Numbers from 424 on are the same on every architecture.
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_FSOPEN = 430
SYS_MOUNT_SETATTR = 442
SYS_MOVE_MOUNT = 429
SYS_OPENAT2 = 437
SYS_OPEN_TREE = 428
# These are older: x86 and IBM's have their own, the others share one table.
SYS_BPF = {"x86_64": 321, "ppc64le": 361, "s390x": 351}.get(os.uname().machine, 280)
SYS_EXECVEAT = {"x86_64": 322, "ppc64le": 362, "s390x": 354}.get(os.uname().machine, 281)
SYS_PIVOT_ROOT = {"x86_64": 155, "ppc64le": 203, "s390x": 217}.get(os.uname().machine, 41)

LINUX_CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)
# Keeps the interpreter's lock during the call: clone3 returns twice, and only one of the two would give it back.
_locked_libc = ctypes.PyDLL(None, use_errno=True)

for _call in (libc.syscall, _locked_libc.syscall):
    _call.restype = ctypes.c_long
libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
libc.syncfs.argtypes = (ctypes.c_int,)
libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
libc.unshare.argtypes = (ctypes.c_int,)


def oserror(call: str, filename: str | None = None) -> OSError:
    """The OSError for what `call` left in errno."""
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}", filename)


def _syscall(name: str, number: int, *arguments: object, filename: str | None = None) -> int:
    # Whole registers: an int would be passed as 32 bits, and its upper half be whatever was there before.
    result: int = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise oserror(name, filename)
    return result


# --- processes and namespaces --------------------------------------------------------------------------------------


def clone(flags: int, cgroup: int = -1) -> int:
    """fork(2), with the child in the new namespaces that `flags` (CLONE_NEW...) name and, unless -1, in the cgroup (of version 2) whose
    directory is open as `cgroup`. With CLONE_PARENT it is the caller's sibling. For single-threaded processes alone."""
    flags |= CLONE_INTO_CGROUP if cgroup >= 0 else 0
    end = 0 if flags & CLONE_PARENT else signal.SIGCHLD  # a sibling ends with the caller's own signal
    arguments = ctypes.create_string_buffer(struct.pack("=11Q", flags, 0, 0, 0, end, 0, 0, 0, 0, 0, max(cgroup, 0)))
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _locked_libc.syscall(ctypes.c_long(SYS_CLONE3), arguments, ctypes.c_long(88))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    error = oserror("clone3") if pid < 0 else None
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if error:
        raise error
    return pid


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    _syscall("close_range", SYS_CLOSE_RANGE, first, last, flags)


def execveat(fd: int, arguments: list[str], environment: dict[str, str]) -> None:
    """Execute the file that `fd` is, through the very mount that `fd` was opened on."""
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*[os.fsencode(a) for a in arguments], None)
    envp = (ctypes.c_char_p * (len(environment) + 1))(*[os.fsencode(f"{k}={v}") for k, v in environment.items()], None)
    _syscall("execveat", SYS_EXECVEAT, fd, b"", argv, envp, AT_EMPTY_PATH)


def prctl(option: int, *arguments: int) -> int:
    result: int = libc.prctl(option, *arguments, *([0] * (4 - len(arguments))))
    if result < 0:
        raise oserror("prctl")
    return result


def set_name(name: bytes) -> None:
    """Name this process, as `ps` and /proc/PID/comm show it: at most 15 bytes."""
    prctl(PR_SET_NAME, ctypes.addressof(ctypes.create_string_buffer(name)))


def set_command_line(arguments: list[bytes]) -> None:
    """Show `arguments` in /proc/PID/cmdline, as far as there is room, in place of what this process was started with."""
    with open("/proc/self/stat", "rb") as file:
        start, end = (int(word) for word in file.read().rpartition(b")")[2].split()[45:47])
    text = b"\0".join(arguments) + b"\0"
    if end > start:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text, min(len(text), end - start - 1))


def limit_arenas(number: int) -> None:
    """Have all threads of this process share so many of malloc(3)'s arenas. A C library that has none ignores it, or lacks the call."""
    with contextlib.suppress(AttributeError):
        libc.mallopt(M_ARENA_MAX, number)


def setns(fd: int, kind: int = 0) -> None:
    """Join the namespace behind `fd`; or, where `fd` is a pidfd, all of that process's namespaces of the kinds given."""
    if libc.setns(fd, kind) < 0:
        raise oserror("setns")


def unshare(flags: int) -> None:
    if libc.unshare(flags) < 0:
        raise oserror("unshare")


def sethostname(name: str) -> None:
    encoded = os.fsencode(name)
    if libc.sethostname(encoded, len(encoded)) < 0:
        raise oserror("sethostname", name)


def setdomainname(name: str) -> None:
    encoded = os.fsencode(name)
    if libc.setdomainname(encoded, len(encoded)) < 0:
        raise oserror("setdomainname", name)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capabilities, each given as a set of bits."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0))
    sets = (effective, permitted, inheritable)
    data = ctypes.create_string_buffer(struct.pack("=6I", *[s & 0xFFFFFFFF for s in sets], *[s >> 32 for s in sets]))
    if libc.capset(header, data) < 0:
        raise oserror("capset")


def install_seccomp(program: bytes) -> None:
    """Filter this process's system calls with `program`, an array of struct sock_filter, as seccomp(2) takes it."""
    instructions = ctypes.create_string_buffer(program, len(program))
    pointer = ctypes.addressof(instructions)
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, pointer))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))


# --- files ---------------------------------------------------------------------------------------------------------


def openat2(directory: int, path: str, flags: int, *, resolve: int, mode: int = 0) -> int:
    how = ctypes.create_string_buffer(struct.pack("=3Q", flags | os.O_CLOEXEC, mode, resolve))
    return _syscall("openat2", SYS_OPENAT2, directory, os.fsencode(path), how, 24, filename=path)


def filesystem_magic(fd: int) -> int:
    """The type of the file system that `fd` is on, as fstatfs(2) tells it."""
    buffer = ctypes.create_string_buffer(256)
    if libc.fstatfs(fd, buffer) < 0:
        raise oserror("fstatfs")
    magic: int = struct.unpack_from("@l", buffer)[0]
    return magic & 0xFFFFFFFF


# --- mounts --------------------------------------------------------------------------------------------------------


def fsopen(kind: str) -> int:
    return _syscall("fsopen", SYS_FSOPEN, os.fsencode(kind), FSOPEN_CLOEXEC, filename=kind)


def fsconfig(fd: int, command: int, key: str | None = None, value: str | None = None) -> None:
    """Configure a file system that is being made; the error carries what the file system itself had to say."""
    name, text = (None if each is None else os.fsencode(each) for each in (key, value))
    try:
        _syscall("fsconfig", SYS_FSCONFIG, fd, command, name, text, 0)
    except OSError as error:
        raise OSError(error.errno, _complaint(fd) or error.strerror, value) from error


def _complaint(fd: int) -> str:
    """The first error in the message log of a file system context: lines that start with "e "."""
    with contextlib.suppress(OSError):
        while message := os.read(fd, 4096):
            if message.startswith(b"e "):
                return message[2:].decode(errors="replace").strip()
    return ""


def fsmount(fd: int, attributes: int) -> int:
    return _syscall("fsmount", SYS_FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes)


def open_tree(path: str, flags: int, directory: int = AT_FDCWD) -> int:
    return _syscall("open_tree", SYS_OPEN_TREE, directory, os.fsencode(path), flags | os.O_CLOEXEC, filename=path)


def move_mount(mount: int, target: int) -> None:
    """Attach the mount that `mount` is to the place that `target` (O_PATH) is."""
    _syscall("move_mount", SYS_MOVE_MOUNT, mount, b"", target, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def mount_setattr(mount: int, *, set: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("=4Q", set, clear, propagation, 0))
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _syscall("mount_setattr", SYS_MOUNT_SETATTR, mount, b"", flags, attributes, 32)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    if libc.mount(os.fsencode(source), os.fsencode(target), os.fsencode(kind), flags, os.fsencode(data)) < 0:
        raise oserror("mount", target)


def umount(target: str, flags: int = 0) -> None:
    if libc.umount2(os.fsencode(target), flags) < 0:
        raise oserror("umount2", target)


def pivot_root(new: str, old: str) -> None:
    _syscall("pivot_root", SYS_PIVOT_ROOT, os.fsencode(new), os.fsencode(old), filename=new)


def syncfs(fd: int) -> None:
    """Wait until everything written to the file system that `fd` lies on is on its disk."""
    if libc.syncfs(fd) < 0:
        raise oserror("syncfs")


def begin_write_back(fd: int, offset: int, size: int) -> None:
    """Have a range of a file written to its disk, without waiting for it; where that cannot be (ESPIPE, ENOSYS), nothing happens."""
    libc.sync_file_range(fd, offset, size, SYNC_FILE_RANGE_WRITE)


# --- eBPF ----------------------------------------------------------------------------------------------------------


def bpf_load(kind: int, program: bytes) -> int:
    """Load an eBPF program (an array of struct bpf_insn) and return its descriptor."""
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"Apache-2.0")
    log = ctypes.create_string_buffer(16384)
    pointers = ctypes.addressof(code), ctypes.addressof(licence)
    header = struct.pack("=IIQQ", kind, len(program) // 8, *pointers) + struct.pack("=IIQII", 1, len(log), ctypes.addressof(log), 0, 0)
    attributes = ctypes.create_string_buffer(header, len(header))
    try:
        return _syscall("bpf", SYS_BPF, BPF_PROG_LOAD, attributes, len(attributes))
    except OSError as error:
        verdict = log.value.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(error.errno, f"{error.strerror} {verdict}".strip()) from error


def bpf_attach(target: int, program: int, kind: int, flags: int = 0) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("=IIII", target, program, kind, flags))
    _syscall("bpf", SYS_BPF, BPF_PROG_ATTACH, attributes, 16)


def bpf_detach(target: int, program: int, kind: int) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("=IIII", target, program, kind, 0))
    _syscall("bpf", SYS_BPF, BPF_PROG_DETACH, attributes, 16)
