"""The containers' front door: finds the container that is meant and hands it to the room where its next step is told.

The story of a life is told in create, start, exits, stop and remove, in this order; attaching, waiting, logs and exec are asides.
"""

from __future__ import annotations

import socket
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyke.engine.containers import attach, create, logs, pause, remove, rename, start, statistics, stop, update, usage, why
from pyke.engine.containers.arrivals import Arrivals
from pyke.engine.containers.execs import Execs
from pyke.engine.containers.links import Links
from pyke.engine.containers.remove import Pruned
from pyke.engine.containers.waits import Exit, Wait, Waits
from pyke.engine.filters import Filters
from pyke.engine.identifiers import is_full_id, random_name
from pyke.errors import InvalidRequest, NameInUse, NoSuchContainer
from pyke.model import Caller, Container, ContainerSpec, ContainerState, Exec, ExecSpec, Limits, RestartPolicy

if TYPE_CHECKING:
    from pyke.engine.containers.monitors import AttachRequest, Monitor
    from pyke.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Created:
    id: str
    warnings: tuple[str, ...] = ()


class Containers:
    """All containers of an engine. Every method takes a full ID, a name, or an unambiguous prefix of an ID."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.waits = Waits()
        self.monitors: dict[str, Monitor] = {}  # of every container whose process is alive
        self.arrivals = Arrivals()
        self.early_clients: dict[str, list[AttachRequest]] = {}  # attached before the start
        self.early_sizes: dict[str, tuple[int, int]] = {}  # rows and columns of their terminals
        self.execs = Execs(engine)
        self.links = Links(engine)
        self._guard = threading.Lock()
        self._names = {container.name: container.id for container in engine.state.containers.all()}

    # finding

    def all(self) -> list[Container]:
        """Every container, newest first."""
        return sorted(self.engine.state.containers.all(), key=lambda container: container.created, reverse=True)

    def get(self, ref: str) -> Container:
        """The container that is meant, as it is now."""
        table = self.engine.state.containers
        name = ref.removeprefix("/")
        found = table.get(ref) or table.get(self._names.get(name, ""))
        if found is None and name and not is_full_id(name):
            found = self._by_prefix(name)
        if found is None:
            raise NoSuchContainer(f"No such container: {ref}", hint="pyke ps -a")
        return found

    def has(self, id: str) -> bool:
        """Whether there is a container with this full ID."""
        return self.engine.state.containers.get(id) is not None

    def _by_prefix(self, prefix: str) -> Container | None:
        matching = [container for container in self.engine.state.containers.all() if container.id.startswith(prefix)]
        if len(matching) > 1:
            raise InvalidRequest(f"multiple IDs found with provided prefix: {prefix}", hint="pyke ps -a --no-trunc")
        return matching[0] if matching else None

    # changing a record: nobody else writes one

    def put(self, container: Container) -> Container:
        """Make this the container's record, and return it."""
        self.engine.state.containers.put(container)
        return container

    def put_state(self, container: Container, **changes: Any) -> Container:
        """Change the state of a container, and return it as it became."""
        return self.put(replace(container, state=replace(container.state, **changes)))

    def reset_state(self, container: Container, state: ContainerState) -> Container:
        return self.put(replace(container, state=state))

    # names

    def claim_name(self, id: str, name: str) -> str:
        """Reserve `name` (or a random one for "") for a container, and return it."""
        with self._guard:
            name = name or random_name(self._names.__contains__)
            if name in self._names:
                raise NameInUse(
                    f'Conflict. The container name "/{name}" is already in use by container "{self._names[name]}". '
                    "You have to remove (or rename) that container to be able to reuse that name.",
                    hint=f"pyke rm -f {name}",
                )
            self._names[name] = id
            return name

    def release_name(self, name: str) -> None:
        with self._guard:
            self._names.pop(name, None)

    # a life, in order

    def create(self, spec: ContainerSpec, *, name: str = "", id: str = "", caller: Caller) -> Created:
        """Make a container from an image; nothing runs yet. `id`: one of 64 random digits, by a client that may have to ask again."""
        container, warnings = create.create(self.engine, spec, name=name, id=id, caller=caller)
        return Created(container.id, warnings)

    def start(self, ref: str, *, caller: Caller) -> None:
        """Start it. `NotModified` if it runs, `StartFailed` if its process cannot be started."""
        start.start(self.engine, self.get(ref), caller=caller)

    def stop(self, ref: str, *, timeout: int | None = None, signal: str = "", caller: Caller) -> None:
        """Ask it to end, and end it after `timeout` seconds (None: as the container says; -1: never). `NotModified` if it does not run."""
        stop.stop(self.engine, self.get(ref), timeout=timeout, signal=signal, caller=caller)

    def kill(self, ref: str, *, signal: str = "KILL", caller: Caller) -> None:
        """Send its first process a signal, by name or number."""
        stop.kill(self.engine, self.get(ref), signal=signal, caller=caller)

    def restart(self, ref: str, *, timeout: int | None = None, signal: str = "", caller: Caller) -> None:
        """Stop it if it runs, and start it."""
        stop.restart(self.engine, self.get(ref), timeout=timeout, signal=signal, caller=caller)

    def pause(self, ref: str, *, caller: Caller) -> None:
        pause.pause(self.engine, self.get(ref), caller=caller)

    def unpause(self, ref: str, *, caller: Caller) -> None:
        pause.unpause(self.engine, self.get(ref), caller=caller)

    def rename(self, ref: str, name: str, *, caller: Caller) -> None:
        rename.rename(self.engine, self.get(ref), name, caller=caller)

    def remove(self, ref: str, *, force: bool = False, volumes: bool = False, caller: Caller) -> None:
        """Delete it: its file system, its log and, with `volumes`, its anonymous volumes. Runs only with `force`: it is killed then."""
        remove.remove(self.engine, self.get(ref), force=force, volumes=volumes, caller=caller)

    def prune(self, filters: Filters | None, *, caller: Caller) -> Pruned:
        """Delete every container that the filters take and that does not run."""
        return remove.prune(self.engine, filters, caller=caller)

    # further commands inside

    def exec_create(self, ref: str, spec: ExecSpec, *, caller: Caller) -> str:
        """Register a command to be run inside, and return its ID."""
        return self.execs.create(self.get(ref), spec, caller=caller)

    def exec_get(self, id: str) -> Exec:
        return self.execs.get(id)

    def exec_ids(self, ref: str) -> list[str]:
        """Of those that have not ended."""
        return [exec.id for exec in self.execs.of_container(self.get(ref).id)]

    def exec_start(
        self, id: str, client: socket.socket | None, *, early: bytes = b"", framed: bool = True, detach_keys: str = "", caller: Caller
    ) -> None:
        """Run it, with a client's connection for its streams, or without one."""
        self.execs.start(id, client, early=early, framed=framed, detach_keys=detach_keys, caller=caller)

    def exec_resize(self, id: str, rows: int, columns: int) -> None:
        self.execs.resize(id, rows, columns)

    # asides

    def wait(self, ref: str, condition: str = "not-running") -> Wait:
        """Wait for its end (`next-exit`, `not-running`) or its removal; registered when this returns."""
        container = self.get(ref)
        wait = self.waits.register(container.id, condition)
        now = self.engine.state.containers.get(container.id)
        if now is None:
            wait.settle(Exit(container.state.exit_code))
        elif condition == "not-running" and not now.state.is_running and now.state.status != "restarting":
            wait.settle(Exit(now.state.exit_code, now.state.error))
            self.waits.forget(wait)
        return wait

    def attach(
        self, ref: str, client: socket.socket, *, early: bytes, streams: set[str], framed: bool, detach_keys: str, logs: bool = False
    ) -> None:
        """Give a client's connection to the container. The bytes flow between client and monitor from here on."""
        request = attach.request(client, early=early, streams=streams, framed=framed, detach_keys=detach_keys)
        container = self.get(ref)
        attach.attach(self.engine, container, request, logs=logs)
        self.engine.events.publish("container", "attach", container.id, self.engine.attributes(container))

    def arriving(self, ref: str) -> AbstractContextManager[None]:
        """For the time between telling a client that it is attached and attaching it: a start waits for that."""
        return self.arrivals.expected(self.get(ref).id)

    def resize(self, ref: str, rows: int, columns: int) -> None:
        attach.resize(self.engine, self.get(ref), rows, columns)

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
    ) -> logs.LogStream:
        """What it printed, oldest first; `since` and `until` in nanoseconds."""
        container = self.get(ref)
        return logs.of_container(self.engine, container, stdout=stdout, stderr=stderr, follow=follow, tail=tail, since=since, until=until)

    def update(self, ref: str, limits: Limits, restart: RestartPolicy | None = None, *, caller: Caller) -> tuple[str, ...]:
        """Give it other limits (what is 0 stays as it is; `pids` -1 is none) or another restart policy, now; returns warnings."""
        return update.update(self.engine, self.get(ref), limits, restart, caller=caller)

    def why(self, ref: str) -> why.Story:
        """How its last run ended, from the facts that were recorded then."""
        return why.tell(self.get(ref))

    def sample(self, ref: str) -> statistics.Sample:
        """What it uses right now; an empty sample if it does not run."""
        return statistics.sample(self.engine, self.get(ref))

    def size(self, container: Container) -> tuple[int, int]:
        """Bytes that it changed, and bytes in all with its image."""
        return usage.size(self.engine, container)

    def top(self, ref: str, ps_arguments: str = "-ef") -> tuple[list[str], list[list[str]]]:
        """Its processes, seen from outside: titles and rows."""
        return usage.top(self.engine, self.get(ref), ps_arguments)
