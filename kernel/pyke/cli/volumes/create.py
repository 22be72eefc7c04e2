"""`pyke volume create` and `pyke volume rm`."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.files import pairs
from pyke.cli.flags import BOOL, LIST, MAP, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _create(session: Session, options: Options) -> int:
    if options.arguments and options.given("name"):
        raise PykeError("conflicting options: cannot specify a volume-name through both --name and as a positional arg")
    body = {
        "Name": options.arguments[0] if options.arguments else options.text("name"),
        "Driver": options.text("driver"),
        "DriverOpts": pairs(options.texts("opt")),
        "Labels": pairs(options.texts("label")),
    }
    session.out(session.engine.post("/volumes/create", body=body)["Name"])
    return 0


def _remove(session: Session, options: Options) -> int:
    return session.each(
        options.arguments, lambda name: session.engine.call("DELETE", f"/volumes/{quote(name)}", {"force": options.yes("force")})
    )


CREATE = Command(
    "volume create",
    "[VOLUME]",
    "Create a volume",
    _create,
    [
        Flag("driver", "d", STRING, "Specify volume driver name", "local"),
        Flag("label", "", LIST, "Set metadata for a volume"),
        Flag("name", "", STRING, "Specify volume name"),
        Flag("opt", "o", MAP, "Set driver specific options"),
    ],
    maximum=1,
    examples=("pyke volume create data", "pyke volume create -d sshfs -o sshcmd=user@host:/path remote"),
)
REMOVE = Command(
    "volume rm",
    "VOLUME [VOLUME...]",
    "Remove one or more volumes",
    _remove,
    [Flag("force", "f", BOOL, "Force the removal of one or more volumes")],
    minimum=1,
    maximum=None,
)
