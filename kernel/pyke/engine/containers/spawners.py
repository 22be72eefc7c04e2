"""The engine's link to its spawner, which is found where an earlier engine left it, or started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
import time
from _socket import SOCK_SEQPACKET

from pyke import launch, sockets
from pyke.errors import PykeError
from pyke.paths import Layout
from pyke.runtime import spawner

START_DEADLINE = 30.0  # seconds
READY = 3  # the descriptor on which a new spawner says that it listens


class SpawnerLink:
    """A connection to the one spawner of an engine, made on first use and again when the spawner was killed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._connection: sockets.Socket | None = None
        self._child = 0

    def request(self, kind: str, directory: str, control: sockets.Socket) -> None:
        """Have a monitor started that speaks to `control`."""
        packet = json.dumps({"kind": kind, "directory": directory}).encode()
        with self._lock:
            if self._connection is not None:
                try:
                    sockets.send(self._connection, packet, (control.fileno(),))
                    return
                except OSError:  # it was killed since
                    self._connection.close()
            self._connection = self._connected()
            sockets.send(self._connection, packet, (control.fileno(),))

    def close(self) -> None:
        """Let go of it; it lives on."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _connected(self) -> sockets.Socket:
        deadline = time.monotonic() + START_DEADLINE
        self._dismiss_outdated(deadline)
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return sockets.connect(self._layout.spawner_socket, SOCK_SEQPACKET)
            if time.monotonic() > deadline:
                raise PykeError("the spawner, which starts containers, does not come up", hint=f"tail {self._layout.engine_log}")
            self._start(deadline)

    def _dismiss_outdated(self, deadline: float) -> None:
        """A spawner of another version speaks another language with its monitors' bundles: it leaves, and its monitors live on."""
        with contextlib.suppress(OSError):
            with open(os.path.join(self._layout.run, spawner.BUILD), encoding="ascii") as file:
                if file.read() == spawner.build():
                    return
            connection = sockets.connect(self._layout.spawner_socket, SOCK_SEQPACKET)
            sockets.send(connection, json.dumps({"kind": "quit"}).encode())
            while time.monotonic() < deadline and connection.recv(1):
                pass  # until it has closed the connection
            connection.close()

    def _start(self, deadline: float) -> None:
        """Start a spawner and wait until it listens, or has left because another one does."""
        self._bury()
        hearing, saying = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        log = os.open(self._layout.engine_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        actions = [(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((null, 0), (log, 1), (log, 2), (saying, READY))]
        try:
            argv = spawner.command(self._layout.run, READY)
            self._child = os.posix_spawn(argv[0], argv, {"PATH": launch.PATH, "LANG": "C.UTF-8"}, file_actions=actions, setsid=True)
            for descriptor in (saying, null, log):
                os.close(descriptor)
            poll = select.poll()
            poll.register(hearing, select.POLLIN)
            poll.poll(max(0, deadline - time.monotonic()) * 1000)
        finally:
            os.close(hearing)

    def _bury(self) -> None:
        """Collect an earlier spawner of ours that was killed."""
        if self._child:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, os.WNOHANG)
            self._child = 0
