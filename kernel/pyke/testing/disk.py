"""A disk whose power can be cut: what its file system had not written is gone.

    with Disk(directory) as disk:
        ...                             # files below disk.place
        disk.cut(processes)             # which die with it
        ...                             # disk.place as the next boot of a machine finds it

It is an ext4 in a file, which is in memory: no test waits for the machine's own disk. EXT4_IOC_SHUTDOWN without a last flush of the journal
is for a file system what the loss of power is: pages and transactions that it had not handed to its disk are never written. The file is
copied in this moment and the copy mounted, which replays the journal, as after every crash. Needs root and loop devices.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from pyke.testing.patience import eventually
from pyke.testing.processes import is_alive

EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH = 0x8004587D, 2  # fs/ext4/ext4.h
SIZE = 1 << 30  # bytes of the file system, of which few are ever written


class Disk:
    """A file system of its own at `place`, below a directory."""

    def __init__(self, directory: Path) -> None:
        self.place = directory / "disk"
        self._memory = directory / "memory"
        self._image = self._memory / "disk.0"
        self._cuts = 0

    def __enter__(self) -> Disk:
        self.place.mkdir()
        self._memory.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={2 * SIZE}", "tmpfs", str(self._memory))  # it and its copy
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-m", "0", "-J", "size=16", str(self._image))
        self._mount()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        _run("umount", "--lazy", str(self.place))
        _run("umount", "--lazy", str(self._memory))

    def cut(self, processes: Iterable[int] = ()) -> None:
        """Lose the power, and with it these processes; then be mounted again."""
        self._shut_down()
        _kill(processes)
        eventually(self._is_idle, "what was on its way to the disk has reached it")
        self._cuts += 1
        after = self._image.with_suffix(f".{self._cuts}")
        _run("cp", "--sparse=always", str(self._image), str(after))
        _run("umount", "--lazy", str(self.place))  # somebody else's mount namespace may still have it
        self._image.unlink()
        self._image = after
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.place))

    def _shut_down(self) -> None:
        descriptor = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def _is_idle(self) -> bool:
        device = os.stat(self.place).st_dev
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/inflight", encoding="ascii") as file:
            return not any(map(int, file.read().split()))


def _kill(processes: Iterable[int]) -> None:
    there = set(processes)
    for process in there:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, there)), "all are dead that were to die with the power")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} failed: {done.stderr.strip()}")
