"""The engine's side of monitors: asking the spawner for one, talking to each, and hearing of every end.

A monitor is spoken to by the thread that needs it. Once it is watched, one thread of the engine listens to all of them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyke import sockets
from pyke.engine.containers.exit_records import ExitRecord, exit_record, read_exit_record
from pyke.engine.containers.spawners import SpawnerLink
from pyke.errors import PykeError, StartFailed
from pyke.paths import Layout
from pyke.runtime import cgroups

log = logging.getLogger("pyke.monitors")

DEADLINE = 30.0  # seconds that a monitor has for an answer
KILLED = 137  # the exit code of one that SIGKILL ended, as a shell says it


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """A client that wants to be connected to a container's streams. Whoever passes it on closes `client`; the monitor has its own."""

    client: socket.socket
    early: bytes = b""  # what the client sent before it was handed over
    streams: tuple[str, ...] = ("stdin", "stdout", "stderr")
    framed: bool = True
    detach_keys: str = "\x10\x11"  # as a terminal sends them


class Monitor:
    """One monitor, by its control connection. Safe to use from every thread."""

    def __init__(self, id: str, bundle: dict[str, Any], connection: sockets.Socket) -> None:
        self.id, self._bundle, self._connection = id, bundle, connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(DEADLINE), 0))
        self._changed = threading.Condition()
        self._text = b""
        self._events: dict[str, dict[str, Any]] = {}
        self._asked = self._answered = 0
        self._replies: dict[int, dict[str, Any]] = {}
        self._is_watched = self._is_over = False
        self.is_killed = False  # whether it has been told to send SIGKILL
        self.adopted: dict[str, Any] = {}  # its `state` when it was taken over from an earlier engine

    # a start, in order

    def wait_created(self, timeout: float = DEADLINE) -> int:
        """The process ID of init, whose namespaces exist from now on. For an exec, whose process is not yet born, the container's."""
        if "exec" in self._bundle:
            self.wait_ready(timeout)
            return int(self._bundle["exec"]["pid"])
        return int(self._wait_for("created", timeout)["pid"])

    def wait_ready(self, timeout: float = DEADLINE) -> None:
        """Until init has done all but the exec. For an exec: until its clients can be attached."""
        self._wait_for("ready", timeout)

    def go(self) -> None:
        """Let init execute the command."""
        try:
            self._ask("go")
        except PykeError as error:
            raise self.failure() or error from None

    def wait_started(self, timeout: float = DEADLINE) -> int:
        """Until the command runs; its process ID."""
        return int(self._wait_for("started", timeout)["pid"])

    def abort(self) -> None:
        """It shall not be: kill what was begun, and wait until the monitor has cleaned up. Idempotent, and never fails."""
        with contextlib.suppress(PykeError, OSError):
            self._ask("abort")
            self._await(lambda: "failed" in self._events or "exited" in self._events, DEADLINE, "clean up")
        if not self._is_watched:
            self._connection.close()

    # while it runs

    def attach(self, request: AttachRequest) -> None:
        """Connect a client; its connection is the monitor's from then on, and the caller closes its own copy."""
        early = base64.b64encode(request.early).decode()
        self._ask(
            "attach",
            streams=list(request.streams),
            framed=request.framed,
            detach_keys=request.detach_keys,
            early=early,
            descriptors=(request.client.fileno(),),
        )

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size; before the start too."""
        self._ask("resize", rows=rows, columns=columns)

    def signal(self, number: int) -> None:
        """Send the first process a signal. One that has ended already needs none."""
        self.is_killed |= number == signal.SIGKILL
        try:
            self._ask("signal", signal=number)
        except ProcessLookupError:
            return
        except StartFailed:
            if not self._is_silent:
                raise

    def wake_at_end(self, argv: Sequence[str] | None) -> None:
        """Run this if no engine is there when the process ends; None: nothing."""
        self._ask("wake", argv=argv)

    def state(self) -> dict[str, Any]:
        """`phase` (created, ready, running, ended, failed), `pid`, `started` in ns (0: not yet), `loss` of what it printed ("": none)."""
        reply = self._ask("state")
        return {key: reply.get(key, "") for key in ("phase", "pid", "started", "loss")}

    # the conversation

    def _ask(self, operation: str, *, descriptors: Sequence[int] = (), **details: Any) -> dict[str, Any]:
        line = json.dumps({"op": operation, **details}).encode() + b"\n"
        with self._changed:
            ticket, self._asked = self._asked, self._asked + 1
            try:
                sent = sockets.send(self._connection, line, tuple(descriptors))
                if sent < len(line):  # sending nothing to one that has answered and left meanwhile is EPIPE, too
                    self._connection.sendall(line[sent:])
            except OSError as error:
                self._is_over = True
                raise self._gone() from error
            self._await(lambda: ticket in self._replies, DEADLINE, operation)
            reply = self._replies.pop(ticket)
        if reply["error"] is not None:
            if operation == "signal":
                raise ProcessLookupError(reply["error"])
            raise PykeError(f"{self._name}: {operation} failed: {reply['error']}", hint="pyke ps -a")
        return reply

    def _wait_for(self, event: str, timeout: float) -> dict[str, Any]:
        self._await(lambda: event in self._events or "failed" in self._events, timeout, f"be {event}")
        if event not in self._events:
            raise self.failure() or self._gone()
        return self._events[event]

    def failure(self) -> StartFailed | None:
        """Why the command was never executed; None where it was, or may yet be."""
        failure = self._events.get("failed")
        return StartFailed(failure["message"], hint=failure["hint"], exit_status=failure["exit_status"]) if failure else None

    def _await(self, is_there: Callable[[], bool], timeout: float, what: str) -> None:
        """Listen, or be told by the thread that listens, until `is_there`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not is_there():
                if self._is_silent:
                    raise self.failure() or self._gone()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise StartFailed(f"{self._name}: its monitor did not {what} within {timeout:.0f} s", hint="pyke ps -a")
                if self._is_watched:
                    self._changed.wait(left)
                elif _is_readable(self._connection, left):
                    self.listen()

    def listen(self) -> bool:
        """Take in what the monitor has said, without waiting; False once there will be no more."""
        with self._changed:
            try:
                data = self._connection.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                data = b""
            self._is_over = self._is_over or not data
            *lines, self._text = (self._text + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
            self._changed.notify_all()
            return not self._is_over

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("event") == "log_fails":
            log.warning("%s: what it prints cannot be logged and is lost: %s", self._name, message["reason"])
        elif "event" in message:
            self._events[message["event"]] = message
        else:
            self._replies[self._answered] = message
            self._answered += 1

    @property
    def _is_silent(self) -> bool:
        """Whether nothing more will be heard of it: it has hung up, or told of the end, after which the thread that listens does not."""
        return self._is_over or (self._is_watched and "exited" in self._events)

    def _gone(self) -> StartFailed:
        return StartFailed(f"{self._name}: its monitor is gone", hint="pyke ps -a")

    @property
    def _name(self) -> str:
        return f"{'exec' if 'exec' in self._bundle else 'container'} {self.id[:12]}"

    # the end

    def subscribe(self) -> None:
        """Be told of the end, as the engine that launched it is."""
        self.adopted = self._ask("subscribe")

    def watched(self) -> int:
        """From now on another thread listens; the descriptor by which it knows when."""
        with self._changed:
            self._is_watched = True
            return self._connection.fileno()

    def end(self) -> ExitRecord | None:
        """How the process ended; None while it runs."""
        with self._changed:
            if (event := self._events.get("exited")) is not None:
                return exit_record(event)
            return self._lost() if self._is_over else None

    def _lost(self) -> ExitRecord:
        """The monitor is gone without a word. Init died with it; what has escaped that way must not run on unwatched."""
        directory = self._bundle["directory"]
        for path in (self._bundle.get("exit_record", ""), os.path.join(directory, "exit.json")):
            if path and (record := read_exit_record(path)) is not None:
                return record
        if "exec" not in self._bundle:
            log.warning("%s: its monitor was killed, and it with it", self._name)
            cgroup = cgroups.at(self._bundle["oci"]["linux"]["cgroupsPath"])
            with contextlib.suppress(OSError):
                cgroup.kill_all()
                cgroup.remove()
        return ExitRecord(KILLED, time=time.time_ns(), error="its monitor was killed", lost=True)

    def noted(self) -> None:
        """What the end asks for has been done: let the monitor leave without waking another engine, and hear no more."""
        with self._changed, contextlib.suppress(OSError):
            self._connection.sendall(b'{"op": "noted"}\n')
        self.close()

    def close(self) -> None:
        """Hear no more; whoever still waits for an answer is told that there will be none. Idempotent."""
        with self._changed:
            self._is_over = True
            self._connection.close()
            self._changed.notify_all()


class Monitors:
    """All monitors of an engine. `on_exit` is called with an ID and an `ExitRecord`, from the watching thread: it must not block."""

    def __init__(self, layout: Layout) -> None:
        self._spawner = SpawnerLink(layout)
        self.on_exit: Callable[[str, ExitRecord], None] = lambda id, record: None
        self._watcher = _Watcher()

    def launch(self, bundle: dict[str, Any], clients: Sequence[AttachRequest] = ()) -> Monitor:
        """Have a monitor for `bundle` (docs/architecture.md) and connect `clients`, whose connections are closed here.

        Returns at once; `wait_created` and its like tell how it goes.
        """
        try:
            _write_bundle(bundle)
            ours, theirs = sockets.pair()
            try:
                kind = "exec" if "exec" in bundle else "container" if clients else "detached"
                self._spawner.request(kind, bundle["directory"], theirs)
            finally:
                theirs.close()
            monitor = Monitor(bundle["id"], bundle, ours)
            for client in clients:
                with contextlib.suppress(PykeError):  # it has failed already, which `wait_created` tells
                    monitor.attach(client)
            return monitor
        finally:
            for client in clients:
                client.client.close()

    def watch(
        self, id: str, monitor: Monitor, on_exit: Callable[[str, ExitRecord], None] | None = None, *, is_noted_later: bool = False
    ) -> None:
        """Have `on_exit` (or the one of all) called once when the process ends; at once if it has.

        With `is_noted_later` the caller calls `monitor.noted()` when all that the end asks for has been done.
        """

        def ended(record: ExitRecord) -> None:
            if not is_noted_later:
                monitor.noted()
            (on_exit or self.on_exit)(id, record)

        self._watcher.watch(monitor, ended)

    def adopt(self, id: str, directory: str) -> Monitor | None:
        """The monitor that an earlier engine had started in `directory`; None if it is gone."""
        try:
            with open(os.path.join(directory, "bundle.json"), encoding="utf-8") as file:
                bundle = json.load(file)
            monitor = Monitor(id, bundle, sockets.connect(os.path.join(directory, "monitor.sock")))
        except (OSError, ValueError):
            return None
        try:
            monitor.subscribe()
        except PykeError:
            monitor.close()
            return None
        return monitor

    def close(self) -> None:
        """Stop watching and let go of the spawner; everything runs on."""
        self._watcher.close()
        self._spawner.close()


class _Watcher:
    """One thread that listens to all monitors. It starts with the first of them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[Monitor, Callable[[ExitRecord], None]]] = {}
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll.register(self._woken, select.EPOLLIN)
        self._thread: threading.Thread | None = None

    def watch(self, monitor: Monitor, on_exit: Callable[[ExitRecord], None]) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyke-monitors", daemon=True)
                self._thread.start()
            descriptor = monitor.watched()
            self._watched[descriptor] = (monitor, on_exit)
            # Events that were read before are found at once: EPOLLOUT is always true, and asked for only this first time.
            self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLOUT)

    def close(self) -> None:
        os.write(self._wake, b"x")
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            for descriptor, events in self._epoll.poll():
                if descriptor == self._woken:
                    return
                self._listen(descriptor, events)

    def _listen(self, descriptor: int, events: int) -> None:
        with self._lock:
            monitor, on_exit = self._watched[descriptor]
            if events & select.EPOLLOUT:
                self._epoll.modify(descriptor, select.EPOLLIN)
        monitor.listen()
        record = monitor.end()
        if record is not None:
            with self._lock:
                self._epoll.unregister(descriptor)
                del self._watched[descriptor]
            on_exit(record)


def _write_bundle(bundle: dict[str, Any]) -> None:
    os.makedirs(bundle["directory"], mode=0o700, exist_ok=True)
    path = os.path.join(bundle["directory"], "bundle.json")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(bundle, file)


def _is_readable(connection: sockets.Socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(seconds * 1000))
