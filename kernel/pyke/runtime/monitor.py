"""One process for each container: its parent, the owner of its stdio, log and exit status. It survives the engine.

The story is `watch_over`: a child is born, becomes ready, is let go, prints, is attached to, and ends; its end is recorded before
anybody is told. What passes between an engine and a monitor is described in docs/architecture.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from _socket import MSG_DONTWAIT, SOCK_SEQPACKET

from pyke import sockets
from pyke.runtime import endings, init, linux
from pyke.runtime.control import Peer
from pyke.runtime.logfile import LogFile
from pyke.runtime.loop import IN, Loop, now
from pyke.runtime.requests import Requests
from pyke.runtime.stdio import Stdio, set_terminal_size
from pyke.runtime.streams import Streams
from pyke.runtime.turns import Turn

DRAIN = 2.0  # seconds that processes which outlive the container's first one may keep its pipes open, as Docker
NOTING = 300.0  # seconds that an engine has for what an end asks for; a restart may be put off by one of them
LINGER = 86400.0  # seconds for which a client may pause while it reads what was printed before the end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def watch_over(kind: str, directory: str, control: sockets.Socket, oom_score: int) -> None:
    """Run the process that DIRECTORY/bundle.json describes, from its birth to its end. `kind` is "container" or "exec"."""
    monitor = Monitor(kind, directory, read_bundle(directory), oom_score)
    if not monitor.is_wanted(control):
        return
    monitor.listen(control)
    try:
        monitor.bear()
        monitor.wait_for_end()
    finally:
        monitor.leave()


def read_bundle(directory: str) -> dict[str, Any]:
    """What an engine wrote for the monitor of `directory`."""
    with open(os.path.join(directory, "bundle.json"), "rb", buffering=0) as file:
        # A text file would touch, and so make private, 100 KB more of the interpreter.
        bundle: dict[str, Any] = json.loads(file.read().decode())
    return bundle


class Monitor:
    """The state of one watch. `phase` is created, ready, running, ended or failed."""

    clone_flags = 0
    takes_clients = True

    def __init__(self, kind: str, directory: str, bundle: dict[str, Any], oom_score: int) -> None:
        self.is_exec = kind == "exec"
        self.directory, self.bundle, self.oom_score = directory, bundle, oom_score
        self.loop = Loop()
        stdio = bundle["stdio"]
        self._requests = Requests(self)
        self.peers: list[Peer] = []
        self.control: Peer | None = None  # the engine that asked for this, for as long as it is there
        self.streams = Streams(
            self.loop,
            self._open_log(bundle.get("log")),
            is_terminal=stdio["tty"],
            stdin_once=stdio.get("stdin_once", False) or self.is_exec,
            spools="" if self.is_exec else os.path.dirname(bundle["exit_record"]),
        )
        self.phase = "created"
        self.turn = Turn()
        self.pid = 0
        self.started = 0  # ns
        self.size = (stdio.get("rows", 0), stdio.get("columns", 0))
        self.terminal = -1
        self.go = -1  # the end of a pipe by which init is let go
        self.report: sockets.Socket | None = None  # init's words until its exec
        self.failure: dict[str, Any] | None = None
        self.status: int | None = None  # of the process that has ended, as a shell says it
        self.is_noted = False  # whether an engine has done what the end asks for
        self.signal = 0  # by which it was ended; 0: it exited

    def _open_log(self, wish: dict[str, Any] | None) -> LogFile | None:
        if not wish or wish["driver"] == "none":
            return None
        limits = (wish.get("max_size") or 0, wish.get("max_file") or 1)
        return LogFile(wish["path"], *limits, wish.get("extra"), self._log_fails)

    def _log_fails(self, reason: str) -> None:
        self.tell({"event": "log_fails", "reason": reason})

    def is_wanted(self, control: sockets.Socket) -> bool:
        """Whether a container is still to be started when its turn comes. A command in a container gets in nobody's way."""
        return self.is_exec or self.turn.take(os.path.dirname(self.bundle["exit_record"]), control)

    # --- who listens ---------------------------------------------------------------------------------------------

    def listen(self, control: sockets.Socket) -> None:
        """Serve the engine that asked for this, and any later one at monitor.sock."""
        self._listen_at(sockets.listen(os.path.join(self.directory, "monitor.sock")))
        self._obey(control)

    def _listen_at(self, listener: sockets.Socket) -> None:
        self.listener = listener
        self.loop.watch(listener.fileno(), IN, lambda events: self._accept())

    def _obey(self, control: sockets.Socket) -> None:
        self.control = self._greet(control)
        self.control.is_subscribed = True

    def take_over(self, state: dict[str, Any], descriptors: list[int]) -> None:
        """Go on with a container that runs already; `state` is what a midwife tells of it (runtime/rest.py)."""
        held = dict(zip(state["descriptors"], descriptors, strict=True))
        os.close(held["process"])
        self.phase, self.pid, self.started, self.size = "running", state["pid"], state["started"], tuple(state["size"])
        self.bundle["wake"] = state["wake"]
        self._listen_at(sockets.Socket(fileno=held["listener"]))
        for number, is_subscribed in enumerate(state["peers"]):
            self._greet(sockets.Socket(fileno=held[f"peer {number}"])).is_subscribed = is_subscribed
        if "stdin" in held:
            self.streams.set_input(held["stdin"])
        for number, name in ((1, "stdout"), (2, "stderr")):
            if name in held:
                self.streams.add_output(held[name], number)
        if "terminal" in held:
            self._take_terminal(held["terminal"])
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        self._catch_children()
        self._reap()  # it may have ended already

    def _accept(self) -> None:
        self._greet(sockets.accept(self.listener))

    def _greet(self, connection: sockets.Socket) -> Peer:
        peer = Peer(self.loop, connection, self._requests.answer, self._engine_left)
        self.peers.append(peer)
        return peer

    def _engine_left(self, peer: Peer) -> None:
        self.peers.remove(peer)
        has_begun = self.is_exec and self.pid > 0  # to run what it was told to
        if peer is self.control and self.phase in ("created", "ready") and not has_begun:
            self.abort()

    def tell(self, event: dict[str, Any]) -> bool:
        """Tell every engine that wants to know; whether there was one."""
        subscribed = [peer for peer in self.peers if peer.is_subscribed]
        for peer in subscribed:
            peer.tell(event)
        return any(peer in self.peers for peer in subscribed)

    # --- from birth to exec --------------------------------------------------------------------------------------

    def bear(self) -> None:
        """Have the child. An exec's waits until it is let go: there is nothing to prepare meanwhile."""
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        self._catch_children()
        if self.is_exec:
            self._become_ready()
        else:
            self._fork()

    def _catch_children(self) -> None:
        woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.loop.watch(woken, IN, lambda events: self._children_ended(woken))

    def _fork(self) -> None:
        stdio = Stdio(self.bundle["stdio"])
        report, init_report = sockets.pair(SOCK_SEQPACKET)
        waiting, self.go = os.pipe()
        try:
            pid = init.fork_exec(self.bundle) if self.is_exec else init.fork(self.bundle, self.clone_flags)
        except (OSError, ValueError) as error:
            self.failure = _failure("the container's process could not be created", error)
            return
        if pid == 0:
            self._become_init(stdio, init_report.detach(), waiting)
        stdio.close_child_ends()
        init_report.close()
        os.close(waiting)
        self.pid, self.report = pid, report
        self.loop.watch(report.fileno(), IN, self._report_readable)
        self._take(stdio)
        self.tell({"event": "created", "pid": pid})

    def _become_init(self, stdio: Stdio, report: int, waiting: int) -> None:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _set_oom_score(self.oom_score)
            stdio.become()
            if self.is_exec:
                init.run_exec(self.bundle, report)
            else:
                init.run(self.bundle, report, waiting)
        except BaseException as error:
            os.write(report, json.dumps({"event": "failed", **_failure("init broke down", error)}).encode())
        finally:
            os._exit(125)

    def _take(self, stdio: Stdio) -> None:
        if stdio.stdin >= 0:
            self.streams.set_input(stdio.stdin)
        for number, end in ((1, stdio.stdout), (2, stdio.stderr)):
            if end >= 0:
                self.streams.add_output(end, number)

    def _report_readable(self, events: int) -> None:
        self._hear_init()

    def _hear_init(self) -> bool:
        """Init's next word, or its last: the socket ends with its exec. Whether there was one."""
        assert self.report
        try:
            packet, descriptors = sockets.receive(self.report, 65536, MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            packet, descriptors = b"", []
        if packet:
            self._understand(json.loads(packet), descriptors)
        else:
            self._silence()
        return True

    def _understand(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if message["event"] == "terminal":
            self._take_terminal(descriptors[0])
        elif message["event"] == "ready":
            self._become_ready()
        elif message["event"] == "failed":
            self.failure = message

    def _silence(self) -> None:
        """Init has executed the program, or it is dead: its failure, or its being let go too early, tells which."""
        assert self.report
        self.loop.forget(self.report.fileno())
        self.report.close()
        self.report = None
        if self.failure is None and self.phase == "ready" and self.go < 0:
            self.phase, self.started = "running", time.time_ns()
            self.turn.end()
            self.tell({"event": "started", "time": self.started, "pid": self.pid})

    def _become_ready(self) -> None:
        self.phase = "ready"
        self.tell({"event": "ready"})

    def _take_terminal(self, master: int) -> None:
        self.terminal = master
        if self.size != (0, 0):
            set_terminal_size(master, *self.size)
        self.streams.add_output(os.dup(master), 1)
        if self.bundle["stdio"]["stdin"]:
            self.streams.set_input(os.dup(master))

    def let_go(self) -> None:
        if self.is_exec:
            self._fork()
        else:
            with contextlib.suppress(BrokenPipeError):  # it was killed, and will be missed in a moment
                os.write(self.go, b"g")
        self._withhold()

    def _withhold(self) -> None:
        if self.go >= 0:
            os.close(self.go)
            self.go = -1

    def abort(self) -> None:
        """It is not to start; what was begun ends."""
        self.failure = self.failure or endings.given_up(self.directory if self.is_exec else "")
        self._withhold()
        if self.is_alive:
            os.kill(self.pid, signal.SIGKILL)

    # --- to the end ----------------------------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        """Whether the process has begun and not yet been reaped."""
        return self.pid > 0 and self.status is None

    def wait_for_end(self) -> None:
        """Serve until the process has ended, or will never be."""
        while self.status is None and not (self.failure and not self.pid):
            self.loop.turn(self.streams.check_stalled())

    def _children_ended(self, woken: int) -> None:
        os.read(woken, 4096)
        self._reap()

    def _reap(self) -> None:
        """Collect every child that has ended: ours, and those that were left to us as their subreaper."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                self.status, self.signal = (code, 0) if code >= 0 else (128 - code, -code)

    def leave(self) -> None:
        """Drain, clean up, record and tell, in this order: who has been told may start the container anew, in the same places."""
        while self.report and self._hear_init():
            pass
        if self.phase != "running":
            self.failure = self.failure or {"message": "init was killed before it could start the command", "hint": "", "exit_status": 125}
        self.streams.process_ended()
        self._end_leftovers()
        self._drain()
        self.streams.close()
        if not self.is_exec:
            self.streams.dismiss()
        end: dict[str, Any] = {"exit_code": self.status, "signal": self.signal, "oom_killed": self._remove_cgroup(), "time": time.time_ns()}
        end["started"] = self.started
        if self.failure:
            self.phase, end = "failed", {**end, "hint": "", "exit_status": 125, **self.failure, "event": "failed"}
        else:
            self.phase, end = "ended", {**end, "event": "exited"}
        self._record(end)
        self._stop_listening()
        is_told = self.tell(end)
        if self.phase == "ended" and self.bundle.get("wake") and not (is_told and self._wait_until_noted()):
            endings.wake(self.bundle["wake"])
        if self.is_exec:
            self._dismiss_exec()
        self.streams.linger(LINGER)

    def _wait_until_noted(self) -> bool:
        """Whether an engine has done what the end asks for. One that is killed after it was told, hangs up without having said so."""
        deadline = now() + NOTING
        while not self.is_noted and now() < deadline and any(peer.is_subscribed for peer in self.peers):
            self.loop.turn(deadline - now())
        return self.is_noted

    def _dismiss_exec(self) -> None:
        """An exec's client asks for the exit code when its streams end: the engine has been told by then. One that failed reads why."""
        self.streams.dismiss(*endings.last_words(self.failure))

    def _end_leftovers(self) -> None:
        """With the host's PID namespace, children outlive the first process. An exec's cgroup is the container's, and lives on."""
        if not self.is_exec:
            init.cgroup(self.bundle).kill_all()

    def _drain(self) -> None:
        """Read what was printed before the end, however slowly that goes, and for a short time what leftovers still print."""
        deadline = now() + DRAIN
        while self.streams.has_outputs and (self.streams.is_owed or now() < deadline):
            wait = self.streams.check_stalled()
            self.loop.turn(wait if wait is not None else max(0.01, deadline - now()))

    def _remove_cgroup(self) -> bool:
        """Remove the cgroup; whether the container ran out of memory. What cannot be removed is left to the engine's sweep."""
        oom_killed = False
        if not self.is_exec:
            cgroup = init.cgroup(self.bundle)
            with contextlib.suppress(OSError):
                oom_killed = cgroup.oom_events() > 0
            with contextlib.suppress(OSError):
                cgroup.remove()
        return oom_killed

    def _record(self, end: dict[str, Any]) -> None:
        """A container that did not start has not ended: the engine that starts it hears why. An exec's client may ask the next one."""
        if self.is_exec:
            code = end["exit_status"] if self.failure else end["exit_code"]
            endings.record({**end, "exit_code": code}, self.bundle["exit_record"])
        elif not self.failure:
            endings.record(end, self.bundle["exit_record"], os.path.join(self.directory, "exit.json"))

    def _stop_listening(self) -> None:
        """After the record is there: an engine that cannot connect any more looks for it."""
        self.loop.forget(self.listener.fileno())
        self.listener.close()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.directory, "monitor.sock"))
        self.turn.end()


def _failure(what: str, error: BaseException) -> dict[str, Any]:
    return {"message": f"{what}: {error!r}", "hint": "", "exit_status": 125}


def _set_oom_score(score: int) -> None:
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(score))
