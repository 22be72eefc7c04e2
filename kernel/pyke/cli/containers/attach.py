"""`pyke attach`: one's own terminal on a running container."""

from __future__ import annotations

from pyke.cli.client import ApiError, quote
from pyke.cli.containers import attached
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _attach(session: Session, options: Options) -> int:
    container = session.engine.get(f"/containers/{quote(options.arguments[0])}/json")
    state, config = container["State"], container["Config"]
    for refusal, words in (("Restarting", "a restarting"), ("Paused", "a paused")):
        if state.get(refusal):
            raise PykeError(f"You cannot attach to {words} container, wait for it to run again", hint=f"pyke logs {options.arguments[0]}")
    if not state["Running"]:
        raise PykeError("You cannot attach to a stopped container, start it first", hint=f"pyke start {options.arguments[0]}")
    takes_input = config["OpenStdin"] and not options.yes("no-stdin")
    attached.require_terminal(stdin=takes_input, tty=config["Tty"])
    streams = ["stdout", "stderr", *(["stdin"] if takes_input else [])]
    attachment = attached.Attachment(
        session.engine, container["Id"], tty=config["Tty"], streams=streams, detach_keys=options.text("detach-keys")
    )
    if options.yes("sig-proxy") and not config["Tty"]:
        attachment.proxy_signals()
    waiting = attached.Waiting(session.engine, container["Id"], "not-running")
    attachment.follow_window(redraw=True)
    pump = attachment.pump(waiting)
    if pump.was_left:
        raise PykeError("read escape sequence")
    return _exit_status(session, container["Id"]) if pump.has_input_ended and not config["StdinOnce"] else waiting.result()


def _exit_status(session: Session, container: str) -> int:
    """The container's, or 0 if it runs on, and was left because our stdin had ended."""
    try:
        state = session.engine.get(f"/containers/{container}/json")["State"]
    except ApiError:
        return 0  # it was removed as soon as it ended
    return 0 if state["Running"] else int(state["ExitCode"])


ATTACH = Command(
    "attach",
    "CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    _attach,
    [
        Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container"),
        Flag("no-stdin", "", BOOL, "Do not attach STDIN"),
        Flag("sig-proxy", "", BOOL, "Proxy all received signals to the process", True),
    ],
    minimum=1,
    maximum=1,
)
