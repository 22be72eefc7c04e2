"""What a container uses, and what it may use: stats and update."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from pyke.errors import NoSuchContainer
from pyke.http.exchange import Reply, Request, Stream, encode, json_reply
from pyke.http.facade import Engine, Sample
from pyke.http.fields import Fields
from pyke.http.requests import limits as limit_requests
from pyke.http.requests.create import restart_policy
from pyke.http.router import Routes
from pyke.http.shapes.stats import stats as shaped
from pyke.model import Limits

PERIOD = 1.0  # seconds between two samples, as Docker's


def stats(request: Request) -> Reply | Stream:
    """A sample every second, or one: alone (`one-shot`), or with another before it, so that a client can tell how busy it is."""
    engine, query = request.engine, request.query
    container = engine.containers.get(request["name"])
    cancelled = threading.Event()
    if query.flag("stream", default=True):
        return Stream(_samples(engine, container.id, cancelled), cancel=cancelled.set)
    if query.flag("one-shot"):
        return json_reply(shaped(container, engine.containers.sample(container.id), None))
    return Stream(_second_sample(engine, container.id, cancelled), cancel=cancelled.set)


def _samples(engine: Engine, id: str, cancelled: threading.Event) -> Iterator[bytes]:
    before: Sample | None = None
    while True:
        try:
            found = engine.containers.sample(id)
            yield encode(shaped(engine.containers.get(id), found, before))
        except NoSuchContainer:
            return
        before = found
        if cancelled.wait(PERIOD):
            return


def _second_sample(engine: Engine, id: str, cancelled: threading.Event) -> Iterator[bytes]:
    samples = _samples(engine, id, cancelled)
    first = next(samples, None)
    second = next(samples, first) if first and engine.containers.sample(id).time else first
    if second:
        yield second


def update(request: Request) -> Reply:
    body = request.json()
    restart = restart_policy(body) if body.object("RestartPolicy").text("Name") else None
    warnings = request.engine.containers.update(request["name"], _limits(body), restart, caller=request.caller)
    return json_reply({"Warnings": [*limit_requests.warnings(body), *warnings]})


def _limits(body: Fields) -> Limits:
    """The limits that are given; a limit of processes that is 0 or -1 is one that is to go."""
    found = limit_requests.limits(body, is_update=True)
    pids = body.optional_integer("PidsLimit")
    return replace(found, pids=-1) if pids is not None and pids <= 0 else found


ROUTES: Routes = {
    ("GET", "/containers/{name}/stats"): stats,
    ("POST", "/containers/{name}/update"): update,
}
