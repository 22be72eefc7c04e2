"""A real engine with a root of its own, driven through the real command line, and its honest end.

    with TestEngine(directory) as engine:
        engine.load_busybox()
        assert engine.pyke("run", "--rm", "busybox", "echo", "hello").stdout == "hello\\n"

Needs root. The engine starts with the first command, as for every user; when the block ends, all containers and networks are removed,
engine and spawner are ended, and whatever they left on the host is an error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from pyke.paths import Layout
from pyke.testing import leaks

PATIENCE = 60.0  # seconds for a process to end


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit status and what it printed."""

    status: int
    stdout: str
    stderr: str


class TestEngine:
    """One engine below `root`, which need not exist. `environment` is added to what its commands, and so itself, see."""

    __test__ = False  # for pytest, which would collect a class of this name

    def __init__(self, root: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> None:
        self.layout = Layout(os.fspath(root))
        self.environment = {**os.environ, **(environment or {})}
        self._before = leaks.snapshot()

    def __enter__(self) -> TestEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        left = self.close()
        if left and error is None:
            raise AssertionError("the engine left behind:\n  " + "\n  ".join(left))

    def argv(self, *arguments: str) -> list[str]:
        """The command line that runs `pyke` on this engine."""
        return [os.path.join(os.path.dirname(sys.executable), "pyke"), "--root", self.layout.root, *arguments]

    def pyke(
        self, *arguments: str, input: str | None = None, timeout: float = 60.0, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run `pyke ARGUMENTS` and wait for it."""
        done = subprocess.run(
            self.argv(*arguments),
            input="" if input is None else input,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            env={**self.environment, **(environment or {})},
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, input: str | None = None, timeout: float = 60.0) -> str:
        """Run `pyke ARGUMENTS`, which must succeed, and return its output without the last newline."""
        done = self.pyke(*arguments, input=input, timeout=timeout)
        assert done.status == 0, f"pyke {' '.join(arguments)} ended with {done.status}: {done.stdout}{done.stderr}{self.log_tail()}"
        return done.stdout.removesuffix("\n")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `pyke ARGUMENTS` with pipes for its three streams."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.argv(*arguments), stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment)

    def load_busybox(self) -> None:
        """Load the small image `busybox:latest`, made from the host's static busybox."""
        from pyke.testing import images

        archive = os.path.join(self.layout.root, "busybox.tar")
        os.makedirs(self.layout.root, exist_ok=True)
        with open(archive, "wb") as file:
            file.write(images.busybox_image())
        self.ok("load", "-i", archive)
        os.unlink(archive)

    def engine_pid(self) -> int:
        """The engine's process, or 0 when none lives."""
        return _living(os.path.join(self.layout.run, "engine.pid"), self.layout.root)

    def spawner_pid(self) -> int:
        """The spawner's process, or 0 when none lives."""
        return _living(os.path.join(self.layout.run, "spawner.pid"), self.layout.run)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the engine (with SIGKILL: crash it); its containers run on. Idempotent. An AssertionError if it does not end."""
        if not _end(self.engine_pid(), number, self.engine_pid):
            raise AssertionError(f"the engine did not end within {PATIENCE:.0f} s of signal {number} and was killed{self.log_tail()}")

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the engine's log, for a failure's message."""
        with contextlib.suppress(OSError), open(self.layout.engine_log, encoding="utf-8", errors="replace") as file:
            return "\n--- engine.log\n" + "".join(file.readlines()[-lines:])
        return ""

    def empty(self) -> None:
        """Remove all containers and networks, and the volumes that nobody uses then: the next test finds an engine like new."""
        self._remove_all()
        self.ok("volume", "prune", "-a", "-f")

    def close(self) -> list[str]:
        """Remove all, end all, and return what is left on the host: a line for each thing. Idempotent."""
        if os.path.exists(self.layout.database):
            self._remove_all()
        processes = (("engine", self.engine_pid), ("spawner", self.spawner_pid))
        stubborn = [name for name, living in processes if not _end(living(), signal.SIGTERM, living)]
        marks = (self.layout.root, self.layout.tag) if self.layout.tag else (self.layout.root,)
        left = leaks.left_behind(self._before, marks)
        return [*(f"the {name}, which did not end on SIGTERM and was killed{self.log_tail()}" for name in stubborn), *left]

    def _remove_all(self) -> None:
        for lister, remover in ((("ps", "-aq"), ("rm", "-fv")), (("network", "ls", "-q", "-f", "type=custom"), ("network", "rm"))):
            names = self.pyke(*lister).stdout.split()
            done = self.pyke(*remover, *names) if names else None
            if done is not None and done.status != 0:
                sys.stderr.write(f"pyke {' '.join(remover)} failed in {self.layout.root}: {done.stderr}{self.log_tail()}\n")


def _living(pid_file: str, mark: str) -> int:
    """The process that a pid file names, if it lives and its command line carries `mark`: a number may be somebody else's by now."""
    try:
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return pid if os.fsencode(mark) in file.read() else 0
    except (OSError, ValueError):
        return 0


def _end(pid: int, number: int, living: Callable[[], int]) -> bool:
    """Send a process a signal and wait for its end; kill it, and return False, when that takes too long."""
    if not pid:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + PATIENCE
    while living() == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.01)
    return True
