"""The pipes between a monitor and the process it watches over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct

PIPE_SIZE = 1024 * 1024  # bytes; what an unprivileged user may ask for, and 16 times what a pipe has
TIOCSWINSZ = 0x80087467 if os.uname().machine.startswith("ppc") else 0x5414

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Stdio:
    """What the child gets as its descriptors 0, 1 and 2 (`child_ends`), and the ends that the monitor keeps (-1 where there is none).

    With a terminal the child gets /dev/null three times: init replaces it by the terminal that it makes inside the container.
    """

    __slots__ = ("child_ends", "stderr", "stdin", "stdout")

    def __init__(self, wish: dict[str, Any]) -> None:
        self.stdin = self.stdout = self.stderr = -1
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if wish["tty"]:
            self.child_ends = (null, null, null)
            return
        stdin = null
        if wish["stdin"]:
            stdin, self.stdin = os.pipe()
        self.stdout, stdout = _wide_pipe()
        self.stderr, stderr = _wide_pipe()
        self.child_ends = (stdin, stdout, stderr)
        if stdin != null:
            os.close(null)

    def become(self) -> None:
        """In the child: take the descriptors 0, 1 and 2."""
        # Copied above them first, for one of the ends may itself be 0, 1 or 2.
        for number, end in enumerate([fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in self.child_ends]):
            os.dup2(end, number)
        # Python ignores these two; a program that writes into a closed pipe must die of it.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    def close_child_ends(self) -> None:
        """In the monitor: let the streams end when the container ends them."""
        for end in set(self.child_ends):
            os.close(end)


def set_terminal_size(master: int, rows: int, columns: int) -> None:
    """Tell a terminal its size; the programs in its foreground get SIGWINCH. Source: ioctl_tty(2)."""
    fcntl.ioctl(master, TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def _wide_pipe() -> tuple[int, int]:
    """A pipe that holds much: a container that prints in bursts does not wait for its monitor, and one read returns more."""
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # EPERM: over pipe-user-pages-soft, see pipe(7)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return reading, writing
