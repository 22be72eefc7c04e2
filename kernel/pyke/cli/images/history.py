"""`pyke history`: how an image came to be."""

from __future__ import annotations

from pyke.cli import listing, timestamps, units
from pyke.cli.client import quote
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.images.references import short
from pyke.cli.listing import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

CREATED_BY_WIDTH = 45


def _history_fields(whole: bool, human: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("IMAGE", lambda item: item["Id"] if whole or item["Id"].startswith("<") else short(item["Id"])),
        "CreatedSince": ("CREATED", lambda item: timestamps.ago(item["Created"]) if human else timestamps.rfc3339(item["Created"])),
        "CreatedAt": ("CREATED AT", lambda item: timestamps.rfc3339(item["Created"])),
        "CreatedBy": ("CREATED BY", lambda item: _created_by(item["CreatedBy"], whole)),
        "Size": ("SIZE", lambda item: units.human_size(item["Size"], 3) if human else str(item["Size"])),
        "Comment": ("COMMENT", lambda item: item["Comment"]),
    }


def _created_by(command: str, whole: bool) -> str:
    shown = command.replace("\t", " ")
    return shown if whole or len(shown) <= CREATED_BY_WIDTH else shown[: CREATED_BY_WIDTH - 1] + "…"


def _history(session: Session, options: Options) -> int:
    items = session.engine.get(f"/images/{quote(options.arguments[0])}/history") or []
    whole = options.yes("no-trunc")
    view = listing.Listing(
        "*formatter.historyContext",
        _history_fields(whole, options.yes("human")),
        ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
    )
    if options.yes("quiet") and not options.text("format"):
        for item in items:
            session.out(str(view.record(item).field("ID")))
        return 0
    listing.show(session, view, items, options.text("format"))
    return 0


HISTORY = Command(
    "history",
    "IMAGE",
    "Show the history of an image",
    _history,
    [
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("human", "H", BOOL, "Print sizes and dates in human readable format", True),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only show image IDs"),
    ],
    minimum=1,
    maximum=1,
)
