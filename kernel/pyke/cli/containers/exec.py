"""`pyke exec`: run a command in a running container."""

from __future__ import annotations

import os

from pyke.cli.client import ATTEMPTS, ApiError, quote
from pyke.cli.containers import streams, terminal
from pyke.cli.containers.attached import require_terminal
from pyke.cli.files import environment
from pyke.cli.flags import BOOL, LIST, STRING, Command, Flag, Options
from pyke.cli.session import STDIN, STDOUT
from pyke.errors import EngineUnavailable, PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.client import Client, Connection
    from pyke.cli.session import Session

NOT_FOUND = 404
LOST: dict[str, Any] = {"Error": "its engine was killed", "ExitCode": 126}  # before anybody could know how it ended


def _exec(session: Session, options: Options) -> int:
    detached, tty, interactive = options.yes("detach"), options.yes("tty"), options.yes("interactive") and not options.yes("detach")
    require_terminal(stdin=interactive, tty=tty)
    container, *command = options.arguments
    start = {"Detach": detached, "Tty": tty}
    path, connection = _started(session.engine, f"/containers/{quote(container)}/exec", _request(options, command, interactive), start)
    if detached:
        connection.close()
        return 0
    if tty and os.isatty(STDOUT):
        _follow_window(session, path)
    with terminal.Raw(STDIN, wanted=tty and interactive):
        pump = streams.Pump(
            connection,
            stdin=interactive,
            framed=not tty,
            stdin_terminal=os.isatty(STDIN),
            detach_keys=options.text("detach-keys"),
        )
        pump.run()
    connection.close()
    if pump.was_left:
        raise PykeError("read escape sequence")
    found = _look(session.engine, path) or LOST
    if found.get("Error") and not pump.has_received:  # the engine was killed before it could bring us together
        session.fail(PykeError(f"the command in {container} was not run to its end: {found['Error']}", hint=f"pyke ps -f name={container}"))
    return int(found.get("ExitCode") or 0)


def _started(engine: Client, path: str, request: dict[str, Any], start: dict[str, Any]) -> tuple[str, Connection]:
    """Have a command created and started: its path, and the connection to it.

    One that was not started yet is lost with its engine. The next engine knows whether it was.
    """
    for attempt in range(1, ATTEMPTS + 1):
        created = f"/exec/{engine.post(path, body=request)['Id']}"
        try:
            return created, engine.hijack(f"{created}/start", body=start)
        except (ApiError, EngineUnavailable):
            if attempt == ATTEMPTS or _look(engine, created) is not None:
                raise
    raise AssertionError("the last attempt raises another error")


def _look(engine: Client, path: str) -> dict[str, Any] | None:
    """What an engine knows of the command; None where it was lost with the engine before."""
    try:
        return dict(engine.get(f"{path}/json"))
    except ApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _request(options: Options, command: list[str], interactive: bool) -> dict[str, Any]:
    detached = options.yes("detach")
    return {
        "AttachStdin": interactive,
        "AttachStdout": not detached,
        "AttachStderr": not detached,
        "Cmd": command,
        "ConsoleSize": list(terminal.size(STDOUT)) if options.yes("tty") else None,
        "Detach": detached,
        "DetachKeys": options.text("detach-keys"),
        "Env": environment(options),
        "Privileged": options.yes("privileged"),
        "Tty": options.yes("tty"),
        "User": options.text("user"),
        "WorkingDir": options.text("workdir"),
    }


def _follow_window(session: Session, path: str) -> None:
    def resize() -> None:
        rows, columns = terminal.size(STDOUT)
        try:
            session.engine.post(f"{path}/resize", {"h": rows, "w": columns})
        except PykeError:
            return  # the command has just ended: its size is nobody's trouble

    resize()
    terminal.on_resize(resize)


EXEC = Command(
    "exec",
    "CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    _exec,
    [
        Flag("detach", "d", BOOL, "Detached mode: run command in the background"),
        Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container"),
        Flag("env", "e", LIST, "Set environment variables"),
        Flag("env-file", "", LIST, "Read in a file of environment variables"),
        Flag("interactive", "i", BOOL, "Keep STDIN open even if not attached"),
        Flag("privileged", "", BOOL, "Give extended privileges to the command"),
        Flag("tty", "t", BOOL, "Allocate a pseudo-TTY"),
        Flag("user", "u", STRING, "Username or UID (format: <name|uid>[:<group|gid>])"),
        Flag("workdir", "w", STRING, "Working directory inside the container"),
    ],
    minimum=2,
    maximum=None,
    passes_rest=True,
    examples=("pyke exec -it web sh", "pyke exec -u nobody -w /tmp web id"),
)
