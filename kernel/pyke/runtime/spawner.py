"""The one process of an engine that forks: lean, warm and single-threaded, and there whether or not the engine is.

An engine with its threads and its hundred megabytes cannot fork quickly, and should not. The spawner has imported what a monitor and
init need and nothing else; what it forks shares those pages.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import signal
import sys
import time
from _socket import SOCK_SEQPACKET

from pyke import __version__, sockets
from pyke.runtime import cgroups, linux, logfile, monitor, rest, sealed
from pyke.runtime.loop import IN, Loop

CHECK_INTERVAL = 10.0  # seconds between looks at whether anybody still needs it
LARGEST_MESSAGE = 16 * 1024
BUILD = "spawner.build"  # a file in RUN
OOM_SCORE = "/proc/self/oom_score_adj"
MONITOR_OOM_SCORE = -999  # a monitor that is killed takes its container along

BOOT = "import sys; sys.path[:0] = [sys.argv[1]]; from pyke.runtime import spawner; spawner.main(*sys.argv[2:])"


def build() -> str:
    """What tells this code from an older or newer one: an engine that was upgraded replaces the spawner that it finds."""
    directory = os.path.dirname(os.path.abspath(__file__))
    newest = max(entry.stat().st_mtime_ns for entry in os.scandir(directory) if entry.name.endswith(".py"))
    return f"{__version__} {newest}"


def command(run: str, ready: int) -> list[str]:
    """How to start the spawner of the engine that runs in `run`. It writes a byte to the descriptor `ready` when it listens."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-I", "-S", "-c", BOOT, source, run, str(ready)]


def main(run: str, ready: str) -> None:
    """Serve until nobody needs it. Leaves at once when another spawner serves `run`."""
    if not sealed.is_sealed():
        sealed.execute(sys.executable, sys.orig_argv, dict(os.environ))
    lock = os.open(os.path.join(run, "spawner.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    spawner = Spawner(run, lock)
    with open(os.path.join(run, "spawner.pid"), "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    with open(os.path.join(run, BUILD), "w", encoding="ascii") as file:
        file.write(build())
    os.write(int(ready), b"\n")
    os.close(int(ready))
    spawner.serve()


class Spawner:
    """Forks a monitor for each request and forgets it: SIGCHLD is ignored, so that the kernel buries them."""

    def __init__(self, run: str, lock: int) -> None:
        self._path = os.path.join(run, "spawner.sock")
        self._lock = lock
        self._loop = Loop()
        self._engines: dict[int, sockets.Socket] = {}
        self._is_wanted = True
        self._oom_score = _lower_oom_score()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self._listener = sockets.listen(self._path, SOCK_SEQPACKET)
        self._inode = os.stat(self._path).st_ino
        self._loop.watch(self._listener.fileno(), IN, lambda events: self._accept())
        _warm_up()

    def serve(self) -> None:
        while self._is_wanted:
            self._loop.turn(CHECK_INTERVAL)
            self._is_wanted = self._is_wanted and (self._is_reachable() or _has_children())

    def _is_reachable(self) -> bool:
        with contextlib.suppress(OSError):
            return os.stat(self._path).st_ino == self._inode
        return False

    def _accept(self) -> None:
        engine = sockets.accept(self._listener)
        self._engines[engine.fileno()] = engine
        self._loop.watch(engine.fileno(), IN, lambda events: self._read(engine))

    def _read(self, engine: sockets.Socket) -> None:
        try:
            packet, descriptors = sockets.receive(engine, LARGEST_MESSAGE)
        except OSError:
            packet, descriptors = b"", []
        if packet:
            self._obey(packet, descriptors)
        else:
            self._loop.forget(engine.fileno())
            del self._engines[engine.fileno()]
            engine.close()

    def _obey(self, packet: bytes, descriptors: list[int]) -> None:
        request = json.loads(packet)
        if request["kind"] == "quit":
            self._is_wanted = False
        elif descriptors and os.fork() == 0:
            self._become_monitor(request, descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)

    def _become_monitor(self, request: dict[str, str], control: int) -> None:
        """In the child: let go of all that is the spawner's, and watch over one container."""
        status = 1
        try:
            for engine in (*self._engines.values(), self._listener):
                engine.close()
            os.close(self._lock)
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection = sockets.Socket(fileno=control)
            if request["kind"] == "detached":
                rest.watch_over(request["directory"], connection, self._oom_score)
            else:
                monitor.watch_over(request["kind"], request["directory"], connection, self._oom_score)
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)


def _lower_oom_score() -> int:
    """Protect the monitors as well as the system allows, and return the score that containers are to have again."""
    with open(OOM_SCORE, encoding="ascii") as file:
        score = int(file.read())
    # Without CAP_SYS_RESOURCE it cannot go below what it was given by one who could.
    with contextlib.suppress(OSError), open(OOM_SCORE, "w", encoding="ascii") as file:
        file.write(str(MONITOR_OOM_SCORE))
    return score


def _warm_up() -> None:
    """Have done here, and shared, what each monitor would else do first: a lookup of a codec alone touches 600 KB."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 0)
    cgroups.hierarchies()
    logfile.timestamp(time.time_ns())
    for encoding in ("ascii", "utf-8"):
        with open(os.devnull, "r+", encoding=encoding) as file:
            json.dump(json.loads('{"warm": [1.5, true, null, "up"]}'), file)
    gc.collect()
    gc.freeze()  # a collection in a monitor would write to every page that it shares with the others


def _has_children() -> bool:
    """Whether a monitor lives; with SIGCHLD ignored, those that have ended are gone already."""
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False
