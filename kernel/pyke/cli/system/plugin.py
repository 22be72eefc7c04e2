"""`pyke plugin ls`: what is installed, and what is wrong with it."""

from __future__ import annotations

from pyke.cli import listing
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.listing import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Name": ("NAME", lambda item: item["Name"]),
    "Version": ("VERSION", lambda item: item.get("Version", "")),
    "Drivers": ("DRIVERS", lambda item: _drivers(item.get("Drivers") or {})),
    "Status": ("STATUS", lambda item: "broken" if item.get("Problem") else "ok"),
    "Problem": ("PROBLEM", lambda item: item.get("Problem", "")),
}


def _drivers(families: dict[str, list[str]]) -> str:
    return ", ".join(f"{family}: {' '.join(names)}" for family, names in sorted(families.items()))


def _list(session: Session, options: Options) -> int:
    items = sorted(session.engine.get("/pyke/plugins") or [], key=lambda plugin: str(plugin["Name"]))
    if options.yes("quiet") and not options.text("format"):
        for item in items:
            session.out(item["Name"])
        return 0
    view = listing.Listing("*plugin.Context", FIELDS, ("Name", "Version", "Drivers", "Status"))
    listing.show(session, view, items, options.text("format"))
    broken = [item for item in items if item.get("Problem")]
    for item in broken if not options.text("format") else []:
        session.note(f"\nplugin {item['Name']} is broken:\n{item['Problem'].rstrip()}")
    return 0


LS = Command(
    "plugin ls",
    "",
    "List installed plugins",
    _list,
    [
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),  # nothing of it is ever cut
        Flag("quiet", "q", BOOL, "Only display plugin names"),
    ],
)
