"""From a bundle to a running process: what the monitor does to have a child, and what that child does to become a container.

The story, as the monitor tells it:

    pid = init.fork(bundle)                      # 0 in the child, which is in its namespaces and in its cgroup already
    if pid == 0:
        ... put stdin, stdout and stderr in place (with a tty: anything, they are replaced) ...
        init.run(bundle, report, wait_for_go)    # never returns
    ... "created" is true from here on: /proc/PID/ns/net exists ...
    {"event": "ready"} arrives on the other end of `report`, a SOCK_SEQPACKET socket; with a tty {"event": "terminal"} before it,
        with the master of the pty as SCM_RIGHTS
    ... write one byte to the other end of `wait_for_go` (or close it, to abort) ...
    `report` ends without a further packet: the exec has succeeded; {"event": "failed", "message", "hint", "exit_status"}: it has not

and for `exec`, the same with `fork_exec(bundle)` and `run_exec(bundle, report)`, where nothing is waited for. `cgroup(bundle)` is the
container's cgroup: its `oom_events()`, `kill_all()` and `remove()` are the monitor's to call when the process has ended.

The child dies with the monitor (PR_SET_PDEATHSIG). The executable of the process that calls `fork` must be sealed
(`pyke.runtime.sealed.execute`), because a container sees it as /proc/self/exe for a moment (CVE-2019-5736): `run` and `run_exec`
refuse to go on otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import struct
import sys
from _socket import SCM_RIGHTS, SOL_SOCKET, socket

from pyke.errors import StartFailed
from pyke.runtime import cgroups, devices, linux, namespaces, rootfs, sealed, sysctl
from pyke.runtime.plan import Operation, ReadOnlyRootOperation
from pyke.runtime.planning import covers, mounts
from pyke.runtime.process import Process, become
from pyke.runtime.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

FAILED = 125  # the exit status of what is not the command's fault

# --- in the monitor ------------------------------------------------------------------------------------------------


def cgroup(bundle: dict[str, Any]) -> cgroups.Cgroup:
    """The container's cgroup, whether or not it exists."""
    return cgroups.at((bundle.get("exec") or {}).get("cgroup") or bundle["oci"]["linux"]["cgroupsPath"])


def fork(bundle: dict[str, Any], flags: int = 0) -> int:
    """Make the cgroup and fork a child into the container's namespaces; 0 in the child, its PID in the monitor.

    `flags` is 0, or CLONE_PARENT where a midwife forks the monitor's child.

    The child is in the cgroup from its birth, or enters it as the first thing that `run` does, so that nothing escapes the limits. Raises
    OSError, and leaves nothing behind then.
    """
    group, oci = cgroup(bundle), bundle["oci"]
    try:
        group.create(oci["linux"].get("resources") or {})
        return _fork_into(group, flags | namespaces.clone_flags(oci), namespaces.open_pid_namespace(oci), oci["linux"])
    except OSError:
        with contextlib.suppress(OSError):
            group.remove()
        raise


def fork_exec(bundle: dict[str, Any]) -> int:
    """Fork a child into a running container's cgroup and PID namespace; 0 in the child. Raises OSError: ESRCH when it has ended."""
    target = namespaces.Target(bundle["exec"]["pid"], bundle["exec"].get("start_time"))
    pid = -1
    try:
        pid = _fork_beside(target, cgroup(bundle))
    finally:
        if pid != 0:
            target.close()
    bundle["exec"]["target"] = target  # for `run_exec`, in the child
    return pid


def _fork_beside(target: namespaces.Target, group: cgroups.Cgroup) -> int:
    try:
        return _fork_into(group, 0, target.open_pid_namespace(), {})
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    # The container has made cgroups below its own and let them use controllers. From then on its own takes no process (version 2: "no
    # internal processes"), and an exec goes where the container's first process has gone.
    return _fork_into(cgroups.of_process(target.pid), 0, target.open_pid_namespace(), {})


def _fork_into(group: cgroups.Cgroup, flags: int, pid_namespace: int, config: dict[str, Any]) -> int:
    directory, gate, pid = group.open(), namespaces.Gate(flags), -1
    try:
        pid = namespaces.clone(flags, pid_namespace, directory)
        if pid == 0:
            return 0 if gate.wait() else os._exit(FAILED)
        if flags & linux.CLONE_NEWUSER:  # inside, it may not write to the host's cgroups any more
            group.place(pid)
            namespaces.map_identities(pid, config)
        gate.open()
    except OSError:
        if pid > 0:
            os.kill(pid, signal.SIGKILL)
            if not flags & linux.CLONE_PARENT:
                os.waitpid(pid, 0)
        raise
    finally:
        if pid != 0:
            gate.close()
            for fd in (directory, pid_namespace):
                if fd >= 0:
                    os.close(fd)
    return pid


# --- in the child --------------------------------------------------------------------------------------------------


def run(bundle: dict[str, Any], report: int, wait_for_go: int) -> NoReturn:
    """Become the container: build its file systems, say "ready", wait for a byte, and execute its program. Never returns."""
    try:
        _protect((report, wait_for_go))
        _enter_cgroup(bundle)
        process, proc_sys = _build(bundle, report)
        _tell(report, {"event": "ready"})
        if os.read(wait_for_go, 1):
            sysctl.write(proc_sys, bundle["oci"]["linux"].get("sysctl") or {}, namespaces.own(bundle["oci"]))
            become(process)
    except BaseException as error:
        _tell(report, _failure(error))
    finally:
        os._exit(FAILED)


def run_exec(bundle: dict[str, Any], report: int) -> NoReturn:
    """Become another process of a running container. Never returns."""
    try:
        target = bundle["exec"]["target"]
        _protect((report, target.pidfd))
        _enter_cgroup(bundle)
        seccomp = _read_filter(bundle)
        os.setsid()
        target.join()
        target.close()
        _forget_host_modules()
        root = Root.at("/")
        if bundle["stdio"]["tty"]:
            devices.take_terminal(_open_terminal(bundle, root, report))
        become(Process(bundle["oci"]["process"], root, seccomp, is_first=False))
    except BaseException as error:
        _tell(report, _failure(error))
    finally:
        os._exit(FAILED)


def _protect(kept: tuple[int, ...]) -> None:
    """Die with the monitor, be looked at by nobody, and hold nothing that is not needed."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if not sealed.is_sealed():
        raise StartFailed("init runs from an executable that the container could write: it was not started by the spawner")
    first = 3
    for fd in sorted(kept):
        if fd > first:
            linux.close_range(first, fd - 1)
        first = fd + 1
    linux.close_range(first)


def _enter_cgroup(bundle: dict[str, Any]) -> None:
    if not namespaces.clone_flags(bundle["oci"]) & linux.CLONE_NEWUSER:
        cgroup(bundle).enter()


def _build(bundle: dict[str, Any], report: int) -> tuple[Process, int]:
    """Everything up to "ready"; also a descriptor of a /proc/sys that may still be written."""
    oci, group = bundle["oci"], cgroup(bundle)
    os.umask(0)
    os.setsid()
    namespaces.join(oci)
    _name_and_connect(oci)
    _adjust_oom_score(oci)
    seccomp = _read_filter(bundle)
    operations = mounts(oci, group)
    for operation in operations:
        operation.prepare()
    root = _enter_root(bundle)
    for operation in operations:
        operation.execute(root)
    rootfs.forget_host(root)
    proc_sys = root.open("/proc/sys", os.O_RDONLY | os.O_DIRECTORY)
    if bundle["stdio"]["tty"]:
        terminal = _open_terminal(bundle, root, report)
        devices.bind_console(root, terminal)
        devices.take_terminal(terminal)
    process = Process(oci["process"], root, seccomp, is_first=True)
    for operation in _last_operations(oci):
        operation.execute(root)
    return process, proc_sys


def _enter_root(bundle: dict[str, Any]) -> Root:
    """From the host's root to the container's; nothing of this namespace's mounts reaches the host's from here on."""
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    mount = rootfs.root_operation(bundle["rootfs"], bundle["directory"]).execute()
    _forget_host_modules()
    with Root.at(bundle["directory"]) as stand:
        return rootfs.enter(mount, stand)


def _forget_host_modules() -> None:
    """No import from here on: Python would look for the module in the container's root."""
    sys.meta_path.clear()


def _last_operations(oci: dict[str, Any]) -> list[Operation]:
    is_read_only = bool((oci.get("root") or {}).get("readonly"))
    return [*covers(oci), *([ReadOnlyRootOperation()] if is_read_only else [])]


def _name_and_connect(oci: dict[str, Any]) -> None:
    kinds = namespaces.own(oci)
    if "uts" in kinds and oci.get("hostname"):
        linux.sethostname(oci["hostname"])
    if "uts" in kinds and oci.get("domainname"):
        linux.setdomainname(oci["domainname"])
    if "network" in kinds:
        namespaces.raise_loopback()


def _adjust_oom_score(oci: dict[str, Any]) -> None:
    score = oci["process"].get("oomScoreAdj")
    if score is None:
        return
    fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    try:
        if int(os.read(fd, 16)) != score:
            os.write(fd, str(score).encode())
    except OSError as error:
        raise StartFailed(f"the OOM score cannot be set to {score}: {error.strerror}", hint="pyke run --oom-score-adj 0 --help") from error
    finally:
        os.close(fd)


def _open_terminal(bundle: dict[str, Any], root: Root, report: int) -> int:
    """Make a terminal, hand its master to the monitor, and return the slave."""
    master, slave = devices.open_terminal(root, bundle["stdio"].get("rows") or 0, bundle["stdio"].get("columns") or 0)
    _tell(report, {"event": "terminal"}, master)
    os.close(master)
    return slave


def _read_filter(bundle: dict[str, Any]) -> bytes | None:
    if not bundle.get("seccomp"):
        return None
    with open(bundle["seccomp"], "rb") as file:
        return file.read()


def _tell(report: int, message: dict[str, Any], descriptor: int = -1) -> None:
    rights = [(SOL_SOCKET, SCM_RIGHTS, struct.pack("@i", descriptor))] if descriptor >= 0 else []
    connection = socket(fileno=os.dup(report))
    try:
        connection.sendmsg([json.dumps(message).encode()], rights)
    except OSError:  # nobody listens any more: the monitor is dead, and so is this process in a moment
        os._exit(FAILED)
    finally:
        connection.close()


def _failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, StartFailed):
        return {"event": "failed", "message": error.message, "hint": error.hint, "exit_status": error.exit_status}
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        message = f"the container's process could not be set up: {error.strerror}{where}"
    else:
        message = f"init failed unexpectedly: {type(error).__name__}: {error} ({_origin(error)})"
    return {"event": "failed", "message": message, "hint": "", "exit_status": FAILED}


def _origin(error: BaseException) -> str:
    """Where a defect showed itself, without reading source files, which are out of sight by now."""
    places, traceback = [], error.__traceback__
    while traceback:
        code = traceback.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " → ".join(places)
