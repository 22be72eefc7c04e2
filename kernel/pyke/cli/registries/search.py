"""`search`: what a registry has to offer."""

from __future__ import annotations

from pyke.cli import listing
from pyke.cli.flags import BOOL, FILTER, INT, STRING, Command, Flag, Options
from pyke.cli.listing import FORMAT_HELP
from pyke.cli.registries import credentials
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

DESCRIPTION_WIDTH = 45


def _fields(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "Name": ("NAME", lambda item: item["name"]),
        "Description": ("DESCRIPTION", lambda item: _shortened(item["description"], whole)),
        "StarCount": ("STARS", lambda item: str(item["star_count"])),
        "IsOfficial": ("OFFICIAL", lambda item: "[OK]" if item["is_official"] else ""),
        "IsAutomated": ("AUTOMATED", lambda item: "[OK]" if item.get("is_automated") else ""),
    }


def _shortened(text: str, whole: bool) -> str:
    shown = " ".join(text.split())
    return shown if whole or len(shown) <= DESCRIPTION_WIDTH else shown[: DESCRIPTION_WIDTH - 1] + "…"


def _search(session: Session, options: Options) -> int:
    term, limit = options.arguments[0], options.number("limit") or 25
    if not 1 <= limit <= 100:
        raise PykeError(f"limit {limit} is outside the range of [1, 100]")
    query = {"term": term, "limit": limit, "filters": options.filters() or None}
    reply = session.engine.open("GET", "/images/search", query, headers=credentials.header(credentials.registry_of(term)))
    found = next(reply.json_values(), None) or []
    found.sort(key=lambda item: -item["star_count"])
    view = listing.Listing("*formatter.searchContext", _fields(options.yes("no-trunc")), ("Name", "Description", "StarCount", "IsOfficial"))
    listing.show(session, view, found, options.text("format"))
    return 0


SEARCH = Command(
    "search",
    "TERM",
    "Search Docker Hub for images",
    _search,
    [
        Flag("filter", "f", FILTER, "Filter output based on conditions provided"),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("limit", "", INT, "Max number of search results"),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
    ],
    minimum=1,
    maximum=1,
    examples=("pyke search --filter is-official=true redis",),
)
