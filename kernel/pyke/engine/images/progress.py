"""Docker's progress objects, from whoever works to whoever watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

BAR = 50
UNITS = ("B", "kB", "MB", "GB", "TB")
Tell = Callable[[dict[str, Any]], None]


def message(status: str, id: str = "", *, current: int = 0, total: int = 0) -> dict[str, Any]:
    """One object: {"status", "id", "progressDetail", "progress"}; bytes."""
    if not id:
        return {"status": status}
    detail = {"current": current, "total": total} if current else {}
    bar = {"progress": _bar(current, total)} if current else {}
    return {"status": status, "progressDetail": detail, **bar, "id": id}


def _bar(current: int, total: int) -> str:
    """ "[====>      ]  1.2MB/3.4MB", as Docker's own clients would draw it."""
    if total <= 0:
        return f"{_size(current):>8}"
    filled = min(BAR, current * BAR // total)
    return f"[{'=' * filled}{'>' if filled < BAR else ''}{' ' * (BAR - filled - 1)}]  {_size(current):>8}/{_size(total)}"


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.4g}{UNITS[unit]}"


class Work:
    """Work in a thread of its own, the progress of which is iterated over; its error is raised at the end.

    `close` may come from any thread, and asks the work to give up: `is_cancelled` is what it looks at, `cancelled` what it waits on.
    """

    def __init__(self, name: str, work: Callable[[Work], None]) -> None:
        self._work = work
        self._messages: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._error: BaseException | None = None
        self.cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def tell(self, message: dict[str, Any]) -> None:
        """Let the watcher know."""
        self._messages.put(message)

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled.is_set()

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # carried to the thread that watches
            self._error = error
        finally:
            self._messages.put(None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (each := self._messages.get()) is not None:
            yield each
        if self._error is not None and not self.is_cancelled:
            raise self._error

    def close(self) -> None:
        """Nobody watches any more."""
        self.cancelled.set()
        self._messages.put(None)

    def join(self, seconds: float) -> None:
        """Wait until the work has ended."""
        self._thread.join(seconds)
