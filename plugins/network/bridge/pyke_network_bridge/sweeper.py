"""Deletes what is left of pairs whose container is gone, without letting anybody wait.

A veth pair goes with its namespace, but that is the kernel's own time, and never comes while another container shares the namespace.
Deleting costs some 20 ms (the kernel waits for all of its readers), which the end of a container should not.
"""

from __future__ import annotations

import logging
import queue
import threading

from pyke.api import PykeError
from pyke_network_bridge.netlink import Netlink, exists

log = logging.getLogger(__name__)
IDLE = 5.0  # seconds after which the thread leaves


class Sweeper:
    """A thread that comes when there is work and leaves when there is none."""

    def __init__(self) -> None:
        self._doomed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._works = False

    def delete_later(self, interface: str) -> None:
        """Delete an interface soon, if it still exists then."""
        with self._guard:
            self._doomed.put(interface)
            if not self._works:
                self._works = True
                threading.Thread(target=self._work, name="veth-sweeper", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                self._delete(self._doomed.get(timeout=IDLE))
            except queue.Empty:
                with self._guard:
                    if self._doomed.empty():
                        self._works = False
                        return

    def _delete(self, interface: str) -> None:
        if not exists(interface):
            return
        try:
            with Netlink() as host:
                host.delete(interface)
        except PykeError as error:
            log.warning("%s", error)
