"""The last steps before a container's program runs: limits, identity, capabilities, filter, working directory, exec.

The order matters: what needs privileges comes first, and the seccomp filter as late as it can, so that a profile need not allow what
only we need. A filter without no-new-privileges needs CAP_SYS_ADMIN, which is therefore given up last.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat

from pyke.errors import StartFailed
from pyke.runtime import capabilities, linux, reaper, users
from pyke.runtime.devices import give_stdio
from pyke.runtime.root import Root

NOT_FOUND = 127
NOT_EXECUTABLE = 126

#: Names of limits and their numbers: include/uapi/asm-generic/resource.h (the same but on MIPS and SPARC).
LIMITS = {
    "RLIMIT_" + name: number
    for number, name in enumerate(
        "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split()
    )
}


#: What this process ignores, and all that are forked from it: of Python's own accord (SIGPIPE, SIGXFSZ), or because the shell that started
#: the first command did so (a command in the background ignores SIGINT and SIGQUIT). Looked up once, for all containers; and SIGCHLD,
#: which a spawner ignores later.
IGNORED = [signal.SIGCHLD, *(number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN)]


class Process:
    """A process to be: an OCI `process` object, and the seccomp filter as bytes or None."""

    __slots__ = (
        "arguments",
        "capabilities",
        "cwd",
        "directory",
        "environment",
        "filter",
        "identity",
        "limits",
        "no_new_privileges",
        "reaper",
        "umask",
    )

    def __init__(self, process: dict, root: Root, filter: bytes | None, *, is_first: bool) -> None:  # type: ignore[type-arg]
        user = process.get("user") or {}
        self.identity = users.resolve(root, _user_words(user), _group_words(user))
        self.arguments: list[str] = [str(each) for each in process["args"]]
        self.environment = _environment(process.get("env") or [], self.identity.home)
        self.cwd = str(process.get("cwd") or "/")
        self.directory = open_working_directory(root, self.cwd, is_made=is_first)
        self.capabilities: list[str] = (process.get("capabilities") or {}).get("bounding") or []
        self.limits: list[dict[str, object]] = process.get("rlimits") or []
        self.no_new_privileges = bool(process.get("noNewPrivileges"))
        self.reaper = bool(process.get("reaper"))
        self.umask = int(user.get("umask", 0o022))
        self.filter = filter


def become(process: Process) -> None:
    """Turn into `process`; returns only by raising StartFailed."""
    _limit(process.limits)
    give_stdio(process.identity.uid)
    _enter_directory(process.directory, process.cwd)
    _become_user(process)
    program = find_program(process.arguments[0], process.environment)
    held = _restrict(process)
    if process.reaper:
        reaper.stay(process.arguments, held)
    execute(program, process.arguments, process.environment)


def open_working_directory(root: Root, cwd: str, *, is_made: bool) -> int:
    """The working directory; a container's, unlike an exec's, is made when it is missing (as Docker). It is reached inside the root, so
    /proc/self/fd/N leads nowhere (CVE-2024-21626)."""
    if not cwd.startswith("/"):
        raise StartFailed("Cwd must be an absolute path", exit_status=NOT_EXECUTABLE)
    try:
        fd = root.make_directory(cwd) if is_made else root.open(cwd)
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError as error:
        is_directory, reason = False, os.strerror(error.errno or 0).lower()
    else:
        reason = "not a directory"
    if not is_directory:
        if is_made and reason == "not a directory":
            raise StartFailed(f"Cannot mkdir: {cwd} is not a directory")
        raise StartFailed(f'chdir to cwd ("{cwd}") failed: {reason}', exit_status=NOT_EXECUTABLE)
    return fd


def _enter_directory(directory: int, cwd: str) -> None:
    """Go there, while root still may (as Docker), and make sure that it lies below the root."""
    try:
        os.fchdir(directory)
        reached = os.getcwd()  # noqa: PTH109 - pathlib is not for the lean Python
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise StartFailed(f'chdir to cwd ("{cwd}") failed: {reason}', exit_status=NOT_EXECUTABLE) from error
    if not reached.startswith("/"):  # "(unreachable)/...", as getcwd(3) has it
        raise StartFailed(f"the working directory {cwd} is outside of the container", exit_status=NOT_EXECUTABLE)
    os.close(directory)


def _limit(limits: list[dict[str, object]]) -> None:
    for limit in limits:
        soft, hard = (_limit_value(int(str(limit[key]))) for key in ("soft", "hard"))
        try:
            resource.setrlimit(LIMITS[str(limit["type"])], (soft, hard))
        except (OSError, ValueError) as error:
            present = resource.getrlimit(LIMITS[str(limit["type"])])[1]
            name = str(limit["type"]).removeprefix("RLIMIT_").lower()
            raise StartFailed(
                f"the limit {name} cannot be set to {soft}:{hard}: this system allows at most {present} ({error})",
                hint=f"pyke run --ulimit {name}={present}:{present}",
            ) from error


def _limit_value(value: int) -> int:
    """RLIM_INFINITY, 2^64 - 1 in the OCI configuration, is -1 for Python."""
    return -1 if value >= 2**63 - 1 or value < 0 else value


def _set_groups(groups: list[int]) -> None:
    try:
        os.setgroups(groups)
    except ValueError as error:
        message = f"the user is in {len(groups)} groups, more than Linux allows"
        raise StartFailed(message, hint="pyke run --user 1000:1000 --help") from error


def _become_user(process: Process) -> None:
    """Take on groups, gid and uid; keep the permitted capabilities, whoever that is, until `_restrict`."""
    identity = process.identity
    linux.prctl(linux.PR_SET_KEEPCAPS, 1)
    try:
        capabilities.bound(capabilities.bits(process.capabilities))
        _set_groups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise StartFailed(f"the user {identity.uid}:{identity.gid} cannot be taken on: {error.strerror}") from error
    os.umask(process.umask)


def _restrict(process: Process) -> int:
    """Come down to the process's capabilities and filter; return the capabilities that are held from here on."""
    final = capabilities.bits(process.capabilities)
    # Programs of other users than root start without capabilities, as Docker's do: only files' capabilities would give them some.
    effective = final if process.identity.uid == 0 else 0
    if process.no_new_privileges:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # setuid has cleared it
    linux.close_range(3, flags=linux.CLOSE_RANGE_CLOEXEC)
    _reset_signals()
    last_privilege = capabilities.bits(["CAP_SYS_ADMIN"])
    if process.filter and not process.no_new_privileges:
        linux.capset(effective | last_privilege, effective | last_privilege, 0)
    if process.filter:
        linux.install_seccomp(process.filter)
    try:
        capabilities.hold(effective, effective)
    except OSError as error:
        raise StartFailed(
            f"the capabilities {' '.join(process.capabilities)} cannot be had: {error.strerror}; this system's own bounding set lacks some",
            hint="capsh --print",
        ) from error
    return effective


def _reset_signals() -> None:
    """Undo what is ignored or blocked here: a program inherits both over exec."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def find_program(name: str, environment: dict[str, str]) -> str:
    """The path of the program `name`, as a shell would find it; the errors are Docker's, with 126 and 127."""
    if "/" in name:
        return _checked_program(name, name)
    denied = False
    for directory in environment.get("PATH", "").split(":"):
        candidate = os.path.join(directory or ".", name)
        try:
            return _checked_program(candidate, name)
        except StartFailed as error:
            denied = denied or error.exit_status == NOT_EXECUTABLE
    if denied:
        raise StartFailed(f'exec: "{name}": permission denied', exit_status=NOT_EXECUTABLE)
    raise StartFailed(f'exec: "{name}": executable file not found in $PATH', exit_status=NOT_FOUND)


def _checked_program(path: str, name: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        text = f'exec: "{name}": stat {path}: {os.strerror(error.errno or 0).lower()}'
        raise StartFailed(text, exit_status=NOT_FOUND if missing else NOT_EXECUTABLE) from error
    if stat.S_ISDIR(mode) or not mode & 0o111:
        raise StartFailed(f'exec: "{name}": permission denied', exit_status=NOT_EXECUTABLE)
    return path


def execute(program: str, arguments: list[str], environment: dict[str, str]) -> None:
    """execve(2), with an error that says what is wrong with the program."""
    try:
        os.execve(program, arguments, environment)
    except ValueError as error:
        raise StartFailed(f'exec: "{program}": {error}', exit_status=NOT_EXECUTABLE) from error
    except OSError as error:
        raise StartFailed(*_complaint(program, error), exit_status=NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE) from error


def _complaint(program: str, error: OSError) -> tuple[str]:
    reason = os.strerror(error.errno or 0).lower()
    if error.errno == errno.ENOENT:
        return (f"exec {program}: no such file or directory: its interpreter{_interpreter(program)} is missing in the container",)
    if error.errno == errno.ENOEXEC:
        return (f"exec {program}: exec format error{_architecture(program)}",)
    return (f"exec {program}: {reason}",)


def _head(program: str) -> bytes:
    try:
        with open(program, "rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def _interpreter(program: str) -> str:
    """What the program names as its interpreter: a script's first line, or the PT_INTERP of an ELF file; with a space before it."""
    head = _head(program)
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        return f" {words[0].decode(errors='replace')}" if words else ""
    start = head.find(b"/lib")
    end = head.find(b"\0", start)
    return f" {head[start:end].decode(errors='replace')}" if head.startswith(b"\x7fELF") and start > 0 else ""


#: e_machine of ELF files: include/uapi/linux/elf-em.h
MACHINES = {3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64"}


def _architecture(program: str) -> str:
    head = _head(program)
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        return ": it is neither an ELF file nor a script with an interpreter (#!)"
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return f": it is built for {MACHINES.get(machine, f'machine {machine}')}, this is {os.uname().machine}"


def _environment(words: list[str], home: str) -> dict[str, str]:
    environment = {}
    for word in words:
        name, _, value = word.partition("=")
        if name:
            environment[name] = value
    if not environment.get("HOME"):
        environment["HOME"] = home
    return environment


def _user_words(user: dict[str, object]) -> str:
    """The user as somebody wrote it (`username`), or the numbers of an OCI configuration made by another program."""
    if "username" in user or "uid" not in user:
        return str(user.get("username") or "")
    return f"{user['uid']}:{user.get('gid', 0)}"


def _group_words(user: dict) -> list[str]:  # type: ignore[type-arg]
    return [str(each) for each in [*(user.get("additionalGids") or []), *(user.get("additionalGroups") or [])]]
