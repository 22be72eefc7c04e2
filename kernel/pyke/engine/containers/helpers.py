"""A process that does one job on a container's files (`pyke.files.helper`), as the engine holds it.

The engine itself touches nothing of a container's, and waits for nobody without a deadline: a volume on a network file system may hang.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import struct
import subprocess
import time
from collections.abc import Iterator
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from pyke import errors
from pyke.errors import PykeError
from pyke.files.helper import command
from pyke.launch import PATH

ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8"}
PATIENCE = 60.0  # seconds without a byte from it, or without one that it takes
COMPARING = 600.0  # seconds until the answer of one that looks at every file that a container changed, or writes all that it was given
PIECE = 1 << 18  # bytes
PIPE_SIZE = 1 << 20
LONGEST_ANSWER = 64 << 20  # bytes: every path that a container changed


@runtime_checkable
class Movable(Protocol):
    """A stream that can move its bytes into a pipe without anybody's looking at them."""

    def move(self, pipe: int) -> bool:
        """Move some bytes into a pipe that has room; False at the end."""


class Helper:
    """One job, from its start to its end. Used in a `with`: what is not finished by then is killed."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._container = str(job["name"])
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command(), stdin=pipe, stdout=pipe, env=ENVIRONMENT, cwd="/", bufsize=0)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._ahead = b""  # what was read beyond the answer
        os.set_blocking(self._input, False)
        for pipe_end in (self._input, self._output):
            with contextlib.suppress(OSError):  # as large as it may be: fewer switches between the two processes
                fcntl.fcntl(pipe_end, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        text = json.dumps(job).encode()
        with contextlib.suppress(BrokenPipeError):  # it is dead: `answer` says so
            self._write(struct.pack(">I", len(text)) + text)

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def feed(self, stream: BufferedIOBase) -> None:
        """Give it a stream to its end, or as far as it wants to have it."""
        with contextlib.suppress(BrokenPipeError):
            if isinstance(stream, Movable):
                self._await(self._input, select.POLLOUT, PATIENCE)
                while stream.move(self._input):
                    self._await(self._input, select.POLLOUT, PATIENCE)
            else:
                while piece := stream.read(PIECE):
                    self._write(piece)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """What it has to say, within `patience` seconds. Raises what it raised."""
        line = bytearray(self._read(patience))
        while b"\n" not in line and len(line) < LONGEST_ANSWER and (piece := self._read(PATIENCE)):
            line += piece
        text, newline, self._ahead = bytes(line).partition(b"\n")
        if not newline:
            raise PykeError(f"the process that works on the files of container {self._container} died", hint="pyke info")
        answer: dict[str, Any] = json.loads(text)
        if answer["error"]:
            kind: type[PykeError] = getattr(errors, answer["error"])
            raise kind(answer["message"], hint=answer["hint"])
        return answer

    def pieces(self) -> Iterator[bytes]:
        """The tar that follows its answer. Raises `PykeError` when it is not whole."""
        if self._ahead:
            yield self._ahead
        while piece := self._read(PATIENCE):
            yield piece
        if self._process.wait(PATIENCE):
            raise PykeError(f"the files of container {self._container} could not be read to their end", hint="pyke info")

    def close(self) -> None:
        """End it, if it has not ended; idempotent."""
        if self._process.returncode is None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in a file system, and dies when that lets go of it
            self._process.wait(1.0)

    def _read(self, patience: float) -> bytes:
        self._await(self._output, select.POLLIN, patience)
        return os.read(self._output, PIECE)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._await(self._input, select.POLLOUT, PATIENCE)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._input, view) :]

    def _await(self, descriptor: int, event: int, patience: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        deadline = time.monotonic() + patience
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise PykeError(
                f"the files of container {self._container} do not answer: a volume or bind of it hangs",
                hint=f"pyke inspect -f '{{{{json .Mounts}}}}' {self._container}",
            )
