"""Where the processes come from that fetch and unpack layers: forked by one that has imported what they need, and does nothing else.

The engine has too many threads to fork, and a new Python takes a tenth of a second for its imports: half of the time of a small `load`.
So the first job starts the nursery (worker.py), which forks a process for that job and every one that follows, and leaves when there
has been none for a while. See docs/decisions/0106-a-nursery-forks-the-workers.md
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pyke import errors
from pyke.engine.images.channel import Channel
from pyke.errors import PluginFailed, PykeError

IDLE = 30.0  # seconds that it waits for another job
START = 120.0  # seconds that a worker has until it says its first word, which are milliseconds where a machine has anything to spare
ATTEMPTS = 3
PATIENCE = 5.0  # seconds that the nursery has to leave in
ORPHANS = 30.0  # seconds that the processes of a dead engine may take to be dead as well
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

log = logging.getLogger("pyke.nursery")


class Nursery:
    """The nursery of one engine. Safe to use from every thread.

    It and its workers hold a shared lock of the file `lock` as long as they live.
    """

    def __init__(self, lock: str, idle: float = IDLE) -> None:
        self._lock_file, self._idle = lock, idle
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._jobs = 0
        self._leaving: threading.Timer | None = None

    @contextlib.contextmanager
    def worker(self, work: str, modules: Sequence[str], job: dict[str, Any]) -> Iterator[Worker]:
        """A process that does one job for the length of a block. `work` is one of worker.WORKS; `modules` are worth importing before."""
        with self._busy(), contextlib.closing(self._born({"work": work, "modules": list(modules)})) as worker:
            worker.tell(job)
            yield worker

    def warm_up(self, modules: Sequence[str]) -> None:
        """Let the nursery be there, with these modules, when the first job comes."""
        with self._busy(), self._lock, contextlib.suppress(OSError):
            self._started().tell({"work": "", "modules": list(modules)})

    def await_orphans(self) -> None:
        """Wait until no process of an engine before is at work any more: it might take back a layer that this one has by then.

        They die with their engine, but a busy machine may take its time over that.
        """
        deadline = time.monotonic() + ORPHANS
        with open(self._lock_file, "ab", opener=_for_us_alone) as file:
            while not _is_locked(file.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    log.warning("processes of an engine that is gone still work on its layers")
                    return
                time.sleep(0.02)

    def close(self) -> None:
        """Let the nursery leave, and workers that nobody listens to any more with it."""
        with self._lock:
            process, channel, self._process, self._channel = self._process, self._channel, None, None
        if channel is not None:
            channel.close()
        if process is not None:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _born(self, request: dict[str, Any]) -> Worker:
        """A new worker, which has said its first word."""
        for _ in range(ATTEMPTS):
            channel, theirs = Channel.pair()
            with theirs, contextlib.suppress(OSError), self._lock:
                self._started().tell(request, theirs.fileno())
            with contextlib.suppress(TimeoutError):
                said, process = channel.hear_all(START)
                if said is not None and process is not None:
                    return Worker(channel, process)
            channel.close()
            self._bury()  # the nursery was killed in this moment, and takes another to be gone
        raise PykeError("no process could be started to fetch or unpack a layer", hint="free -m")

    def _bury(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _started(self) -> Channel:
        if self._process is not None and self._process.poll() is None and self._channel is not None:
            return self._channel
        if self._channel is not None:
            self._channel.close()
        self._channel, theirs = Channel.pair()
        # -S and this path in place of site: a start of 25 ms less, and plugins are found where this engine found them.
        code = f"import sys; sys.path = {sys.path!r}; from pyke.engine.images.worker import main; main()"
        with theirs, open(self._lock_file, "ab", opener=_for_us_alone) as lock:
            _is_locked(lock.fileno(), fcntl.LOCK_SH)
            argv, kept = [sys.executable, "-I", "-S", "-c", code], (lock.fileno(),)
            self._process = subprocess.Popen(argv, stdin=theirs.fileno(), env=ENVIRONMENT, pass_fds=kept)
        return self._channel

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        """Keep the nursery for the length of a block, and a while longer."""
        with self._lock:
            self._jobs += 1
            if self._leaving is not None:
                self._leaving.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1
                if not self._jobs:
                    self._leaving = threading.Timer(self._idle, self._leave)
                    self._leaving.daemon = True
                    self._leaving.start()

    def _leave(self) -> None:
        with self._lock:
            is_idle = not self._jobs
        if is_idle:
            self.close()


class Worker:
    """A process at work, as the engine sees it."""

    def __init__(self, channel: Channel, process: int) -> None:
        self._channel = channel
        self._process = process  # a descriptor, which no other process takes over as it would a number

    def mention(self, message: dict[str, Any]) -> None:
        """Say something that it may as well not hear."""
        self._channel.mention(message)

    def tell(self, message: dict[str, Any]) -> None:
        """Say something. Whether it is there to hear it is for `answer` to tell."""
        with contextlib.suppress(OSError):
            self._channel.tell(message)

    def cancel(self) -> None:
        """Let it give up, and say so in its answer."""
        self._channel.hang_up()

    def answer(self, culprit: str, seconds: float | None = None) -> dict[str, Any]:
        """What it says next. The error that it ended with is raised; `TimeoutError` after so many seconds, when it is dead."""
        try:
            said = self._channel.hear(seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            raise
        if said is None:
            raise PluginFailed(f"the process of {culprit} died", hint="pyke plugin ls")
        if "error" in said:
            raise _error_of(said, culprit)
        return said

    def leave(self) -> None:
        """It has said how it ended: wait until its memory is free, before the next one takes some."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)  # pidfd_open(2)
        poll.poll(PATIENCE * 1000)

    def close(self) -> None:
        """Listen to it no more, which ends what it does."""
        self._channel.close()
        os.close(self._process)


def _for_us_alone(path: str, flags: int) -> int:
    """Whoever can open the file can hold its lock, and so an engine up."""
    return os.open(path, flags, 0o600)


def _is_locked(file: int, kind: int) -> bool:
    """Lock a file in this way, unless another process keeps it from that."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return True
    return False


def _error_of(said: dict[str, Any], culprit: str) -> PykeError:
    """The error that a worker ended with."""
    kind = getattr(errors, said["error"], None) if said["error"] else None
    if kind is None:
        return PluginFailed(f"{culprit} failed: {said['message']}", hint="pyke plugin ls")
    error: PykeError = kind(said["message"], hint=said["hint"])
    return error
