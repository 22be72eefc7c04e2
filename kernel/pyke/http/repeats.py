"""A request that is made again, because an engine was killed before it answered: what is done is not done twice, nor called a failure.

Only what an engine before may have finished is looked for; what is still to be done is done as for everybody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pyke.errors import Conflict, InvalidRequest, NotFound, PykeError
from pyke.http.exchange import NO_CONTENT, Answer, Handler, Request
from pyke.model import ContainerState, Event

REMOVED_BY_NAME = ("containers", "networks", "volumes")  # of images, routes/images.py has more to say


def answer(request: Request, handler: Handler) -> Answer:
    """Have a request answered; one that repeats another with that in mind."""
    if not request.repeats:
        return handler(request)
    if _has_begun_since(request):
        return NO_CONTENT
    try:
        return handler(request)
    except NotFound:
        if _is_removed(request) or _is_renamed(request):
            return NO_CONTENT
        raise
    except (Conflict, InvalidRequest):
        if _is_as_wanted(request):
            return NO_CONTENT
        raise


def _action(request: Request) -> str:
    """What is to be done to a container, "" where something else is asked for."""
    return request.path.rpartition("/")[2] if request.method == "POST" and request.path.startswith("/containers/") else ""


def _state(request: Request) -> ContainerState | None:
    try:
        return request.engine.containers.get(request["name"]).state
    except (PykeError, KeyError):
        return None


def _has_begun_since(request: Request) -> bool:
    """Whether a container that is to be started, or started anew, has been since it was first asked for."""
    state = _state(request) if _action(request) in ("start", "restart") else None
    return state is not None and state.started_at >= request.repeats


def _is_removed(request: Request) -> bool:
    """Whether what is to be removed has been since it was first asked for: what never was, is missed as ever."""
    kind = request.path.split("/")[1]
    if request.method != "DELETE" or kind not in REMOVED_BY_NAME:
        return False
    (ref,) = request.parameters.values()
    return any(_is_meant(event, ref) for event in _told(request, kind.removesuffix("s"), "destroy"))


def _is_renamed(request: Request) -> bool:
    if _action(request) != "rename":
        return False
    old, new = (name.removeprefix("/") for name in (request["name"], request.query.text("name")))
    renames = (event for event in _told(request, "container", "rename") if event.attributes.get("name") == new)
    return any(event.object.startswith(old) or event.attributes.get("oldName") == f"/{old}" for event in renames)


def _told(request: Request, kind: str, action: str) -> Iterator[Event]:
    """The events of a kind since the request was first made."""
    events = request.engine.events.subscribe(since=request.repeats, until=time.time_ns())
    return (event for event in events if event.kind == kind and event.action == action)


def _is_meant(event: Event, ref: str) -> bool:
    """Whether an event is about what `ref` names."""
    return event.object.startswith(ref) or event.attributes.get("name") == ref.removeprefix("/")


def _is_as_wanted(request: Request) -> bool:
    """Whether what was refused is so already."""
    action, state = _action(request), _state(request)
    if state is None:
        return False
    if action == "rename":
        return request.engine.containers.get(request["name"]).name == request.query.text("name").removeprefix("/")
    if action == "kill":
        return not state.is_running and state.finished_at >= request.repeats
    return {"pause": "paused", "unpause": "running"}.get(action) == state.status
