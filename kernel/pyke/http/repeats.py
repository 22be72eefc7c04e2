"""A request that is made again, because an engine was killed before it answered: what is done is not done twice, nor called a failure.

Only what an engine before may have finished is looked for; what is still to be done is done as for everybody.
"""

from __future__ import annotations

import time

from pyke.errors import Conflict, InvalidRequest, MonitorGone, NotFound, PykeError
from pyke.http.exchange import NO_CONTENT, Answer, Handler, Request
from pyke.model import ContainerState

CLEARING = 0.2  # seconds in which a monitor whose engine was killed gives back what it had begun


def answer(request: Request, handler: Handler) -> Answer:
    """Have a request answered; one that repeats another with that in mind."""
    if not request.repeats:
        return handler(request)
    if _has_begun_since(request):
        return NO_CONTENT
    try:
        return _patiently(request, handler)
    except NotFound:
        if request.method == "DELETE" or _is_renamed(request):
            return NO_CONTENT
        raise
    except (Conflict, InvalidRequest):
        if _is_as_wanted(request):
            return NO_CONTENT
        raise


def _patiently(request: Request, handler: Handler) -> Answer:
    """Ask once more where the monitor of the engine before was still clearing the place, and took the new one with it."""
    try:
        return handler(request)
    except MonitorGone:
        time.sleep(CLEARING)
        return handler(request)


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


def _is_renamed(request: Request) -> bool:
    if _action(request) != "rename":
        return False
    try:
        return bool(request.engine.containers.get(request.query.text("name")))
    except PykeError:
        return False


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
