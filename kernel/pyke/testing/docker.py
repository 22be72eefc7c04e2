"""Debian's Docker as an oracle: the real engine, on a host of its own, to compare pyke with.

    with DockerEngine(directory) as docker:
        docker.run("docker run --rm busybox true")

Needs root and Debian's docker.io; `missing()` says what is not there. The engine lives in network and mount namespaces of its own, keeps
everything below `directory`, and is ended with its containers when the block ends: a Docker that runs on the machine is never touched.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import time
from types import TracebackType
from typing import Self

from pyke.errors import PykeError
from pyke.testing import images, leaks
from pyke.testing.fakehost import FakeHost

PROGRAMS = ("dockerd", "containerd", "runc", "docker")
PATIENCE = 30.0  # seconds for the engine to answer, and to end


def missing() -> str:
    """What this machine lacks for an oracle, as a reason to skip a test; "" where nothing does."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"no {', '.join(lacking)} on this machine: apt-get install docker.io" if lacking else ""


class DockerEngine:
    """Docker's engine below `directory`, on a fake host. It starts with the block and answers on `address`."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        self.root = os.path.join(self.directory, "root")
        self.socket = os.path.join(self.directory, "docker.sock")
        self.address = f"unix://{self.socket}"
        self.host = FakeHost()
        self._log = os.path.join(self.directory, "dockerd.log")
        self._cgroup = "docker-" + os.urandom(4).hex()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        os.makedirs(self.root, exist_ok=True)
        self.host.run("mount", "-t", "tmpfs", "tmpfs", self.root)  # it syncs much, and nothing of it is to stay
        configuration = os.path.join(self.directory, "daemon.json")
        with open(configuration, "w", encoding="ascii") as file:
            file.write("{}")
        flags = {
            "config-file": configuration,
            "data-root": self.root,
            "exec-root": os.path.join(self.directory, "exec"),
            "pidfile": os.path.join(self.directory, "pid"),
            "host": self.address,
            "cgroup-parent": f"/{self._cgroup}",
        }
        argv = self.host.command("dockerd", *(f"--{name}={value}" for name, value in flags.items()))
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while self.docker("version").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PykeError(f"dockerd does not answer:\n{self._log_tail()}", hint=f"tail {self._log}")
            time.sleep(0.1)

    def docker(self, *arguments: str, input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command of Docker's client on this engine and wait for it."""
        return subprocess.run(["docker", "--host", self.address, *arguments], input=input, capture_output=True, timeout=60, check=False)

    def load_busybox(self) -> None:
        """Load the same `busybox:latest` that a TestEngine loads."""
        done = self.docker("load", input=images.busybox_image())
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Remove all containers, end the engine, and let its host go. Idempotent."""
        if self._process is not None:
            names = self.docker("ps", "-aq").stdout.decode().split()
            if names:
                self.docker("rm", "-fv", *names)
            self._end(self._process)
            self._process = None
        self.host.close()
        self._remove_cgroups()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _remove_cgroups(self) -> None:
        """Docker leaves the parent of its containers' cgroups behind; it can be removed when the kernel is done with the last of them."""
        deadline = time.monotonic() + PATIENCE
        while left := [*glob.glob(f"{leaks.CGROUPS}/{self._cgroup}"), *glob.glob(f"{leaks.CGROUPS}/*/{self._cgroup}")]:
            for directory in left:
                for path, _, _ in os.walk(directory, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(path)
            if time.monotonic() > deadline:
                raise PykeError(f"cgroups of Docker cannot be removed: {', '.join(left)}", hint=f"find {left[0]} -name cgroup.procs")
            time.sleep(0.05)

    def _log_tail(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-10:])
