"""Somebody at a keyboard: a terminal with a program in it, driven as a user would. Needs pexpect."""

from __future__ import annotations

import termios
from collections.abc import Mapping, Sequence

import pexpect  # type: ignore[import-untyped]

ROWS, COLUMNS = 24, 80
PROMPT = r"/ # \x1b\[6n"  # busybox asks where the cursor is, and goes on without an answer
REDRAWN = r"/ # \x1b\[J"
DETACH = "\x10\x11"
PATIENCE = 60  # seconds until something shows


class Keyboard:
    """A terminal with the program `argv` in it."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (ROWS, COLUMNS)) -> None:
        program, *words = argv
        self.child = pexpect.spawn(program, words, dimensions=size, timeout=PATIENCE, env={**environment, "TERM": "xterm"})
        self.child.delaybeforesend = None

    def sees(self, pattern: str) -> str:
        """Wait until the screen shows `pattern`, and return what came before it."""
        self.child.expect(pattern)
        return str(self.child.before.decode())

    def types(self, text: str) -> None:
        self.child.send(text)

    def runs(self, line: str) -> str:
        """Type a command at a shell's prompt and return what it printed."""
        self.types(line + "\r")
        return self.sees(PROMPT).partition("\r\n")[2].replace("\x1b[6n", "").strip()

    def runs_until(self, line: str, shown: str) -> None:
        """Run a command again and again until it shows `shown` and nothing else."""
        for _ in range(PATIENCE * 5):
            if self.runs(f"{line}; sleep 0.2") == shown:
                return
        raise AssertionError(f"{line} does not show {shown!r}")

    def ends(self) -> int:
        """Wait for the program's end; its exit status, as a shell says it."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return 128 + self.child.signalstatus if self.child.signalstatus else int(self.child.exitstatus)

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.child.child_fd)[3] & (termios.ECHO | termios.ICANON)
