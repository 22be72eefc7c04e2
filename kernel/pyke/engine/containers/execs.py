"""Further commands inside a running container, each with a monitor of its own."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyke.codec import to_data
from pyke.engine.containers import attach, start
from pyke.engine.containers.exec_records import ExecRecords
from pyke.engine.containers.exit_records import ExitRecord, read_exit_record
from pyke.engine.containers.monitors import KILLED, AttachRequest, Monitor
from pyke.engine.containers.oci_runtime import exec_process
from pyke.engine.identifiers import new_id
from pyke.errors import Conflict, InvalidRequest, NoSuchExec, PykeError, StartFailed
from pyke.model import Caller, Container, Exec, ExecSpec
from pyke.runtime.namespaces import process_start_time
from pyke.runtime.process import NOT_EXECUTABLE

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

END_DEADLINE = 10.0  # seconds that a process may take to end after its streams
KEPT_AFTER_THE_END = 1000  # execs whose exit code is still told; Docker forgets them after a while too


class Execs:
    """All execs of an engine. One that outlives its engine runs on, its client's streams with it, and is adopted by the next."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._guard = threading.Lock()
        self._execs: dict[str, Exec] = {}
        self._monitors: dict[str, Monitor] = {}
        self._records = ExecRecords(engine.layout)

    def adopt(self) -> None:
        """Take over what an earlier engine has left: execs that run, and the last that have ended."""
        for exec in self._records.all():
            self._execs[exec.id] = replace(exec, is_running=True)
            directory = self._records.directory(exec)
            monitor = self.engine.monitors.adopt(exec.id, directory)
            if monitor is None:
                record = read_exit_record(os.path.join(directory, "exit.json"))
                self._ended(exec.id, record or ExitRecord(KILLED, error="the engine or its monitor was killed", lost=True))
            else:
                self._monitors[exec.id] = monitor
                self._watch(exec, monitor, int(monitor.adopted["pid"]))

    def create(self, container: Container, spec: ExecSpec, *, caller: Caller) -> str:
        """Register a command to be run in a running container, and return its ID."""
        self.engine.authorize(caller, "container.exec", container.id, container.spec)
        return self.register(container, spec)

    def register(self, container: Container, spec: ExecSpec) -> str:
        """`create`, for the engine itself."""
        if not spec.command or not spec.command[0]:
            raise InvalidRequest("No exec command specified", hint=f"pyke exec {container.name} COMMAND")
        _check_running(container)
        id = new_id()
        with self._guard:
            self._execs[id] = Exec(id, container.id, spec)
            self._forget_old()
        self._tell("exec_create", container, self._execs[id])
        return id

    def get(self, id: str) -> Exec:
        """The exec as it is now. A client that has seen its streams end asks at once, and is told the exit code."""
        found = self._execs.get(id) or self._by_prefix(id)
        if found is None:
            raise NoSuchExec(f"No such exec instance: {id}", hint="pyke exec CONTAINER COMMAND")
        monitor = self._monitors.get(found.id)
        if monitor is not None:
            monitor.listen()  # it speaks to the engine before it closes its clients
            record, failure = monitor.end(), monitor.failure()
            if record is not None or failure is not None:
                self._ended(found.id, _never_executed(failure) if failure else record or ExitRecord(NOT_EXECUTABLE))
        return self._execs[found.id]

    def of_container(self, container: str) -> list[Exec]:
        """The execs that have not ended."""
        with self._guard:
            return [each for each in self._execs.values() if each.container == container and each.exit_code is None]

    def start(
        self, id: str, client: socket.socket | None, *, early: bytes = b"", framed: bool = True, detach_keys: str = "", caller: Caller
    ) -> None:
        """Run it, with a client's connection for its streams, or without one. `StartFailed` if the command cannot be started."""
        container = self.engine.containers.get(self.get(id).container)
        self.engine.authorize(caller, "container.exec", container.id, container.spec)
        self.run(id, client, early=early, framed=framed, detach_keys=detach_keys)

    def run(self, id: str, client: socket.socket | None, *, early: bytes = b"", framed: bool = True, detach_keys: str = "") -> None:
        """`start`, for the engine itself."""
        container = self.engine.containers.get(self.get(id).container)
        _check_running(container)
        exec = self._claim(self.get(id))
        clients = [_wish(exec.spec, client, early, framed, detach_keys)] if client is not None else []
        try:
            monitor = self.engine.monitors.launch(self._bundle(container, exec), clients)
            self._launch(exec, monitor)
        except PykeError as error:
            self._ended(exec.id, _never_executed(error))
            raise
        self._tell("exec_start", container, exec)

    def _claim(self, exec: Exec) -> Exec:
        """An exec runs once."""
        with self._guard:
            exec = self._execs[exec.id]
            if exec.is_running or exec.exit_code is not None:
                raise Conflict(f"Error: Exec command {exec.id} is already running or has run", hint="pyke exec CONTAINER COMMAND")
            self._execs[exec.id] = replace(exec, is_running=True)
            return exec

    def _launch(self, exec: Exec, monitor: Monitor) -> None:
        with self._guard:
            self._monitors[exec.id] = monitor  # a client may ask for the end of a quick command before its start is known here
        try:
            monitor.wait_ready()
            monitor.go()
            pid = monitor.wait_started()
        except PykeError:
            monitor.abort()
            raise
        self._watch(exec, monitor, pid)

    def _watch(self, exec: Exec, monitor: Monitor, pid: int) -> None:
        with self._guard:
            if self._execs[exec.id].exit_code is not None:
                return
            self._execs[exec.id] = replace(exec, is_running=True, pid=pid)
        self.engine.monitors.watch(exec.id, monitor, self._ended)

    def _bundle(self, container: Container, exec: Exec) -> dict[str, Any]:
        directory = self._records.directory(exec)
        rows, columns = exec.spec.console_size
        config = exec_process(container, exec.spec, self.engine.containers.links.variables(container))
        return {
            "id": exec.id,
            "oci": config,
            "record": to_data(exec),
            "exec": {
                "pid": container.state.pid,
                "start_time": self._start_time(container),
                "cgroup": self.engine.cgroup_path(container),
            },
            "seccomp": None if exec.spec.privileged else start.seccomp_filter(self.engine, config),
            "stdio": {"tty": exec.spec.tty, "stdin": exec.spec.attach_stdin, "stdin_once": True, "rows": rows, "columns": columns},
            "log": {"driver": "none"},
            "directory": directory,
            "exit_record": os.path.join(directory, "exit.json"),
            "wake": None,
        }

    def _start_time(self, container: Container) -> int:
        """When the container's first process began, in clock ticks: its number, should it end now, may be another's in a moment.

        Read before its monitor is asked, who knows whether it was still there.
        """
        try:
            start_time = process_start_time(container.state.pid)
        except ProcessLookupError:
            start_time = 0
        monitor = self.engine.containers.monitors.get(container.id)
        if not start_time or monitor is None or monitor.state()["pid"] != container.state.pid:
            raise Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")
        return start_time

    def wait(self, id: str, timeout: float = END_DEADLINE) -> int:
        """The exit code of one whose streams have ended. `PykeError` if it does not end within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.get(id).exit_code) is None:
            if time.monotonic() > deadline:
                raise PykeError(f"exec {id[:12]} did not end {timeout:.0f} s after its streams", hint="pyke ps")
            time.sleep(0.01)
        return code

    def kill(self, id: str) -> None:
        """End its process, and return when it has ended. Idempotent."""
        monitor = self._monitors.get(id)
        if monitor is not None:
            monitor.abort()

    def resize(self, id: str, rows: int, columns: int) -> None:
        exec = self.get(id)
        monitor = self._monitors.get(exec.id)
        if monitor is None:
            raise Conflict(f"exec {exec.id[:12]} is not running", hint="pyke exec -it CONTAINER COMMAND")
        attach.check_size(rows, columns)
        monitor.resize(rows, columns)

    def container_ended(self, container: str) -> None:
        """Its execs died with it, as their monitors tell; one that was not started by then never will be, and is not waited for."""
        with self._guard:
            for exec in list(self._execs.values()):
                if exec.container == container and exec.exit_code is None and not exec.is_running:
                    error = f"Container {container} has ended"
                    self._execs[exec.id] = replace(exec, exit_code=NOT_EXECUTABLE, error=error)

    def _ended(self, id: str, record: ExitRecord) -> None:
        with self._guard:
            self._monitors.pop(id, None)
            if self._execs[id].exit_code is not None:
                return
            exec = replace(self._execs[id], is_running=False, exit_code=record.code, error=record.error, pid=0)
            self._execs[id] = exec
            is_told = self._records.is_told(exec)
            self._records.ended(exec)
        container = self.engine.state.containers.get(exec.container)
        if container is not None and not is_told:
            self._tell("exec_die", container, exec, exitCode=str(record.code))

    def _tell(self, action: str, container: Container, exec: Exec, **attributes: str) -> None:
        if action != "exec_die":
            action = f"{action}: {' '.join(exec.spec.command)}"
        self.engine.events.publish("container", action, container.id, self.engine.attributes(container), execID=exec.id, **attributes)

    def _by_prefix(self, prefix: str) -> Exec | None:
        matching = [exec for id, exec in self._execs.items() if prefix and id.startswith(prefix)]
        return matching[0] if len(matching) == 1 else None

    def _forget_old(self) -> None:
        ended = [id for id, exec in self._execs.items() if exec.exit_code is not None]
        for id in ended[:-KEPT_AFTER_THE_END]:
            del self._execs[id]


def _wish(spec: ExecSpec, client: socket.socket, early: bytes, framed: bool, detach_keys: str) -> AttachRequest:
    wanted = {"stdin": spec.attach_stdin, "stdout": spec.attach_stdout, "stderr": spec.attach_stderr}
    streams = {name for name, is_wanted in wanted.items() if is_wanted}
    return attach.request(client, early=early, streams=streams, framed=framed, detach_keys=detach_keys or spec.detach_keys)


def _check_running(container: Container) -> None:
    if container.state.status == "paused":
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec", hint=f"pyke unpause {container.name}")
    if not container.state.is_running:
        raise Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")


def _never_executed(error: PykeError) -> ExitRecord:
    """Docker has 126 for what is no fault of the command's."""
    status = max(error.exit_status, NOT_EXECUTABLE) if isinstance(error, StartFailed) else NOT_EXECUTABLE
    return ExitRecord(status, error=error.message)
