"""The user's terminal: raw mode, its size, and its restoration on every way out."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would bring `enum` with it: 4 ms
import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any


def size(descriptor: int) -> tuple[int, int]:
    """Rows and columns of a terminal; (0, 0) if the descriptor is none."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return 0, 0
    return rows, columns


class Raw:
    """A terminal in raw mode inside a `with`: keys go through unread, ^C too. If `wanted` is false, or elsewhere than on a
    terminal, it does nothing."""

    def __init__(self, descriptor: int, *, wanted: bool = True) -> None:
        self.descriptor = descriptor
        self._wanted = wanted and os.isatty(descriptor)
        self._saved: list[Any] | None = None

    def __enter__(self) -> Raw:
        if self._wanted:
            self._saved = termios.tcgetattr(self.descriptor)
            for number in (_signal.SIGTERM, _signal.SIGHUP):
                _signal.signal(number, _leave)
            _signal.signal(_signal.SIGTSTP, self._suspend)
            self._set_raw()
        return self

    def _set_raw(self) -> None:
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, raw_mode(termios.tcgetattr(self.descriptor)))

    def _suspend(self, _number: int, _frame: object) -> None:
        """Somebody stops us (^Z itself goes to the container): the shell gets its terminal as it was, and we get ours when we go on."""
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved or termios.tcgetattr(self.descriptor))
        os.kill(os.getpid(), _signal.SIGSTOP)
        self._saved = termios.tcgetattr(self.descriptor)
        self._set_raw()
        os.kill(os.getpid(), _signal.SIGWINCH)  # the window may be another size now, and the screen shows what a shell left on it

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal its mode back; a second time does nothing."""
        if self._saved is not None:
            _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)
            # Not TCSAFLUSH: what the user typed ahead belongs to the shell.
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)
            self._saved = None


def _leave(number: int, _frame: object) -> None:
    """Left alone, these signals would end us with the terminal still raw."""
    raise SystemExit(128 + number)


def raw_mode(mode: list[Any]) -> list[Any]:
    """What cfmakeraw(3) does to the attributes of a terminal: the container's own pty does all the processing."""
    input_flags, output_flags, control_flags, local_flags, input_speed, output_speed, characters = mode
    input_flags &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
    input_flags &= ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
    output_flags &= ~termios.OPOST
    local_flags &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    control_flags = (control_flags & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [input_flags, output_flags, control_flags, local_flags, input_speed, output_speed, characters]


def on_resize(action: Callable[[], object]) -> None:
    """Call `action` whenever the window changes its size."""
    _signal.signal(_signal.SIGWINCH, lambda _number, _frame: action())
