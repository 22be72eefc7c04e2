"""Run a bundle without an engine, a spawner or a monitor: for tests of the runtime and of hostile root file systems.

    bundle = bundles.make(tmp_path, "echo", "hello")
    outcome = bundles.run(bundle, stdin=b"...")
    assert outcome.status == 0 and outcome.stdout == b"hello\n"

A sealed Python of its own plays the monitor for one container: it forks init, lets it go, collects what it prints and removes the cgroup.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyke.runtime import cgroups, init, linux, namespaces, sealed

if TYPE_CHECKING:
    from pyke.model import ContainerSpec, ImageConfig

BUSYBOX = "/bin/busybox"
PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/false\nnobody:x:65534:65534::/home:/bin/false\n"
GROUP = "root:x:0:\ndaemon:x:1:\nwheel:x:10:root\nnogroup:x:65534:\n"

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# By its path: what else is in this package imports pytest, and a large process forks slowly.
PROGRAM = "import runpy, sys; sys.path[:0] = [sys.argv[1]]; runpy.run_path(sys.argv[2])['play_monitor'](sys.argv[3])"


@dataclass(slots=True)
class Outcome:
    """How it went: `status` as a shell says it, or -1 when init failed, whose last packet is `failure` then; `milliseconds` from fork to
    exec."""

    status: int = -1
    stdout: bytes = b""
    stderr: bytes = b""
    failure: dict[str, Any] = field(default_factory=dict)
    milliseconds: float = 0.0
    oom_events: int = 0
    execs: list[dict[str, Any]] = field(default_factory=list)


def busybox_root(path: Path) -> Path:
    """Make a root file system of a static busybox, with a passwd and a group."""
    for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp"):
        (path / name).mkdir(parents=True)
    busybox = path / "bin" / "busybox"
    shutil.copy(BUSYBOX, busybox)
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (path / "bin" / name).symlink_to("busybox")
    (path / "etc" / "passwd").write_text(PASSWD)
    (path / "etc" / "group").write_text(GROUP)
    return path


def make(
    directory: Path, *command: str, spec: ContainerSpec | None = None, image: ImageConfig | None = None, **options: Any
) -> dict[str, Any]:
    """A bundle below `directory` for a container that runs `command` as `spec` asks, on a busybox root that may be changed before it runs:
    DIRECTORY/lower, with DIRECTORY/upper over it. `options` are `files` and `namespaces` of `runtime_config`, and further `mounts`."""
    from pyke.engine.containers import oci_runtime  # not in the stand-in, which is to stay lean
    from pyke.model import Container, ContainerSpec, ImageConfig
    from pyke.paths import Layout
    from pyke.runtime import seccomp

    spec = spec or ContainerSpec(image="busybox")
    if not (directory / "lower").exists():
        busybox_root(directory / "lower")
    for name in ("upper", "work", "run"):
        (directory / name).mkdir(exist_ok=True)
    container = Container(
        id=os.urandom(32).hex(), name="test", created=0, spec=spec, image_id="", image_name="busybox", image_config=image or ImageConfig(),
        argv=command, storage_driver="", hostname="test", mounts=options.get("mounts", ()),
    )  # fmt: skip
    layout = Layout(str(directory))
    oci = oci_runtime.runtime_config(container, layout=layout, files=options.get("files", {}), namespaces=options.get("namespaces", {}))
    rootfs = {"kind": "overlay", "lower": [f"{directory}/lower"], "upper": f"{directory}/upper", "work": f"{directory}/work"}
    profile = oci["linux"]["seccomp"]
    return {
        "id": container.id,
        "oci": oci,
        "rootfs": rootfs,
        "seccomp": seccomp.compiled(profile, f"{directory}/seccomp") if profile else None,
        "stdio": {"tty": spec.tty, "stdin": True, "rows": spec.console_size[0], "columns": spec.console_size[1]},
        "directory": f"{directory}/run",
    }


def run(bundle: dict[str, Any], *, stdin: bytes = b"", execs: list[dict[str, Any]] | None = None, timeout: float = 30) -> Outcome:
    """Run a container to its end. The bundle's directory must exist and be the test's own.

    `execs` are bundles for further processes, run one after the other while the container runs: they get its pid and cgroup filled in,
    and `Outcome.execs` has {"status", "failure"} for each.
    """
    path = os.path.join(bundle["directory"], "bundle.json")
    result = os.path.join(bundle["directory"], "result.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**bundle, "execs": execs or []}, file)
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, SOURCE, __file__, path]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"the stand-in for a monitor failed: {done.stderr.decode(errors='replace')}")
    with open(result, encoding="utf-8") as file:
        facts = json.load(file)
    return Outcome(stdout=done.stdout, stderr=done.stderr, **facts)


def play_monitor(path: str) -> None:
    """The other side of `run`, in the sealed Python: the container has this process's standard input, output and error."""
    if not sealed.is_sealed():
        sealed.execute(sys.executable, sys.orig_argv, dict(os.environ))
    with open(path, encoding="utf-8") as file:
        bundle = json.load(file)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    facts = _watch(bundle)
    with open(os.path.join(bundle["directory"], "result.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file)


def _watch(bundle: dict[str, Any]) -> dict[str, Any]:
    import socket

    ours, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting, go = os.pipe()
    begin = time.perf_counter()
    pid = init.fork(bundle)
    if pid == 0:
        init.run(bundle, report.fileno(), waiting)
    report.close()
    os.close(waiting)
    failure, terminal = _hear(ours, go)
    milliseconds = (time.perf_counter() - begin) * 1000
    if terminal >= 0:
        _copy(terminal)
    execs = [] if failure else [_exec(bundle, pid, each) for each in bundle["execs"]]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    group = init.cgroup(bundle)
    facts = {"failure": failure, "milliseconds": milliseconds, "oom_events": group.oom_events(), "execs": execs}
    group.remove()
    cgroups.at(os.path.dirname(group.path)).remove()
    return {**facts, "status": -1 if failure else status if status >= 0 else 128 - status}


def _exec(bundle: dict[str, Any], pid: int, further: dict[str, Any]) -> dict[str, Any]:
    import socket

    further["exec"] = {"pid": pid, "start_time": namespaces.process_start_time(pid), "cgroup": bundle["oci"]["linux"]["cgroupsPath"]}
    ours, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = init.fork_exec(further)
    if child == 0:
        init.run_exec(further, report.fileno())
    report.close()
    failure, terminal = _hear(ours, -1)
    if terminal >= 0:
        _copy(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"failure": failure, "status": -1 if failure else status if status >= 0 else 128 - status}


def _hear(report: Any, go: int) -> tuple[dict[str, Any], int]:
    """Listen until init has executed the program or failed: (its failure or {}, the master of its terminal or -1)."""
    import socket

    failure: dict[str, Any] = {}
    terminal = -1
    while True:
        packet, descriptors, _, _ = socket.recv_fds(report, 65536, 1)
        if not packet:
            return failure, terminal
        message = json.loads(packet)
        if message["event"] == "terminal":
            terminal = descriptors[0]
        elif message["event"] == "ready":
            os.write(go, b"g")
        else:
            failure = message


def _copy(terminal: int) -> None:
    """What the terminal prints goes to stdout; it ends with EIO when the last process that holds it has ended."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while select.select([terminal], [], [], 30)[0]:
        try:
            os.write(1, os.read(terminal, 65536))
        except OSError:
            return
