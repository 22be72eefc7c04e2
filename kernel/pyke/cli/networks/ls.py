"""`pyke network ls`: what networks there are."""

from __future__ import annotations

from pyke.cli import listing
from pyke.cli.flags import BOOL, FILTER, STRING, Command, Flag, Options
from pyke.cli.listing import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session


def _fields(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("NETWORK ID", lambda item: item["Id"] if whole else item["Id"][:12]),
        "Name": ("NAME", lambda item: item["Name"]),
        "Driver": ("DRIVER", lambda item: item["Driver"]),
        "Scope": ("SCOPE", lambda item: item["Scope"]),
        "IPv4": ("IPV4", lambda item: str(bool(item.get("EnableIPv4"))).lower()),
        "IPv6": ("IPV6", lambda item: str(bool(item.get("EnableIPv6"))).lower()),
        "Internal": ("INTERNAL", lambda item: str(bool(item.get("Internal"))).lower()),
        "Labels": ("LABELS", lambda item: ",".join(f"{key}={value}" for key, value in sorted((item.get("Labels") or {}).items()))),
        "Label": ("", lambda item: lambda name: (item.get("Labels") or {}).get(name, "")),
        "CreatedAt": ("CREATED AT", lambda item: created_at(item["Created"])),
    }


def created_at(text: str) -> str:
    """ "2026-11-24T02:51:40.376588286Z" as Go prints an instant: "2026-11-24 02:51:40.376588286 +0000 UTC"."""
    day, _, rest = text.partition("T")
    if rest.endswith("Z"):
        return f"{day} {rest[:-1]} +0000 UTC"
    zone = rest[-6:].replace(":", "")
    return f"{day} {rest[:-6]} {zone} {zone}"


def _list(session: Session, options: Options) -> int:
    items = session.engine.get("/networks", {"filters": options.filters() or None}) or []
    items.sort(key=lambda network: network["Name"])
    view = listing.Listing("*network.networkContext", _fields(options.yes("no-trunc")), ("ID", "Name", "Driver", "Scope"))
    if options.yes("quiet") and not options.text("format"):
        for item in items:
            session.out(str(view.record(item).field("ID")))
        return 0
    listing.show(session, view, items, options.text("format"))
    return 0


LS = Command(
    "network ls",
    "",
    "List networks",
    _list,
    [
        Flag("filter", "f", FILTER, 'Provide filter values (e.g. "driver=bridge")'),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-trunc", "", BOOL, "Do not truncate the output"),
        Flag("quiet", "q", BOOL, "Only display network IDs"),
    ],
)
