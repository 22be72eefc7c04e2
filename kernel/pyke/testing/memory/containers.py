"""Containers in memory: they have states and streams, but no processes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pyke.engine.containers.arrivals import Arrivals
from pyke.engine.containers.statistics import NETWORK_COUNTERS, Sample
from pyke.engine.containers.update import merged
from pyke.engine.containers.waits import Exit, Wait, Waits
from pyke.engine.containers.why import Story, tell
from pyke.engine.identifiers import new_id
from pyke.errors import (
    Conflict,
    NameInUse,
    NoSuchContainer,
    NoSuchExec,
    NotModified,
)
from pyke.model import (
    Caller,
    Container,
    ContainerSpec,
    Endpoint,
    Exec,
    ExecSpec,
    Limits,
    RestartPolicy,
)  # fmt: skip

if TYPE_CHECKING:
    from pyke.testing.memory.engine import MemoryEngine

PRINTED = ((1_700_000_000_123_456_789, "stdout", b"hello\n"), (1_700_000_001_000_000_000, "stderr", b"oops\n"))


@dataclass(frozen=True)
class Record:
    time: int
    stream: str
    data: bytes
    extra: Mapping[str, str] = field(default_factory=dict)


class Logs:
    """Records, and with `follow` a wait for the end of the container or for `close`."""

    def __init__(self, records: Sequence[Record], end: threading.Event | None) -> None:
        self._records, self._end, self.is_closed = records, end, False

    def batches(self) -> Iterator[Sequence[Record]]:
        yield self._records
        if self._end is not None:
            self._end.wait()

    def close(self) -> None:
        self.is_closed = True
        if self._end is not None:
            self._end.set()


class Links:
    """Nobody is linked; what was removed is remembered."""

    def __init__(self) -> None:
        self.removed: list[tuple[str, str]] = []

    def shown(self, container: Container) -> Sequence[str]:
        return container.spec.links

    def aliases(self) -> Mapping[str, Sequence[str]]:
        return {}

    def remove(self, ref: str, alias: str, *, caller: Caller) -> None:
        self.removed.append((ref, alias))


class MemoryContainers:
    def __init__(self, engine: MemoryEngine) -> None:
        self.engine, self.waits = engine, Waits()
        self.records: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}
        self.attached: dict[str, socket.socket] = {}
        self.arrivals = Arrivals()
        self.links = Links()
        self.specs: list[ContainerSpec] = []
        self.callers: list[Caller] = []
        self.streams: list[Logs] = []
        self.sizes: list[tuple[str, int, int]] = []

    def has(self, id: str) -> bool:
        return id in self.records

    def create(self, spec: ContainerSpec, *, name: str = "", id: str = "", caller: Caller) -> Any:
        image = self.engine.images.get(spec.image)
        if any(each.name == name for each in self.records.values()):
            raise NameInUse(f'Conflict. The container name "/{name}" is already in use', hint=f"pyke rm -f {name}")
        id = id or new_id()
        argv = (spec.entrypoint or image.config.entrypoint or ()) + (spec.command or image.config.command or ())
        network = self.engine.networks.get("bridge" if spec.network_mode == "default" else spec.network_mode)
        endpoint = Endpoint(new_id(), network.id, network.name, id, "172.17.0.2/16", gateway="172.17.0.1", mac="02:42:ac:11:00:02")
        self.records[id] = Container(
            id,
            name or f"name_{id[:6]}",
            time.time_ns(),
            spec,
            image.id,
            spec.image,
            image.config,
            argv,
            "memory",
            id[:12],
            endpoints=(endpoint,),
        )
        self.specs.append(spec)
        self.callers.append(caller)
        self.engine.events.publish("container", "create", id, image=spec.image, name=name)
        return SimpleNamespace(id=id, warnings=("a warning",) if name == "warned" else ())

    def get(self, ref: str) -> Container:
        for each in self.records.values():
            if ref in (each.id, each.name, f"/{each.name}") or (ref and each.id.startswith(ref)):
                return each
        raise NoSuchContainer(f"No such container: {ref}", hint="pyke ps -a")

    def all(self) -> list[Container]:
        return sorted(self.records.values(), key=lambda each: each.created, reverse=True)

    def change(self, container: Container, **changes: Any) -> None:
        self.records[container.id] = replace(container, state=replace(container.state, **changes))

    def start(self, ref: str, *, caller: Caller) -> None:
        container = self.get(ref)
        if container.state.is_running:
            raise NotModified(f"container {ref} is already started")
        self.arrivals.wait(container.id)
        self.change(container, status="running", pid=4711, started_at=time.time_ns())
        self.engine.events.publish("container", "start", container.id, image=container.image_name, name=container.name)
        client = self.attached.pop(container.id, None)
        if client is not None:
            data = b" ".join(word.encode() for word in container.argv) + b"\n"
            client.sendall(data if container.spec.tty else bytes((1, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)
            client.close()
        if container.argv[:1] == ("true",) or container.argv[:1] == ("echo",):
            self.end(container.id, 0)

    def end(self, ref: str, code: int) -> None:
        container = self.get(ref)
        self.change(container, status="exited", exit_code=code, pid=0, finished_at=time.time_ns())
        self.engine.events.publish("container", "die", container.id, image=container.image_name, name=container.name, exitCode=str(code))
        self.waits.exited(container.id, Exit(code))
        if container.spec.auto_remove:
            self.remove(container.id, caller=Caller(0, 0, 0))

    def stop(self, ref: str, *, timeout: int | None = None, signal: str = "", caller: Caller) -> None:
        if not self.get(ref).state.is_running:
            raise NotModified(f"container {ref} is already stopped")
        self.end(ref, 143)

    def kill(self, ref: str, *, signal: str = "KILL", caller: Caller) -> None:
        container = self.get(ref)
        if not container.state.is_running:
            raise Conflict(f"Container {container.id} is not running")
        self.end(ref, 137)

    def restart(self, ref: str, *, timeout: int | None = None, signal: str = "", caller: Caller) -> None:
        self.change(self.get(ref), status="running")

    def pause(self, ref: str, *, caller: Caller) -> None:
        self.change(self.get(ref), status="paused")

    def unpause(self, ref: str, *, caller: Caller) -> None:
        self.change(self.get(ref), status="running")

    def rename(self, ref: str, name: str, *, caller: Caller) -> None:
        container = self.get(ref)
        self.records[container.id] = replace(container, name=name)
        self.engine.events.publish("container", "rename", container.id, name=name, oldName=f"/{container.name}")

    def remove(self, ref: str, *, force: bool = False, volumes: bool = False, caller: Caller) -> None:
        container = self.get(ref)
        if container.state.is_running and not force:
            raise Conflict(f"You cannot remove a running container {container.id}", hint=f"pyke rm -f {container.name}")
        del self.records[container.id]
        self.engine.events.publish("container", "destroy", container.id, name=container.name)
        self.waits.removed(container.id, Exit(container.state.exit_code))

    def wait(self, ref: str, condition: str = "not-running") -> Wait:
        container = self.get(ref)
        wait = self.waits.register(container.id, condition)
        if condition == "not-running" and not container.state.is_running:
            wait.settle(Exit(container.state.exit_code))
        return wait

    def attach(
        self, ref: str, client: socket.socket, *, early: bytes, streams: set[str], framed: bool, detach_keys: str, logs: bool = False
    ) -> None:
        """Created: kept until the start. Running: a loud echo of what was early, then of what comes."""
        container = self.get(ref)
        mine = client.dup()
        if not container.state.is_running:
            self.attached[container.id] = mine
            return
        threading.Thread(target=echo, args=(mine, early), daemon=True).start()

    def arriving(self, ref: str) -> AbstractContextManager[None]:
        return self.arrivals.expected(self.get(ref).id)

    def resize(self, ref: str, rows: int, columns: int) -> None:
        self.sizes.append((self.get(ref).id, rows, columns))

    def logs(
        self,
        ref: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        tail: int | None = None,
        since: int = 0,
        until: int = 0,
    ) -> Logs:
        wanted = {name for name, is_wanted in (("stdout", stdout), ("stderr", stderr)) if is_wanted}
        records = [Record(*each) for each in PRINTED if each[1] in wanted and each[0] >= since]
        stream = Logs(records[-tail:] if tail else [] if tail == 0 else records, threading.Event() if follow else None)
        self.streams.append(stream)
        return stream

    def update(self, ref: str, limits: Limits, restart: RestartPolicy | None = None, *, caller: Caller) -> tuple[str, ...]:
        container = self.get(ref)
        spec = replace(container.spec, limits=merged(container.spec.limits, limits), restart=restart or container.spec.restart)
        self.records[container.id] = replace(container, spec=spec)
        return ()

    def why(self, ref: str) -> Story:
        return tell(self.get(ref))

    def sample(self, ref: str) -> Sample:
        if not self.get(ref).state.is_running:
            return Sample()
        cpu = {"usage": 10**9, "user": 6 * 10**8, "system": 4 * 10**8, "per_cpu": [5 * 10**8, 5 * 10**8]}
        cpu["throttling"] = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
        memory = {"usage": 3 << 20, "max_usage": 4 << 20, "limit": 64 << 20, "failures": 0, "stats": {"total_inactive_file": 1 << 20}}
        blkio = [{"major": 8, "minor": 0, "op": "Read", "value": 2000}]
        cgroup = {"cpu": cpu, "memory": memory, "pids": {"current": 2, "limit": 0}, "blkio": blkio}
        networks = {"eth0": dict.fromkeys(NETWORK_COUNTERS, 1000)}
        return Sample(time.time_ns(), 10**11, 2, 8 << 30, cgroup, networks)

    def size(self, container: Container) -> tuple[int, int]:
        return 10, 2010

    def prune(self, filters: Mapping[str, Sequence[str]], *, caller: Caller) -> Any:
        gone = [each.id for each in self.all() if not each.state.is_running]
        for id in gone:
            del self.records[id]
        return SimpleNamespace(deleted=tuple(gone), reclaimed=10 * len(gone))

    def top(self, ref: str, ps_arguments: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return ["PID", "CMD"], [[str(self.get(ref).state.pid), "sleep 300"]]

    def exec_create(self, ref: str, spec: ExecSpec, *, caller: Caller) -> str:
        container = self.get(ref)
        if not container.state.is_running:
            raise Conflict(f"Container {container.id} is not running")
        made = Exec(new_id(), container.id, spec)
        self.execs[made.id] = made
        return made.id

    def exec_get(self, id: str) -> Exec:
        if id not in self.execs:
            raise NoSuchExec(f"No such exec instance: {id}")
        return self.execs[id]

    def exec_ids(self, ref: str) -> list[str]:
        return [exec.id for exec in self.execs.values() if exec.container == self.get(ref).id and exec.exit_code is None]

    def exec_start(
        self, id: str, client: socket.socket | None, *, early: bytes = b"", framed: bool = True, detach_keys: str = "", caller: Caller
    ) -> None:
        spec = self.exec_get(id).spec
        if spec.command[0] == "/nosuch":
            raise Conflict('exec: "/nosuch": no such file or directory')
        self.execs[id] = replace(self.execs[id], exit_code=0)
        if client is not None:
            data = " ".join(spec.command[1:]).encode() + b"\n"
            client.sendall(bytes((1, 0, 0, 0)) + len(data).to_bytes(4, "big") + data if framed else data)

    def exec_resize(self, id: str, rows: int, columns: int) -> None:
        self.sizes.append((self.exec_get(id).id, rows, columns))


def echo(client: socket.socket, early: bytes) -> None:
    with client:
        data = early
        while data or (data := client.recv(4096)):
            client.sendall(data.upper())
            data = b""
