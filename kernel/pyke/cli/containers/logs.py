"""`pyke logs`: what a container printed."""

from __future__ import annotations

from pyke.cli import follow
from pyke.cli.client import quote
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _logs(session: Session, options: Options) -> int:
    path = f"/containers/{quote(options.arguments[0])}"
    query = {
        "stdout": True,
        "stderr": True,
        "follow": options.yes("follow"),
        "timestamps": options.yes("timestamps"),
        "details": options.yes("details"),
        "tail": options.text("tail"),
        "since": options.moment("since"),
        "until": options.moment("until"),
    }
    tty = session.engine.get(f"{path}/json")["Config"]["Tty"]
    follow.copy_log(session.engine, f"{path}/logs", query, framed=not tty)
    return 0


LOGS = Command(
    "logs",
    "CONTAINER",
    "Fetch the logs of a container",
    _logs,
    [
        Flag("details", "", BOOL, "Show extra details provided to logs"),
        Flag("follow", "f", BOOL, "Follow log output"),
        Flag("since", "", STRING, 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
        Flag("tail", "n", STRING, "Number of lines to show from the end of the logs", "all"),
        Flag("timestamps", "t", BOOL, "Show timestamps"),
        Flag("until", "", STRING, 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'),
    ],
    minimum=1,
    maximum=1,
    examples=("pyke logs --tail 20 -f web", "pyke logs --since 10m web"),
)
