"""The nursery's side: a process with one thread that forks a worker for each job of the engine (nursery.py).

    {"work": "fetch"|"unpack"|"", "modules": [NAME, ...]} and one end of a channel      from the engine, on standard input
    {"size": BYTES} or {"error": NAME, "message": TEXT, "hint": TEXT, ...}              a worker's last words on its channel

A worker does one job, which comes on its channel, and ends; it gives its job up when the engine hangs up. The nursery leaves with
the engine, and a worker is killed with its nursery, for the next engine works in the same places (`Nursery.await_orphans`).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pyke import errors
from pyke.engine.images import fetch, unpack
from pyke.engine.images.channel import KIND, Channel
from pyke.errors import PykeError
from pyke.runtime import linux

WORKS: dict[str, Callable[[dict[str, Any], Channel], dict[str, Any]]] = {"fetch": fetch.work, "unpack": unpack.work}


def main() -> None:
    """Fork workers until the engine hangs up."""
    signal.signal(signal.SIGCHLD, lambda *_: _bury())
    requests, nursery = Channel(socket.socket(socket.AF_UNIX, KIND, fileno=0)), os.getpid()
    while True:
        request, descriptor = requests.hear_all()
        if request is None:
            break
        _import(request["modules"])
        if descriptor is not None:
            if os.fork() == 0:
                requests.close()
                _die_with(nursery)
                _work(request["work"], descriptor)
            os.close(descriptor)
    os._exit(0)


def _die_with(parent: int) -> None:
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _bury() -> None:
    """Take note of workers that have ended: buried by the kernel (SIG_IGN), they would not be in anybody's account of processors' time."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _import(modules: Sequence[str]) -> None:
    """Have in memory what the workers will need; whoever cannot do without tells why it failed."""
    missing = [name for name in modules if name not in sys.modules]
    for name in missing:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if missing:
        gc.collect()
    gc.freeze()  # or the collector of each worker would write to all pages that they share


def _work(work: str, descriptor: int) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel = Channel(socket.socket(socket.AF_UNIX, KIND, fileno=descriptor))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody wants to know any more
            channel.tell({"pid": os.getpid()}, os.pidfd_open(os.getpid()))
            job = channel.hear()
            if job is not None:
                channel.tell(_answer(work, job, channel))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # a thread of a client may still wait for the network


def _answer(work: str, job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    try:
        return WORKS[work](job, channel)
    except PykeError as error:
        known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return {"error": known.__name__, "message": error.message, "hint": error.hint}
    except BaseException as error:  # SystemExit too: told to the engine, which reports the plugin
        return {"error": "", "message": f"{type(error).__name__}: {error}", "hint": ""}
