"""A container starts: the plan is drawn up, a monitor is asked for, the network is attached while init mounts, and then it goes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyke import launch
from pyke.codec import to_data
from pyke.engine.borders import host_errors
from pyke.engine.containers import attach, endings, etc_files, mounts, oci_runtime, remove, restarts
from pyke.engine.containers.waits import Exit
from pyke.errors import Conflict, EngineUnavailable, NoSuchContainer, NotModified, PykeError, StartFailed
from pyke.model import Caller, Container, ContainerState, Endpoint, Health, RootFilesystem
from pyke.runtime import seccomp

if TYPE_CHECKING:
    from pyke.engine.containers.monitors import Monitor
    from pyke.engine.engine import Engine

CREATED_DEADLINE = 30.0  # seconds; what a machine under heavy load may take for what takes 3 ms
NAMESPACE_FILES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net"}


def start(engine: Engine, container: Container, *, caller: Caller) -> None:
    """Start a container that is not running."""
    engine.ready()
    engine.authorize(caller, "container.start", container.id, container.spec)
    engine.containers.arrivals.wait(container.id)
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        _check(container)
        if engine.is_stopping:  # nobody would stop it any more
            raise EngineUnavailable("no container is started any more: the machine goes down", hint="systemctl is-system-running")
        run(engine, replace(container, state=replace(container.state, restart_count=0, backoff=0.0, manually_stopped=False)))


def run(engine: Engine, container: Container) -> None:
    """Start a container whose lock is held; also what a restart policy does."""
    try:
        what = f"container {container.name} cannot be started"
        with host_errors(what, engine.layout.root), engine.state.intent("container.start", container.id):
            started = _run(engine, container)
    except PykeError as error:
        error.hint = error.hint or _hint(container, error)
        _failed(engine, container, error)
        raise
    engine.hooks.container_started(started)


def _check(container: Container) -> None:
    status = container.state.status
    if status == "paused":
        raise Conflict("cannot start a paused container, try unpause instead", hint=f"pyke unpause {container.name}")
    if status == "running":
        raise NotModified(f"container {container.name} is running already")
    if status in ("removing", "dead"):
        raise Conflict("container is marked for removal and cannot be started", hint="pyke ps -a")


def _run(engine: Engine, container: Container) -> Container:
    with contextlib.ExitStack() as undo:
        undo.callback(engine.volumes.unmount, container.id)
        container = mounts.with_sources(engine, container)
        undo.callback(engine.networks.detach, container)
        container = engine.containers.put(replace(container, endpoints=engine.networks.reserve(container)))
        monitor = _launch(engine, container)
        undo.callback(monitor.abort)
        pid = monitor.wait_created(CREATED_DEADLINE)
        endpoints = _connect(engine, container, monitor, pid)
        monitor.wait_ready(CREATED_DEADLINE)
        engine.containers.monitors[container.id] = monitor
        undo.callback(engine.containers.monitors.pop, container.id, None)
        state = running_state(container, pid, time.time_ns())
        monitor.go()
        monitor.wait_started(CREATED_DEADLINE)
        started = record_start(engine, replace(container, endpoints=endpoints, state=state))
        undo.pop_all()
    engine.watch(started.id, monitor)
    engine.health.begin(started)
    return started


def _connect(engine: Engine, container: Container, monitor: Monitor, pid: int) -> tuple[Endpoint, ...]:
    """Attach the networks while init mounts. Where init fails meanwhile, its namespace is gone, and why it failed is what counts."""
    try:
        return engine.networks.attach(container, f"/proc/{pid}/ns/net")
    except PykeError:
        monitor.wait_ready(CREATED_DEADLINE)
        raise


def record_start(engine: Engine, container: Container) -> Container:
    """Put a container that has begun to run on record, together with the event that says so."""
    with engine.state.transaction():
        engine.containers.put(container)
        engine.volumes.tell_mounted(container)
        engine.events.publish("container", "start", container.id, engine.attributes(container))
    return container


def running_state(container: Container, pid: int, started_at: int) -> ContainerState:
    """A run begins: nothing is known of it yet. What the restart policy counts, and how the last run ended, is kept."""
    kept = container.state
    return ContainerState(
        status="running",
        pid=pid,
        started_at=started_at,
        restart_count=kept.restart_count,
        manually_stopped=kept.manually_stopped,
        backoff=kept.backoff,
        health=Health() if container.health_check else None,
        ending=kept.ending,
    )


def _launch(engine: Engine, container: Container) -> Monitor:
    """Draw up the bundle and ask the spawner for a monitor."""
    rootfs = engine.plugins.call("storage", container.storage_driver, "mount_plan", container.id)
    config = runtime_config(engine, container)
    directory = engine.layout.container_run_directory(container.id)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    exit_record = os.path.join(engine.layout.container_directory(container.id), "exit.json")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(exit_record)
    bundle = {
        "id": container.id,
        "oci": config,
        "rootfs": to_data(_unsynced(rootfs) if container.spec.auto_remove else rootfs),
        "seccomp": seccomp_filter(engine, config),
        "stdio": _stdio(engine, container),
        "log": _log(engine, container),
        "directory": directory,
        "exit_record": exit_record,
        "wake": launch.engine_argv(engine.layout) if restarts.needs_engine(container) else None,
    }
    return engine.monitors.launch(bundle, engine.containers.early_clients.pop(container.id, []))


def _unsynced(rootfs: RootFilesystem) -> RootFilesystem:
    """Have what will be removed anyway not written to the disk first: that takes an exit 3 ms, and 200 where the disk is busy."""
    is_writable_overlay = rootfs.kind == "overlay" and rootfs.upper
    return replace(rootfs, options=(*rootfs.options, "volatile")) if is_writable_overlay else rootfs


def runtime_config(engine: Engine, container: Container) -> dict[str, Any]:
    """The OCI runtime configuration, after the hooks have seen it."""
    files = etc_files.write(engine, container)
    config = oci_runtime.runtime_config(
        container,
        layout=engine.layout,
        files=files,
        namespaces=joined_namespaces(engine, container),
        linked=engine.containers.links.variables(container),
    )
    return engine.hooks.container_starting(container, config)


def joined_namespaces(engine: Engine, container: Container) -> dict[str, str]:
    """The namespaces that are not the container's own: "host", or the path of the one that it joins."""
    spec = container.spec
    modes = {"pid": spec.namespaces.pid, "ipc": spec.namespaces.ipc, "uts": spec.namespaces.uts, "network": spec.network_mode}
    if engine.networks.shares_host_namespace(spec):
        modes["network"] = "host"
    return dict(_joined(engine, modes))


def _joined(engine: Engine, modes: dict[str, str]) -> Iterator[tuple[str, str]]:
    for namespace, mode in modes.items():
        if mode == "host":
            yield namespace, "host"
        elif mode.startswith("container:"):
            yield namespace, f"/proc/{_running_pid(engine, mode.removeprefix('container:'), namespace)}/ns/{NAMESPACE_FILES[namespace]}"


# In Docker's words.
NOT_RUNNING = {
    "pid": "container {0} is not running",
    "ipc": "can't join IPC of container {0}: container {0} is not running",
    "network": "cannot join network of a non running container: {0}",
}


def _running_pid(engine: Engine, ref: str, namespace: str) -> int:
    try:
        other = engine.containers.get(ref)
    except NoSuchContainer as error:
        raise StartFailed(f"cannot join the namespace of container {ref[:12]}: it does not exist any more", hint="pyke ps -a") from error
    if not other.state.is_running:
        raise Conflict(NOT_RUNNING[namespace].format(other.id), hint=f"pyke start {other.name}")
    return other.state.pid


def seccomp_filter(engine: Engine, config: dict[str, Any]) -> str | None:
    """The path of the compiled filter for the profile that a configuration has; the profile, two thirds of it, is taken out."""
    profile = config.get("linux", {}).pop("seccomp", None)
    return seccomp.compiled(profile, os.path.join(engine.layout.run, "seccomp")) if profile else None


def _stdio(engine: Engine, container: Container) -> dict[str, Any]:
    rows, columns = engine.containers.early_sizes.pop(container.id, container.spec.console_size)
    return {
        "tty": container.spec.tty,
        "stdin": container.spec.open_stdin,
        "stdin_once": container.spec.stdin_once,
        "rows": rows,
        "columns": columns,
    }


def _log(engine: Engine, container: Container) -> dict[str, Any]:
    return etc_files.log_plan(engine.settings, container)


def _hint(container: Container, error: PykeError) -> str:
    """What to type next, where the room that failed knew only of a process and nothing of the image that it is from."""
    status = error.exit_status if isinstance(error, StartFailed) else 125
    if "exec format error" in error.message:
        return f"pyke image inspect -f '{{{{.Os}}}}/{{{{.Architecture}}}}' {container.image_name}"
    if status in (126, 127):
        return f"pyke run --rm -it --entrypoint sh {container.image_name}"
    return f"pyke image inspect {container.image_name}"


def _failed(engine: Engine, container: Container, error: PykeError) -> None:
    """Record why it did not start; as Docker, the container stays, with the status that a shell would give."""
    attach.dismiss(engine, container)
    now = engine.state.containers.get(container.id)
    if now is None:
        return
    code = error.exit_status if isinstance(error, StartFailed) else 128
    status = "exited" if now.state.started_at else "created"
    ending = endings.of_failed_start(container, error, code)
    failed = replace(
        now.state, status=status, pid=0, exit_code=code, error=error.message, restart_count=container.state.restart_count, ending=ending
    )
    now = engine.containers.put(replace(now, state=failed, endpoints=engine.networks.released(now)))
    engine.containers.waits.exited(now.id, Exit(code, error.message))
    if now.spec.auto_remove:
        remove.after_exit(engine, now)
