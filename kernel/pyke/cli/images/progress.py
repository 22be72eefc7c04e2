"""The progress that an engine streams while it pulls or loads: redrawn in place on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import os

from pyke.cli import units
from pyke.cli.session import neutralise, write, write_bytes
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

BAR = 50
DEFAULT_WIDTH = 80


def show(messages: Iterable[dict[str, Any]], descriptor: int, *, quiet: bool = False) -> list[dict[str, Any]]:
    """Show Docker's progress objects as they come. Returns the `aux` ones; PykeError for the one that is an error."""
    display = _Silent() if quiet else _Terminal(descriptor) if os.isatty(descriptor) else _Lines(descriptor)
    extra = []
    for message in messages:
        if error := message.get("errorDetail") or message.get("error"):
            details = error if isinstance(error, dict) else {"message": message.get("error")}
            raise PykeError(str(details.get("message") or message.get("error")), hint=str(details.get("hint") or message.get("hint") or ""))
        if message.get("aux"):
            extra.append(message["aux"])
        else:
            display.show(message)
    return extra


class _Silent:
    def show(self, message: dict[str, Any]) -> None:
        """Nothing."""


class _Lines(_Silent):
    """For a file or a pipe: what has happened, not how far it is."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def show(self, message: dict[str, Any]) -> None:
        """Print a message, unless it is about something under way."""
        if stream := message.get("stream"):
            write(self.descriptor, stream)
        elif message.get("status") and not message.get("progress") and not (message.get("progressDetail") or {}).get("current"):
            write(self.descriptor, _line(message) + "\n")


class _Terminal(_Silent):
    """For a terminal: one line for each layer, redrawn where it is."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lines: list[str] = []

    def show(self, message: dict[str, Any]) -> None:
        """Print a message: in the line of its layer if it has an ID, else below all."""
        if stream := message.get("stream"):
            write(self.descriptor, stream)
        elif not message.get("id"):
            write(self.descriptor, _line(message) + "\n")
            self.lines.clear()  # what is above can no longer be reached
        else:
            self._redraw(message["id"], neutralise(_line(message) + _bar(message)).replace("\n", " "))

    def _redraw(self, identity: str, text: str) -> None:
        width = _width(self.descriptor)
        if identity not in self.lines:
            self.lines.append(identity)
            write_bytes(self.descriptor, b"\n")
        up = len(self.lines) - self.lines.index(identity)
        write_bytes(self.descriptor, f"\x1b[{up}A\r\x1b[2K{text[: width - 1]}\r\x1b[{up}B".encode())


def _width(descriptor: int) -> int:
    try:
        return os.get_terminal_size(descriptor).columns or DEFAULT_WIDTH
    except OSError:
        return DEFAULT_WIDTH


def _line(message: dict[str, Any]) -> str:
    identity = f"{message['id']}: " if message.get("id") else ""
    return f"{identity}{message.get('status', '')}"


def _bar(message: dict[str, Any]) -> str:
    detail = message.get("progressDetail") or {}
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if not current:
        return f" {message['progress']}" if message.get("progress") else ""
    if total <= 0:
        return f" {units.human_size(current)}"
    filled = min(BAR, current * BAR // total)
    return f" [{'=' * filled}>{' ' * (BAR - filled)}] {units.human_size(current):>8}/{units.human_size(total)}"
