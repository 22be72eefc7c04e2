"""A host to break: network namespaces of its own, so that a test of a network driver never touches the machine's network.

    with FakeHost() as host, host.container() as container:
        with host.entered():                                   # this thread, and threads it starts, live on the fake host
            driver.attach(network, endpoint, container.path)
        container.run("ping", "-c1", "-W2", OUTSIDE)

Needs root and Debian's iproute2 and util-linux. Everything goes when the block ends, and when the test is killed: each namespace is held by
a cat(1) that reads from the test.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from pyke.errors import PykeError
from pyke.runtime import linux

T = TypeVar("T")

OUTSIDE = "203.0.113.1"  # the host on the other side of the fake host's uplink (RFC 5737: documentation addresses)
UPLINK = "203.0.113.2"  # the fake host's own address there
OUTSIDE6, UPLINK6 = "2001:db8:1::1", "2001:db8:1::2"
# A sysfs shows the interfaces of the namespace that it was mounted in; the cgroups stay the machine's.
HOLD = """set -e
mount --rbind /sys /mnt
mount -t sysfs sysfs /sys
mount --rbind /mnt/fs/cgroup /sys/fs/cgroup
umount -l /mnt
echo ready
exec cat"""


class Namespace:
    """A network namespace (and a mount namespace with a /sys that shows it), kept alive by a process of its own."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self.close()
            raise PykeError("a network namespace for a test could not be made: are you root?", hint="unshare --net true")
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the namespace go; twice is fine."""
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()
        self._holder.wait(10)

    def command(self, *argv: str) -> list[str]:
        """What to execute so that `argv` runs in here."""
        return ["nsenter", "--net", "--mount", "--target", str(self.pid), "--", *argv]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in here and wait for it; `check` raises when it fails, with what it said."""
        done = subprocess.run(self.command(*argv), capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)} failed with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let the calling thread, and the threads that it starts, live in this network namespace for the length of a block."""
        home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(self.path, os.O_RDONLY)
        try:
            linux.setns(there, linux.CLONE_NEWNET)
            try:
                yield
            finally:
                linux.setns(home, linux.CLONE_NEWNET)
        finally:
            os.close(home)
            os.close(there)

    def call(self, work: Callable[[], T]) -> T:
        """Run a function in a thread that lives in here; a socket that it returns stays in here."""
        outcome: list[T] = []
        failure: list[BaseException] = []

        def live_there() -> None:
            try:
                with self.entered():
                    outcome.append(work())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=live_there)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]


class FakeHost(Namespace):
    """A host with an uplink, behind which `outside` stands for the Internet: it knows no way back to what is behind this host."""

    def __init__(self) -> None:
        super().__init__()
        self._others = contextlib.ExitStack()
        try:
            self.outside = self._others.enter_context(Namespace())
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        self.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "downlink", "netns", str(self.outside.pid))
        for namespace, interface, addresses in ((self, "uplink", (UPLINK, UPLINK6)), (self.outside, "downlink", (OUTSIDE, OUTSIDE6))):
            namespace.run("ip", "address", "add", f"{addresses[0]}/24", "dev", interface)
            namespace.run("ip", "-6", "address", "add", f"{addresses[1]}/64", "dev", interface, "nodad")
            namespace.run("ip", "link", "set", interface, "up")
        self.run("ip", "route", "add", "default", "via", OUTSIDE)
        self.run("ip", "-6", "route", "add", "default", "via", OUTSIDE6)

    def container(self) -> Namespace:
        """An empty network namespace, as a container's is before a driver attaches it; ends with the host at the latest."""
        return self._others.enter_context(Namespace())

    def close(self) -> None:
        self._others.close()
        super().close()

    def interfaces(self) -> set[str]:
        """The names of the host's interfaces."""
        lines = self.run("ip", "-o", "link").stdout.splitlines()
        return {line.split(": ")[1].split("@")[0] for line in lines}

    def ruleset(self) -> str:
        """The host's packet filter, as nft(8) prints it; "" where nft is not installed and nothing can be in it."""
        try:
            return self.run("nft", "list", "ruleset", check=False).stdout
        except FileNotFoundError:
            return ""
