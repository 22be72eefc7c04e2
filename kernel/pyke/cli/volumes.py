"""`pyke volume create|ls|rm`."""

from __future__ import annotations

from pyke.cli import listing
from pyke.cli.client import quote
from pyke.cli.files import pairs
from pyke.cli.flags import BOOL, FILTER, LIST, STRING, Command, Flag, Options
from pyke.cli.listing import FORMAT_HELP
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session


def _unknown(_item: object) -> str:
    return "N/A"


FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Name": ("VOLUME NAME", lambda item: item["Name"]),
    "Driver": ("DRIVER", lambda item: item["Driver"]),
    "Scope": ("SCOPE", lambda item: item.get("Scope", "local")),
    "Mountpoint": ("MOUNTPOINT", lambda item: item.get("Mountpoint", "")),
    "Labels": ("LABELS", lambda item: ",".join(f"{key}={value}" for key, value in sorted((item.get("Labels") or {}).items()))),
    "Label": ("", lambda item: lambda name: (item.get("Labels") or {}).get(name, "")),
    # What a listing does not tell; Docker's has these fields as well.
    "Availability": ("AVAILABILITY", _unknown),
    "Group": ("GROUP", _unknown),
    "Links": ("LINKS", _unknown),
    "Size": ("SIZE", _unknown),
    "Status": ("STATUS", _unknown),
}


def _list(session: Session, options: Options) -> int:
    answer = session.engine.get("/volumes", {"filters": options.filters() or None})
    for warning in answer.get("Warnings") or []:
        session.note(f"WARNING: {warning}")
    items = sorted(answer.get("Volumes") or [], key=lambda volume: str(volume["Name"]))
    if options.yes("quiet") and not options.text("format"):
        for item in items:
            session.out(item["Name"])
        return 0
    listing.show(session, listing.Listing("*formatter.volumeContext", FIELDS, ("Driver", "Name")), items, options.text("format"))
    return 0


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


LS = Command(
    "volume ls",
    "",
    "List volumes",
    _list,
    [
        Flag("filter", "f", FILTER, 'Provide filter values (e.g. "dangling=true")'),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("quiet", "q", BOOL, "Only display volume names"),
    ],
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
        Flag("opt", "o", LIST, "Set driver specific options"),
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
