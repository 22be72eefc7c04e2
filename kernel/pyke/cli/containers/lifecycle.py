"""`stop`, `kill`, `restart`, `pause`, `unpause`, `rm`, `rename`, `wait`: each asks the engine one thing for each container named."""

from __future__ import annotations

from pyke.cli.client import ApiError, quote
from pyke.cli.containers.attached import Waiting
from pyke.cli.flags import BOOL, INT, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session

NOT_FOUND = 404


def _act(session: Session, options: Options, action: str, query: dict[str, object] | None = None) -> int:
    """POST an action for all containers named, side by side: ten seconds for one to stop are not forty for four."""
    return session.each(options.arguments, lambda name: session.engine.post(f"/containers/{quote(name)}/{action}", query), together=True)


def _stop(session: Session, options: Options) -> int:
    return _act(session, options, "stop", _stop_query(options))


def _restart(session: Session, options: Options) -> int:
    return _act(session, options, "restart", _stop_query(options))


def _stop_query(options: Options) -> dict[str, object]:
    name = "timeout" if options.given("timeout") else "time"
    return {"t": options.number(name) if options.given(name) else None, "signal": options.text("signal") or None}


def _kill(session: Session, options: Options) -> int:
    return _act(session, options, "kill", {"signal": options.text("signal")})


def _pause(session: Session, options: Options) -> int:
    return _act(session, options, "pause")


def _unpause(session: Session, options: Options) -> int:
    return _act(session, options, "unpause")


def _remove(session: Session, options: Options) -> int:
    force = options.yes("force")
    query = {"force": force, "v": options.yes("volumes"), "link": options.yes("link")}

    def remove(name: str) -> bool:
        try:
            session.engine.call("DELETE", f"/containers/{quote(name)}", query)
        except ApiError as error:
            if not (force and error.status == NOT_FOUND):
                raise
            session.fail(error)  # with -f it is as it should be: said, but no failure
            return False
        return True

    return session.each(options.arguments, remove, together=True)


def _rename(session: Session, options: Options) -> int:
    old, new = options.arguments
    try:
        session.engine.post(f"/containers/{quote(old)}/rename", {"name": new})
    except ApiError as error:
        session.fail(error)
        raise PykeError(f"failed to rename container named {old}") from error
    return 0


def _wait(session: Session, options: Options) -> int:
    def wait(name: str) -> bool:
        session.out(str(Waiting(session.engine, name, "not-running").result()))
        return False

    return session.each(options.arguments, wait)


_MANY = "CONTAINER [CONTAINER...]"
_STOP_FLAGS = [
    Flag("signal", "s", STRING, "Signal to send to the container"),
    Flag("time", "", INT, "The same as --timeout"),
    Flag("timeout", "t", INT, "Seconds to wait before killing the container"),
]

STOP = Command("stop", _MANY, "Stop one or more running containers", _stop, _STOP_FLAGS, minimum=1, maximum=None)
RESTART = Command("restart", _MANY, "Restart one or more containers", _restart, _STOP_FLAGS, minimum=1, maximum=None)
KILL = Command(
    "kill",
    _MANY,
    "Kill one or more running containers",
    _kill,
    [Flag("signal", "s", STRING, "Signal to send to the container", "KILL")],
    minimum=1,
    maximum=None,
)
PAUSE = Command("pause", _MANY, "Pause all processes within one or more containers", _pause, minimum=1, maximum=None)
UNPAUSE = Command("unpause", _MANY, "Unpause all processes within one or more containers", _unpause, minimum=1, maximum=None)
REMOVE = Command(
    "rm",
    _MANY,
    "Remove one or more containers",
    _remove,
    [
        Flag("force", "f", BOOL, "Force the removal of a running container (uses SIGKILL)"),
        Flag("link", "l", BOOL, "Remove the specified link"),
        Flag("volumes", "v", BOOL, "Remove anonymous volumes associated with the container"),
    ],
    minimum=1,
    maximum=None,
)
RENAME = Command("rename", "CONTAINER NEW_NAME", "Rename a container", _rename, minimum=2, maximum=2)
WAIT = Command("wait", _MANY, "Block until one or more containers stop, then print their exit codes", _wait, minimum=1, maximum=None)
