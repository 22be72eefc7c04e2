"""A first process that buries orphans and passes signals on: `--init`, where a container's program does not expect to be PID 1.

It is init itself, which stays: the program is its child. It gives up what it does not need, and ends as its child ends.
"""

from __future__ import annotations

import os
import signal

from pyke.runtime import capabilities, linux

NAME = b"pyke-init"
#: What the kernel sends about the process itself, or cannot be caught.
NOT_PASSED_ON = frozenset(
    (
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGCHLD,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGTRAP,
        signal.SIGABRT,
    )
)


def stay(arguments: list[str], held: int) -> None:
    """Fork, and return in the child, which is to become the program. The parent never returns: it exits with the child's status.

    `held` are the capabilities of both. The parent is under the same seccomp filter as the child, which may be able to trace it.
    """
    signals = signal.valid_signals() - NOT_PASSED_ON | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    linux.set_name(NAME)
    linux.set_command_line([NAME, b"--", *map(os.fsencode, arguments)])
    child = os.fork()
    if child == 0:
        _lead()
        return
    _shrink(held)
    while True:
        received = signal.sigwaitinfo(signals)
        if received.si_signo == signal.SIGCHLD:
            _bury(child)
        elif received.si_signo not in (signal.SIGTTIN, signal.SIGTTOU):
            _send(child, received.si_signo)


def _lead() -> None:
    """Die with the first process, and lead a process group that the terminal, where there is one, listens to."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
    if os.isatty(0):  # SIGTTOU is blocked still: a process of the background may do this only then
        os.tcsetpgrp(0, os.getpgrp())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _shrink(held: int) -> None:
    """Keep no descriptor (an open `report` would hide that the program runs), and no capability but that to signal any user's process."""
    linux.close_range(0)
    kept = held & capabilities.bits(["CAP_KILL"])
    capabilities.hold(kept, kept)


def _bury(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _send(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:  # it has ended, and SIGCHLD is on its way
        return
