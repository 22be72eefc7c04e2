"""One monitor at a time works at a container's start: another one waits until it has cleared up.

The monitor of an engine that is killed in the middle of a start gives up. The next engine is asked for the same start at once, in the same
directory and with the same cgroup, which the first monitor is about to empty.
"""

from __future__ import annotations

import fcntl
import os
import select

from pyke import sockets


class Turn:
    """The right to start a container. It ends with this process and its child's exec, if not before."""

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        self._descriptor = -1

    def take(self, directory: str, control: sockets.Socket) -> bool:
        """Wait until nobody else starts the container that keeps its log in `directory`. False where the engine at the other end of
        `control` is gone by then: nobody wants the start any more, and the next one may be waiting for its turn already."""
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        poll = select.poll()
        poll.register(control.fileno(), 0)  # of a hang-up one is always told
        return not poll.poll(0)

    def end(self) -> None:
        """Let the next one begin. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
