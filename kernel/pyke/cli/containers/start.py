"""`pyke start`: run containers that exist."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.containers import attached
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.session import Session


def _start(session: Session, options: Options) -> int:
    if options.yes("attach") or options.yes("interactive"):
        if len(options.arguments) > 1:
            raise PykeError("you cannot start and attach multiple containers at once")
        return _start_attached(session, options, options.arguments[0])
    failed = []
    for name in options.arguments:
        if session.each([name], lambda name: session.engine.post(f"/containers/{quote(name)}/start")):
            failed.append(name)
    if failed:
        session.fail(PykeError(f"failed to start containers: {', '.join(failed)}"))
    return 1 if failed else 0


def _start_attached(session: Session, options: Options, name: str) -> int:
    container = session.engine.get(f"/containers/{quote(name)}/json")
    identity, config = container["Id"], container["Config"]
    streams = _streams(config, options.yes("interactive"))
    attached.require_terminal(stdin="stdin" in streams, tty=config["Tty"])
    attachment = attached.Attachment(session.engine, identity, tty=config["Tty"], streams=streams, detach_keys=options.text("detach-keys"))
    if options.yes("sig-proxy") and not config["Tty"]:
        attachment.proxy_signals()
    removes = container["HostConfig"].get("AutoRemove")
    waiting = attached.Waiting(session.engine, identity, "removed" if removes else "next-exit")
    attachment.follow_window()
    session.engine.post(f"/containers/{identity}/start")
    return 0 if attachment.pump(waiting).was_left else attached.outcome(session, waiting)


def _streams(config: dict[str, Any], interactive: bool) -> list[str]:
    return ["stdout", "stderr", *(["stdin"] if interactive and config["OpenStdin"] else [])]


START = Command(
    "start",
    "CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    _start,
    [
        Flag("attach", "a", BOOL, "Attach STDOUT/STDERR and forward signals"),
        Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container"),
        Flag("interactive", "i", BOOL, "Attach container's STDIN"),
        Flag("sig-proxy", "", BOOL, "Proxy received signals to the process", True),
    ],
    minimum=1,
    maximum=None,
    examples=("pyke start web", "pyke start -ai shell"),
)
