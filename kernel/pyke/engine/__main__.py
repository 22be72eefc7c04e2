"""The engine's process: `python -m pyke.engine [--root DIR]`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from pyke import launch
from pyke.engine import own_log
from pyke.errors import PykeError
from pyke.paths import Layout
from pyke.runtime import chroot, linux

if TYPE_CHECKING:
    from pyke.engine.engine import Engine
    from pyke.http.server import Server

IDLE_CHECK = 5.0  # seconds at most between looks whether there is still something to do
ARENAS = 2  # a thread for each connection would have one each, up to eight for each core, and none is ever given back
SWITCH_INTERVAL = 0.0005  # seconds; with the default of 5 ms a busy thread makes every short request wait that long


def main() -> int:
    arguments = _arguments()
    layout = Layout(arguments.root)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if arguments.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("pyroute2").setLevel(logging.WARNING)  # it tells of every netlink message
    os.umask(0o022)
    os.makedirs(layout.run, mode=0o711, exist_ok=True)
    os.makedirs(layout.root, mode=0o711, exist_ok=True)
    lock = launch.take_lock(layout)
    if lock is None:
        return 0
    try:
        chroot.leave()
        return _serve(layout)
    except PykeError as error:
        launch.announce_failure(error.message)
        sys.stderr.write(f"pyke: {error.message}\n  hint: {error.hint}\n")
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pyke engine", description="Run the engine in the foreground.")
    parser.add_argument("--root", default="", help="the directory of this engine's state")
    parser.add_argument("--debug", action="store_true", help="log what the engine does in detail")
    return parser.parse_args()


def _serve(layout: Layout) -> int:
    from pyke.engine import shutdown  # after the lock: a second engine leaves before it costs anything
    from pyke.engine.engine import Engine
    from pyke.http.server import Server

    sys.setswitchinterval(SWITCH_INTERVAL)
    linux.limit_arenas(ARENAS)
    engine = Engine(layout)
    engine.recover()
    server = Server(engine, launch.inherited_listener())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    launch.announce_ready()
    pause = min(IDLE_CHECK, engine.settings.idle_timeout or IDLE_CHECK)
    while not stop.wait(pause) and not _is_idle(engine, server):
        own_log.shorten(layout.engine_log)
    if engine.containers.monitors and shutdown.is_under_way():
        shutdown.stop_containers(engine)
    server.stop()
    engine.close()
    return 0


def _is_idle(engine: Engine, server: Server) -> bool:
    """Whether nothing runs, nobody is connected and that has been so for the time that the settings say. Docker's clients do not start an
    engine: where one has come, the engine stays, unless systemd listens for it."""
    limit = engine.settings.idle_timeout
    if not limit or server.is_needed or server.connections or engine.containers.monitors:
        return False
    is_quiet = time.monotonic() - server.last_used > limit
    return is_quiet and not any(each.state.status == "restarting" for each in engine.containers.all())


if __name__ == "__main__":
    sys.exit(main())
