"""A watch over whoever waits for a registry: a wait that is in vain is interrupted.

A worker has one thread, which receives a layer and unpacks it (fetch.py). While a registry client waits, wherever in its code that is, a
timer of the kernel (setitimer(2)) interrupts the system call it waits in, a few times a second, and what is wrong then is raised in its
place: the engine hung up, or too little has come. See docs/decisions/0108-a-registry-client-gives-a-stream.md
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TypeVar

from pyke.engine.images.channel import Channel
from pyke.errors import PykeError, RegistryUnavailable

T = TypeVar("T")
BEAT = 0.25  # seconds between two looks
SLOWEST = 1024  # bytes a second


class Cancelled(PykeError):
    """The engine does not want the layer any more."""

    def __init__(self) -> None:
        super().__init__("context canceled")


class Watch:
    """Watches the main thread of a process. `silence` is how many seconds of waiting may bring less than `SLOWEST` bytes a second."""

    def __init__(self, channel: Channel, silence: float) -> None:
        self._channel, self._silence = channel, silence
        self._is_waiting = False
        signal.signal(signal.SIGALRM, lambda *_: self._look())
        self.begin()

    def begin(self) -> None:
        """Forget how slow it was: somebody else is asked."""
        self._waited, self._come = 0.0, 0  # seconds, and the bytes that came for them
        self._since = time.monotonic()

    def receive(self, call: Callable[[], bytes]) -> bytes:
        """What a call gives that may wait for a registry. `Cancelled`, and `RegistryUnavailable` for a registry that is too slow."""
        self._is_waiting, self._since = True, time.monotonic()
        try:
            signal.setitimer(signal.ITIMER_REAL, BEAT, BEAT)
            data = call()
        finally:
            self._is_waiting = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        self._waited += time.monotonic() - self._since
        self._come += len(data)
        self._judge(self._waited)  # one that drips never waits long
        return data

    def _look(self) -> None:
        """The handler of the signal. It may come when the wait is just over, and then says nothing."""
        if self._is_waiting:
            try:
                if self._channel.is_waiting():
                    raise Cancelled
                self._judge(self._waited + time.monotonic() - self._since)
            except PykeError:
                self._is_waiting = False  # whoever lets go of things now is left in peace
                raise

    def _judge(self, waited: float) -> None:
        if waited >= self._silence:
            is_slow = self._come < SLOWEST * waited
            self._waited, self._come, self._since = 0.0, 0, time.monotonic()
            if is_slow:
                raise RegistryUnavailable(f"the registry sent less than {SLOWEST} bytes a second for {waited:.0f} s")
