"""What a command works with: the engine behind a socket, and the user's terminal."""

from __future__ import annotations

import os
import sys

from pyke.cli.client import Client
from pyke.errors import PykeError
from pyke.paths import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

STDIN, STDOUT, STDERR = 0, 1, 2
MOST_TOGETHER = 16


class Session:
    """One run of the command line. `engine` is its client; nothing connects before the first request."""

    def __init__(self, root: str = "", host: str = "", *, debug: bool = False) -> None:
        self.layout = Layout(root)
        self.engine = Client(self.layout, host)
        self.debug = debug

    def out(self, text: str) -> None:
        """Print a line on stdout, safely: see `neutralise`."""
        write(STDOUT, text + "\n")

    def note(self, text: str) -> None:
        """Print a line on stderr."""
        write(STDERR, text + "\n")

    def fail(self, error: PykeError) -> None:
        """Print an error as every command does: its message, and its hint on a line of its own."""
        message = error.message
        if message.startswith(("pyke: ", "unknown ", "invalid argument ", "flag needs ")) and "\nRun '" in message:
            self.note(message)  # a usage error names the command itself
        else:
            self.note(f"pyke: {message}")
        if error.hint:
            self.note(f"  hint: {error.hint}")

    def each(self, names: Sequence[str], work: Callable[[str], object], *, together: bool = False) -> int:
        """Do `work` to each object named, going on after errors, all at once if `together`. Returns 1 if any failed.

        The names of those done are printed, in the order given, unless `work` returned False.
        """
        status = 0
        for name, outcome in zip(names, self._outcomes(names, work, together), strict=True):
            if isinstance(outcome, PykeError):
                self.fail(outcome)
                status = 1
            elif outcome is not False:
                self.out(name)
        return status

    def _outcomes(self, names: Sequence[str], work: Callable[[str], object], together: bool) -> Iterable[object]:
        def attempt(name: str) -> object:
            try:
                return work(name)
            except PykeError as error:
                return error

        if not together or len(names) < 2:
            return map(attempt, names)
        from concurrent.futures import ThreadPoolExecutor  # 15 ms: not for one

        with ThreadPoolExecutor(MOST_TOGETHER) as pool:
            return list(pool.map(attempt, names))

    def confirm(self, question: str, *, force: bool) -> bool:
        """Ask before something is deleted; `force` answers yes, and so does nothing else."""
        if force:
            return True
        write(STDOUT, f"WARNING! {question}\nAre you sure you want to continue? [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def write(descriptor: int, text: str) -> None:
    """Write text to a descriptor, wholly. On a terminal control characters are neutralised first."""
    if os.isatty(descriptor):
        text = neutralise(text)
    write_bytes(descriptor, text.encode("utf-8", "surrogateescape"))


def write_bytes(descriptor: int, data: bytes) -> None:
    """Write bytes to a descriptor, wholly; also where somebody who shares a terminal with us has made it non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            _wait_until_writable(descriptor)


def _wait_until_writable(descriptor: int) -> None:
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


def neutralise(text: str) -> str:
    """Show control characters in place of obeying them: a container's name or label may not move the cursor or retitle the window.

    Tab and newline stay. C0, DEL and C1 become `\\x1b`-like text; so do the characters that turn the direction of text around.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(character if _is_harmless(character) else _escaped(character) for character in text)


def _is_harmless(character: str) -> bool:
    code = ord(character)
    if code < 0x20 or 0x7F <= code < 0xA0:
        return character in "\n\t"
    return not (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
