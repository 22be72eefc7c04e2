"""Calls into foreign code, under a deadline and behind a circuit breaker.

A thread cannot be killed, so a call that is late is abandoned: its thread ends whenever the plugin lets it. The breaker keeps a
plugin that hangs from collecting such threads, and the engine from waiting for it again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

IDLE_WORKERS = 8  # threads kept for the next call


class LateCall(Exception):
    """The call did not end within its deadline."""


class Call:
    """One call on its way: what to run, and what became of it."""

    __slots__ = ("_done", "error", "result", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self._done = threading.Lock()  # a bare lock: a tenth of the cost of an Event
        self._done.acquire()

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:  # SystemExit of a plugin included: it must not end anything but this call
            self.error = error
        finally:
            self._done.release()

    def wait(self, deadline: float) -> Any:
        """The result, or the error raised again; `LateCall` after `deadline` seconds."""
        if not self._done.acquire(timeout=deadline):
            raise LateCall
        if self.error is not None:
            raise self.error
        return self.result


class Workers:
    """Threads that run calls. They are reused, made when none is idle, and never waited for at the end of the process."""

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Call | None]] = []
        self._lock = threading.Lock()

    def run(self, work: Callable[[], Any], deadline: float) -> Any:
        """Run `work` in a thread and return its result, raise its error, or raise `LateCall` after `deadline` seconds."""
        call = Call(work)
        self._inbox().put(call)
        return call.wait(deadline)

    def _inbox(self) -> SimpleQueue[Call | None]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        inbox: SimpleQueue[Call | None] = SimpleQueue()
        threading.Thread(target=self._work, args=(inbox,), name="pyke-plugin-call", daemon=True).start()
        return inbox

    def _work(self, inbox: SimpleQueue[Call | None]) -> None:
        while (call := inbox.get()) is not None:
            call.run()
            del call  # or the last result would live as long as the thread idles
            with self._lock:
                if len(self._idle) >= IDLE_WORKERS:
                    return
                self._idle.append(inbox)

    def close(self) -> None:
        """Let the idle threads end; idempotent, and calls may come again later."""
        with self._lock:
            idle, self._idle = self._idle, []
        for inbox in idle:
            inbox.put(None)


class Breaker:
    """Opens after `threshold` late calls in a row; then refuses for `pause` seconds, and lets one call through to probe."""

    def __init__(self, threshold: int = 3, pause: float = 30.0) -> None:
        self.threshold, self.pause = threshold, pause
        self._lock = threading.Lock()
        self._late = 0
        self._closed_again = 0.0  # a reading of time.monotonic()

    def admits(self) -> bool:
        """Whether a call may go ahead now. A yes while the breaker is open is the probe: others wait for its outcome."""
        if self._late < self.threshold:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._closed_again:
                return False
            self._closed_again = now + self.pause
            return True

    def answered(self) -> None:
        """The plugin answered, with a result or with an error: it is alive."""
        self._late = 0

    def was_late(self) -> None:
        """The plugin let a deadline pass."""
        with self._lock:
            self._late += 1
            self._closed_again = time.monotonic() + self.pause

    def wait_time(self) -> float:
        """Seconds until the next probe."""
        return max(0.0, self._closed_again - time.monotonic())
