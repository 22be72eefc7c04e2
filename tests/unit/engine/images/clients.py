"""Registry clients for test_fetch.py: they have one blob of zeros, and each a fault of its own."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable
from pathlib import Path

from pyke.drivers import DriverHome
from pyke.errors import RegistryUnavailable
from pyke.registries import BlobStream, Repository

CONTENT = bytes(3_000_000)
Read = Callable[[int], bytes]


class Stream:
    """What a client gives: a `read`, and nothing to let go of."""

    def __init__(self, read: Read) -> None:
        self.read = read

    def close(self) -> None:
        pass


class Right:
    """Gives the blob."""

    def __init__(self, home: DriverHome) -> None:
        self.home = Path(home.directory)

    def open_blob(self, repository: Repository, digest: str, offset: int) -> BlobStream:
        with (self.home / "offsets").open("a") as file:
            file.write(f"{offset}\n")
        self.left = CONTENT[offset:]
        return Stream(self.read)

    def read(self, size: int) -> bytes:
        piece, self.left = self.left[:size], self.left[size:]
        return piece


class Cut(Right):
    """Loses its link after a million bytes."""

    def read(self, size: int) -> bytes:
        if len(CONTENT) - len(self.left) >= 1_000_000 and not (self.home / "cut").exists():
            (self.home / "cut").touch()
            raise RegistryUnavailable("the link was cut")
        return super().read(size)


class Ending(Right):
    """Takes a cut for the end."""

    def read(self, size: int) -> bytes:
        return super().read(size) if len(self.left) > 1_000_000 else b""


class Unopened(Right):
    """Waits before there is anything to read from."""

    def open_blob(self, repository: Repository, digest: str, offset: int) -> BlobStream:
        time.sleep(600)
        raise AssertionError("nobody waits so long")


class Unheard(Right):
    """Waits for a peer that says nothing."""

    def read(self, size: int) -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return ours.recv(size)


class Threaded(Right):
    """Waits for a thread of its own."""

    def read(self, size: int) -> bytes:
        found: bytes = queue.Queue[bytes]().get()
        return found


class Dripping(Right):
    def read(self, size: int) -> bytes:
        time.sleep(0.1)
        return super().read(1)


class TooMuch(Right):
    def read(self, size: int) -> bytes:
        return super().read(size + 1)


class Wrong(Right):
    def read(self, size: int) -> bytes:
        return b"x" * size


class Text(Right):
    def read(self, size: int) -> bytes:
        return "text"  # type: ignore[return-value]


class Leaving(Right):
    def read(self, size: int) -> bytes:
        raise SystemExit("had enough")
