"""What a monitor leaves behind for an engine that is away, a record of the end and a call; and its last words to a client."""

from __future__ import annotations

import contextlib
import json
import os

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def record(end: dict[str, Any], *paths: str) -> None:
    """Write `end` to the first of `paths` that takes it, atomically, but without fsync(2): if the machine goes down, it is over anyway.

    A full disk must not lose the status: the run directory, in memory, comes last.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(end, file)
            os.replace(path + ".new", path)
            return


def wake(argv: list[str]) -> None:
    """Start an engine, which finds the record."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    with contextlib.suppress(OSError):  # then the next command starts one
        os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=actions, setsid=True)


def given_up(exec_directory: str) -> dict[str, Any]:
    """Why nothing was started: of a container, or of an exec, which has a directory below its container's."""
    if not exec_directory:
        return {"message": "the start was given up", "hint": "", "exit_status": 125}
    container = exec_directory.split("/")[-3][:12]
    message = f"the command was not run: the engine was killed, or gave up, before it was started in container {container}"
    return {"message": message, "hint": f"pyke ps -a -f id={container}", "exit_status": 125, "is_given_up": True}


def last_words(failure: dict[str, Any] | None) -> tuple[bytes, int]:
    """What an exec's client is told of its failure, and on which output: on stdout where Docker says the same."""
    if not failure:
        return b"", 1
    if failure.get("is_given_up"):
        return f"pyke: {failure['message']}\r\n  hint: {failure['hint']}\r\n".encode(), 2
    return f"{failure['message']}\r\n".encode(), 1
