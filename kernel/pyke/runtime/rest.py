"""The monitor of a container to which nobody is attached: next to no memory is its own until something happens.

A page that a forked process writes to is its own from then on, and Python writes to an object by only looking at it: it counts its
references. Who has borne a container has made 2 MB of the spawner's pages its own, for as long as the container lives. So a child does that
here, the midwife, whose memory goes with it. The container is nevertheless the child of this process (CLONE_PARENT). Once it runs, the
midwife hands its descriptors over; this process keeps them in poll(2), with 0.3 MB of its own, and becomes a monitor when it has to.
"""

from __future__ import annotations

import json
import os
import select
from _socket import SOCK_SEQPACKET

from pyke import sockets
from pyke.runtime import linux
from pyke.runtime.monitor import Monitor, read_bundle
from pyke.runtime.stdio import Stdio, set_terminal_size

LARGEST_HANDOVER = 65536  # bytes


def watch_over(directory: str, control: sockets.Socket, oom_score: int) -> None:
    """Run the container that DIRECTORY/bundle.json describes, from its birth to its end."""
    hearing, telling = sockets.pair(SOCK_SEQPACKET)
    midwife = os.fork()
    if midwife == 0:
        hearing.close()
        return Midwife("container", directory, read_bundle(directory), oom_score).deliver(control, telling)
    telling.close()
    control.close()
    packet, descriptors = sockets.receive(hearing, LARGEST_HANDOVER)
    hearing.close()
    os.waitpid(midwife, 0)
    if not packet:
        return  # it did not start, and the engine has been told; should the midwife be dead, init dies now, and the engine misses us
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll()  # until the container prints or ends, or an engine wants something
    monitor = Monitor("container", directory, read_bundle(directory), oom_score)
    monitor.take_over(json.loads(packet), descriptors)
    try:
        monitor.wait_for_end()
    finally:
        monitor.leave()


class Midwife(Monitor):
    """Bears the container for the process that it was forked from, and is gone when it runs."""

    clone_flags = linux.CLONE_PARENT
    takes_clients = False  # it would leave them behind

    def deliver(self, control: sockets.Socket, heir: sockets.Socket) -> None:
        """Bear it and hand it over, or clean up after one that did not start."""
        self.stdio: Stdio | None = None
        if not self.is_wanted(control):
            return
        self.listen(control)
        self._fork()
        while self.report:
            self.loop.turn()
        if self.phase == "running":
            self._hand_over(heir)
        else:
            self.leave()

    def _take(self, stdio: Stdio) -> None:
        self.stdio = stdio

    def _take_terminal(self, master: int) -> None:
        self.terminal = master
        if self.size != (0, 0):
            set_terminal_size(master, *self.size)

    def let_go(self) -> None:
        """What the engine says from here on is for the heir."""
        super().let_go()
        if self.control:
            self.control.pause()

    def _hand_over(self, heir: sockets.Socket) -> None:
        assert self.stdio
        peers = [peer for peer in self.peers if peer.fileno() >= 0]  # the next engine may have come already
        held = {
            "process": os.pidfd_open(self.pid),
            "listener": self.listener.fileno(),
            **{f"peer {number}": peer.fileno() for number, peer in enumerate(peers)},
            "terminal": self.terminal,
            "stdin": self.stdio.stdin,
            "stdout": self.stdio.stdout,
            "stderr": self.stdio.stderr,
        }
        given = {name: descriptor for name, descriptor in held.items() if descriptor >= 0}
        known = {
            "pid": self.pid,
            "started": self.started,
            "size": self.size,
            "wake": self.bundle.get("wake"),
            "peers": [peer.is_subscribed for peer in peers],
        }
        sockets.send(heir, json.dumps({**known, "descriptors": list(given)}).encode(), list(given.values()))
