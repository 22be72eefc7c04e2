"""`pyke volume ls`: what volumes there are."""

from __future__ import annotations

from pyke.cli import listing
from pyke.cli.flags import BOOL, FILTER, STRING, Command, Flag, Options
from pyke.cli.listing import FORMAT_HELP

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
