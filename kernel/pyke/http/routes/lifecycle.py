"""A container's life: start, stop, kill, restart, pause, wait."""

from __future__ import annotations

from collections.abc import Iterator

from pyke.errors import InvalidRequest, PykeError
from pyke.http.exchange import NO_CONTENT, Reply, Request, Stream, encode, json_reply
from pyke.http.facade import Wait
from pyke.http.router import Routes

CONDITIONS = ("not-running", "next-exit", "removed")


def start(request: Request) -> Reply:
    request.engine.containers.start(request["name"], caller=request.caller)
    return NO_CONTENT


def stop(request: Request) -> Reply:
    query = request.query
    request.engine.containers.stop(request["name"], timeout=query.integer("t"), signal=query.text("signal"), caller=request.caller)
    return NO_CONTENT


def restart(request: Request) -> Reply:
    query = request.query
    request.engine.containers.restart(request["name"], timeout=query.integer("t"), signal=query.text("signal"), caller=request.caller)
    return NO_CONTENT


def kill(request: Request) -> Reply:
    """Docker's client adds what was tried to what went wrong."""
    try:
        request.engine.containers.kill(request["name"], signal=request.query.text("signal") or "KILL", caller=request.caller)
    except InvalidRequest:
        raise  # the signal's name is wrong: the container has nothing to do with it
    except PykeError as error:
        error.message = f"Cannot kill container: {request['name']}: {error.message}"
        raise
    return NO_CONTENT


def pause(request: Request) -> Reply:
    request.engine.containers.pause(request["name"], caller=request.caller)
    return NO_CONTENT


def unpause(request: Request) -> Reply:
    request.engine.containers.unpause(request["name"], caller=request.caller)
    return NO_CONTENT


def wait(request: Request) -> Stream:
    """Registered before the head is sent: a client that has seen it may start the container, and misses nothing."""
    condition = request.query.text("condition") or "not-running"
    if condition not in CONDITIONS:
        raise InvalidRequest(f'invalid condition: "{condition}"', hint="pyke wait CONTAINER")
    waiting = request.engine.containers.wait(request["name"], condition)
    return Stream(_result(waiting), cancel=waiting.cancel)


def _result(waiting: Wait) -> Iterator[bytes]:
    exit = waiting.result()
    if exit is not None:
        # An `Error` would be for a wait that failed: Docker's clients end with 125 for it. They pass over a `Reason`.
        yield encode({"StatusCode": exit.code, **({"Reason": exit.error} if exit.error else {})})


def why(request: Request) -> Reply:
    """The story of a container's last end, in sentences, and what to type next."""
    story = request.engine.containers.why(request["name"])
    return json_reply({"Story": list(story.sentences), "Next": list(story.commands)})


ROUTES: Routes = {
    ("POST", "/containers/{name}/start"): start,
    ("POST", "/containers/{name}/stop"): stop,
    ("POST", "/containers/{name}/restart"): restart,
    ("POST", "/containers/{name}/kill"): kill,
    ("POST", "/containers/{name}/pause"): pause,
    ("POST", "/containers/{name}/unpause"): unpause,
    ("POST", "/containers/{name}/wait"): wait,
    ("GET", "/pyke/containers/{name}/why"): why,
}
