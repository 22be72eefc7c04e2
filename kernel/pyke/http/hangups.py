"""Noticing that a client is gone while its handler waits for something else: one thread for all connections that stream."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

log = logging.getLogger("pyke.http")

GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Hangups:
    """Calls back, once and from its own thread, when a watched socket is closed by its peer.

    A peer that closes only its writing half counts as gone, as it does for Go's HTTP server.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._wake = os.eventfd(0)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="hangups", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def watch(self, client: socket.socket, callback: Callable[[], None]) -> Iterator[None]:
        """Watch `client` for the length of the block; it must stay open meanwhile."""
        number = client.fileno()
        with self._lock:
            self._callbacks[number] = callback
            self._epoll.register(number, GONE | select.EPOLLONESHOT)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(number, None)
                self._epoll.unregister(number)

    def close(self) -> None:
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        while True:
            for number, _ in self._epoll.poll():
                if number == self._wake:
                    return
                with self._lock:
                    callback = self._callbacks.pop(number, None)
                if callback is not None:
                    _call(callback)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        log.exception("what was to be done when a client hung up failed")
