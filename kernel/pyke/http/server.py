"""The listener: a unix socket where Docker's clients connect, a thread for each of them."""

from __future__ import annotations

import grp
import logging
import os
import select
import socket
import threading
import time

from pyke.errors import EngineUnavailable, PykeError
from pyke.http.connection import Connection
from pyke.http.exchange import error_reply
from pyke.http.facade import Engine
from pyke.http.hangups import Hangups
from pyke.http.table import all_routes
from pyke.http.wire import TimeOuts

log = logging.getLogger("pyke.http")

GROUPS = ("pyke", "docker")  # the first that exists may connect
MAX_CONNECTIONS = 512
BACKLOG = 4096  # net.core.somaxconn cuts it down; where it is full, connect(2) fails at once with EAGAIN, which no client expects


def listen(path: str) -> socket.socket:
    """A listening socket at `path`, for root and the group `pyke` (or `docker`), mode 0660.

    It is made under a temporary name and renamed, so that whoever can connect is served, and a stale socket of an engine that died is
    replaced. Reached through the directory's descriptor, because a socket's own path must be shorter than 108 bytes (unix(7)).
    """
    directory, name = os.path.split(path)
    os.makedirs(directory, mode=0o711, exist_ok=True)
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    temporary = f"{name}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{handle}/{temporary}")
        os.chown(temporary, -1, _group(), dir_fd=handle)
        os.chmod(temporary, 0o660, dir_fd=handle)
        listener.listen(BACKLOG)
        os.rename(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)
    except OSError as error:
        listener.close()
        raise PykeError(f"cannot listen on {path}: {error.strerror}", hint=f"ls -ld {directory}") from error
    finally:
        os.close(handle)
    return listener


class Server:
    """Serves an engine on a listening socket: one that is handed in, or one at the engine's own path, from `start` to `stop`."""

    def __init__(
        self,
        engine: Engine,
        listener: socket.socket | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS,
        times: TimeOuts = TimeOuts(),  # noqa: B008 - frozen
    ) -> None:
        self._engine = engine
        self._router = all_routes()
        self._listener = listener or listen(engine.layout.socket)
        self._max_connections, self._times = max_connections, times
        self._thread = threading.Thread(target=self._run, name="accept", daemon=True)
        self._hangups = Hangups()
        self._changed = threading.Condition()
        self._connections: set[Connection] = set()
        self._is_stopping = False
        self._wake = os.eventfd(0)
        self.last_used = time.monotonic()  # when the last connection ended, for an engine that leaves when it is idle
        self.is_needed = False  # whether a client came that cannot start an engine, and whose next connection only this one can take
        self._is_own_listener = listener is None

    @property
    def connections(self) -> int:
        """How many clients are connected; those whose connection was handed over to a monitor are not counted."""
        return len(self._connections)

    def start(self) -> None:
        """Accept and serve from now on."""
        self._thread.start()

    def stop(self, grace: float = 10.0) -> None:
        """Accept nobody any more, cut idle clients and endless streams, let other requests end within `grace` seconds. Once."""
        self._is_stopping = True
        os.eventfd_write(self._wake, 1)  # not shutdown(2): a listener that systemd made must stay usable for the next engine
        self._thread.join()
        with self._changed:
            for connection in self._connections:
                if not connection.is_busy:
                    connection.cut()
            self._changed.wait_for(lambda: not self._connections, grace)
            for connection in self._connections:
                connection.cut()
            is_quiet = self._changed.wait_for(lambda: not self._connections, grace)
        if is_quiet:
            self._hangups.close()

    def _run(self) -> None:
        self._listener.setblocking(False)
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._is_stopping:
            poll.poll()
            self._accept()
        self._listener.close()
        os.close(self._wake)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return  # its client is gone already, or we were woken to stop
        except OSError as error:
            self._accept_failed(error)
            return
        self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        if len(self._connections) >= self._max_connections and not self._makes_room():
            _turn_away(client, self._max_connections)
            return
        connection = Connection(self._engine, self._router, self._hangups, client, self._times)
        with self._changed:
            self._connections.add(connection)
        threading.Thread(target=self._serve, args=(connection,), name="connection", daemon=True).start()

    def _makes_room(self) -> bool:
        """Cut the client that has been idle longest: those who only hold their connections must not keep out who has a request."""
        with self._changed:
            idle = [connection for connection in self._connections if connection.idle_since]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.idle_since)
        longest.idle_since = 0.0
        longest.cut()
        return True

    def _serve(self, connection: Connection) -> None:
        try:
            connection.run()
        except Exception:
            log.exception("a connection failed")
        finally:
            with self._changed:
                self._connections.discard(connection)
                self.last_used = time.monotonic()
                self.is_needed |= connection.is_foreign and self._is_own_listener
                self._changed.notify_all()

    def _accept_failed(self, error: OSError) -> None:
        """Out of descriptors or memory: say so, and give others the time to free some."""
        log.error("cannot accept a connection: %s", error)
        time.sleep(0.1)


def _turn_away(client: socket.socket, limit: int) -> None:
    """Answer 503, without waiting for the request."""
    body = error_reply(EngineUnavailable(f"the engine serves {limit} connections already", hint="pyke info")).body
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with client:
        client.setblocking(False)
        try:
            client.send(head.encode("ascii") + body)
        except OSError:
            return  # it is gone already


def _group() -> int:
    for name in GROUPS:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            continue
    return 0
