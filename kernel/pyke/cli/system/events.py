"""`pyke events`: what happens, as it happens."""

from __future__ import annotations

from pyke.cli import follow, timestamps
from pyke.cli.flags import FILTER, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session


BAD_TEMPLATE = 64  # the exit status, Docker's
REFUSED = "Error parsing format: "
NO_EVENT: dict[str, Any] = {"Type": "", "Action": "", "Actor": {"ID": "", "Attributes": {}}, "scope": "", "time": 0, "timeNano": 0}


class _Event:
    """An event as a template sees it: under the API's names and under Go's."""

    type_name = "*events.Message"
    _GO = {"ID": "id", "Status": "status", "From": "from", "Scope": "scope", "Time": "time", "TimeNano": "timeNano"}

    def __init__(self, event: dict[str, Any]) -> None:
        self._event = event

    def field(self, name: str) -> object:
        """A part of the event; "" for one that this kind of event lacks."""
        if name in self._GO:
            return self._event.get(self._GO[name], "")
        return self._event[name]

    def as_dict(self) -> dict[str, object]:
        """The event as the engine sent it."""
        return self._event


def _line(event: dict[str, Any]) -> str:
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{key}={value}" for key, value in sorted((actor.get("Attributes") or {}).items()))
    text = f"{timestamps.rfc3339_nano(event['timeNano'])} {event['Type']} {event['Action']} {actor.get('ID', '')}"
    return f"{text} ({attributes})" if attributes else text


def _renderer(template: str) -> Callable[[dict[str, Any]], str]:
    if not template:
        return _line
    from pyke.cli.listing import compile_template

    render = compile_template("{{json .}}" if template == "json" else template, (REFUSED, REFUSED))
    render(_Event(NO_EVENT))  # a template that fits no event is refused before the first one happens
    return lambda event: render(_Event(event))


def _events(session: Session, options: Options) -> int:
    since, until = (options.moment(name, "{error}") for name in ("since", "until"))
    query = {"since": since, "until": until, "filters": options.filters() or None}
    try:
        render = _renderer(options.text("format"))
    except PykeError as error:
        session.fail(error)
        return BAD_TEMPLATE
    for event in follow.events(session.engine, query):
        session.out(render(event))
    return 0


EVENTS = Command(
    "events",
    "",
    "Get real time events from the server",
    _events,
    [
        Flag("filter", "f", FILTER, "Filter output based on conditions provided"),
        Flag("format", "", STRING, "Format output with a Go template: 'json' or a template"),
        Flag("since", "", STRING, "Show all events created since timestamp"),
        Flag("until", "", STRING, "Stream events until this timestamp"),
    ],
    examples=("pyke events --filter type=container --since 1h",),
)
