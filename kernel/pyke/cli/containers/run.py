"""`pyke run`: create, attach, start, wait, in this order."""

from __future__ import annotations

from pyke.cli.client import ApiError, quote
from pyke.cli.containers import attached
from pyke.cli.containers.create import create_container
from pyke.cli.containers.create_flags import RUN_FLAGS
from pyke.cli.flags import Command, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session

FAILED, NOT_EXECUTABLE, NOT_THERE = 125, 126, 127


def _run(session: Session, options: Options) -> int:
    if options.yes("detach"):
        if options.texts("attach"):
            session.fail(PykeError("conflicting options: cannot specify both --attach and --detach"))
            return 1
        return _run_detached(session, options)
    streams = options.texts("attach") or ["stdout", "stderr", *(["stdin"] if options.yes("interactive") else [])]
    try:
        attached.require_terminal(stdin="stdin" in streams, tty=options.yes("tty"))
    except PykeError as error:
        session.fail(error)
        return 1
    return _run_attached(session, options, streams)


def _run_detached(session: Session, options: Options) -> int:
    container = create_container(session, options, detached=True)
    try:
        _start(session, container)
    except ApiError as error:
        session.fail(error)
        return start_failure(error.message)
    finally:
        session.out(container)
    return 0


def _start(session: Session, container: str) -> None:
    session.engine.post(f"/containers/{container}/start")


def start_failure(message: str) -> int:
    """The exit status for a container that did not start, from the engine's words as Docker's client has it: a shell's 126 and 127."""
    if any(words in message for words in ("executable file not found", "no such file or directory", "system cannot find the file")):
        return NOT_THERE
    if any(words in message for words in ("permission denied", "is a directory", "exec format error")):
        return NOT_EXECUTABLE
    return FAILED


def _run_attached(session: Session, options: Options, streams: list[str]) -> int:
    container, tty, removes = create_container(session, options), options.yes("tty"), options.yes("rm")
    attachment = attached.Attachment(session.engine, container, tty=tty, streams=streams, detach_keys=options.text("detach-keys"))
    if options.yes("sig-proxy") and not tty:
        attachment.proxy_signals()
    waiting = attached.Waiting(session.engine, container, "removed" if removes else "next-exit")
    try:
        _start(session, container)
    except ApiError as error:
        attachment.connection.close()
        session.fail(error)
        if removes:
            _forget(session, container)
        return start_failure(error.message)
    attachment.follow_window()
    return 0 if attachment.pump(waiting).was_left else attached.outcome(session, waiting)


def _forget(session: Session, container: str) -> None:
    """Remove a `--rm` container that never ran. The engine may have done so already, or be about to."""
    try:
        session.engine.call("DELETE", f"/containers/{quote(container)}", {"v": True, "force": True})
    except ApiError:
        return


RUN = Command(
    "run",
    "IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    _run,
    RUN_FLAGS,
    minimum=1,
    maximum=None,
    passes_rest=True,
    examples=(
        "pyke run --rm -it busybox sh",
        "pyke run -d --name web --network mybridge -p 8080:80 nginx",
        "pyke run --rm -v data:/data --memory 64m --cpus 0.5 busybox ls /data",
    ),
)
