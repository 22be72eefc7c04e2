"""Two commands at once on one container: each is answered as Docker might answer it, and what remains is what one of the two orders makes.

PYKE_RACE_ROUNDS says how often each pair is raced.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from pyke.cli.client import ApiError, Client
from pyke.testing import agreement
from pyke.testing.chronicle import Chronicle
from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually

ROUNDS = int(os.environ.get("PYKE_RACE_ROUNDS", "8"))
NETWORKS = 20  # what the default address pools have room for, and more
AT_ONCE = 3  # races, so that the engine has other things to do, too
WIDEST = 0.03  # seconds that one may be ahead of the other
SETTLING = 30.0
STAY = ("sleep", "10000")
LEAVE = ("sleep", "0.03")


@dataclass(frozen=True)
class Call:
    """A request to the engine, on the container `{}`, and the statuses that it may be answered with."""

    method: str
    path: str
    may: tuple[int, ...]
    query: Mapping[str, object] = field(default_factory=dict)

    def make(self, client: Client, name: str) -> int:
        return status_of(client, self.method, self.path.format(name), self.query)


@dataclass(frozen=True)
class Race:
    """Two calls, the state in which they find the container, and the states in which they may leave it."""

    before: str
    one: Call
    other: Call
    after: tuple[str, ...]
    command: tuple[str, ...] = STAY
    restart: str = ""


def post(action: str, *may: int, **query: object) -> Call:
    return Call("POST", "/containers/{}/" + action, may, query)


REMOVE = Call("DELETE", "/containers/{}", (204,), {"force": True})
REMOVE_ALSO = Call("DELETE", "/containers/{}", (204, 404, 409), {"force": True})
REMOVE_ENDED = Call("DELETE", "/containers/{}", (204, 409))
STOP = post("stop", 204, 304, t=0)
PROCESSES = Call("GET", "/containers/{}/top", (200, 404, 409, 500))
FILES = Call("GET", "/containers/{}/archive", (200, 404, 409), {"path": "/etc"})

RACES = {
    "start, start": Race("created", post("start", 204, 304), post("start", 204, 304), ("running",)),
    "start, rm -f": Race("created", post("start", 204, 404, 409), REMOVE, ("gone",)),
    "start, rm": Race("created", post("start", 204, 404, 409), REMOVE_ENDED, ("gone", "running")),
    "start, rename": Race("created", post("start", 204, 404), post("rename", 204, name="{}-renamed"), ("running", "created")),
    "start, stop": Race("created", post("start", 204), STOP, ("running", "exited")),
    "rename, rm -f": Race("running", post("rename", 204, 404, 409, name="{}-renamed"), REMOVE_ALSO, ("gone", "running")),
    "rm -f, rm -f": Race("running", REMOVE_ALSO, REMOVE_ALSO, ("gone",)),
    "stop, rm -f": Race("running", post("stop", 204, 304, 404, t=0), REMOVE, ("gone",)),
    "stop, stop": Race("running", STOP, STOP, ("exited",)),
    "stop, start": Race("running", STOP, post("start", 204, 304), ("exited", "running")),
    "stop, restart": Race("running", STOP, post("restart", 204, t=0), ("exited", "running")),
    "stop, exit": Race("running", STOP, post("kill", 204, 409), ("exited",), LEAVE),
    "kill, pause": Race("running", post("kill", 204), post("pause", 204, 409), ("exited",)),
    "pause, exit": Race("running", post("pause", 204, 409), post("unpause", 204, 409, 500), ("exited", "paused"), LEAVE),
    "unpause, kill": Race("paused", post("unpause", 204, 409), post("kill", 204), ("exited",)),
    "unpause, rm -f": Race("paused", post("unpause", 204, 404, 409), REMOVE, ("gone",)),
    "restart, rm -f": Race("running", post("restart", 204, 404, 409, t=0), REMOVE, ("gone",)),
    "restart, restart": Race("running", post("restart", 204, t=0), post("restart", 204, t=0), ("running",)),
    "restarting, stop": Race("running", STOP, post("kill", 204, 409), ("exited",), LEAVE, "always"),
    "restarting, wait": Race("running", STOP, post("wait", 200), ("exited",), LEAVE, "always"),
    "restarting, rm -f": Race("running", REMOVE, PROCESSES, ("gone",), LEAVE, "always"),
    "wait, rm -f": Race("running", post("wait", 200, 404), REMOVE, ("gone",)),
    "wait for removal, rm -f": Race("running", post("wait", 200, 404, condition="removed"), REMOVE, ("gone",)),
    "logs -f, rm -f": Race("running", Call("GET", "/containers/{}/logs", (200, 404, 409), {"stdout": 1, "follow": 1}), REMOVE, ("gone",)),
    "cp, rm -f": Race("running", FILES, REMOVE, ("gone",)),
    "cp, exit": Race("running", FILES, post("wait", 200), ("exited",), LEAVE),
    "top, exit": Race("running", PROCESSES, post("wait", 200), ("exited",), LEAVE),
}


@pytest.fixture
def client(shared: TestEngine) -> Client:
    return Client(shared.layout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_two_at_once(shared: TestEngine, client: Client, race: Race) -> None:
    chronicle = Chronicle(shared)
    wrong = at_once(lambda number: run(client, race, f"r{number}"), ROUNDS)
    wrong += agreement.disagreements(shared, SETTLING)
    wrong += chronicle.contradictions({id: each["State"]["Status"] for id, each in agreement.inspected(shared).items()})
    assert not wrong, "\n".join(wrong)


def run(client: Client, race: Race, name: str) -> Iterator[str]:
    """Race once; a line for each thing that must not be."""
    id = create(client, name, race.command, race.restart)
    if race.before != "created":
        client.post(f"/containers/{name}/start")
    if race.before == "paused":
        client.post(f"/containers/{name}/pause")
    calls = [replace(each, query={key: named(value, name) for key, value in each.query.items()}) for each in (race.one, race.other)]
    statuses = raced([partial(call.make, client, name) for call in calls], seed=name)
    for call, status in zip(calls, statuses, strict=True):
        if status not in call.may:
            yield f"{name}: {call.method} {call.path} was answered with {status} (of {statuses})"
    can_be_late = race.command == LEAVE  # it may have ended before either was asked for
    if race.after != ("gone",) and not can_be_late and 204 not in statuses and 200 not in statuses:
        yield f"{name}: neither was done: {statuses}"
    try:
        eventually(lambda: state_of(client, id) in race.after, f"{name} is {' or '.join(race.after)} after {statuses}")
    except AssertionError as error:
        yield f"{error}, and is {state_of(client, id)}"


def test_a_name_is_given_once(shared: TestEngine, client: Client) -> None:
    def run(number: int) -> Iterator[str]:
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
        client.post("/containers/create", {"name": f"old{number}"}, body=body)
        create = partial(status_of, client, "POST", "/containers/create", {"name": f"new{number}"}, body)
        rename = partial(status_of, client, "POST", f"/containers/old{number}/rename", {"name": f"new{number}"})
        statuses = raced([create, rename], seed=f"name{number}")
        if statuses not in ([201, 409], [409, 204]):
            yield f"create and rename were answered with {statuses}"

    assert at_once(run, ROUNDS) == []
    names = shared.ok("ps", "-a", "--format", "{{.Names}}").split()
    assert len(names) == len(set(names)) and {f"new{number}" for number in range(ROUNDS)} <= set(names)


def test_a_command_in_a_container_that_ends_has_an_end(shared: TestEngine, client: Client) -> None:
    def run(number: int) -> Iterator[str]:
        name = f"house{number}"
        create(client, name, LEAVE)
        client.post(f"/containers/{name}/start")
        execs: list[str] = []
        wait = partial(status_of, client, "POST", f"/containers/{name}/wait")
        status, _ = raced([partial(execute, client, name, execs), wait], seed=name)
        if status not in (101, 404, 409):
            yield f"{name}: exec was answered with {status}"
        for exec in execs if status == 101 else ():
            ended = client.get(f"/exec/{exec}/json")
            if ended["Running"] or not ended["ExitCode"]:
                yield f"{name}: what was executed has ended, and not well: {ended}"

    assert at_once(run, ROUNDS) == []
    assert agreement.disagreements(shared, SETTLING) == []


def execute(client: Client, name: str, execs: list[str]) -> int:
    """Run a command that would not end by itself, and read to its end; the status of the first answer that is an error, or of the last."""
    try:
        execs.append(client.post(f"/containers/{name}/exec", body={"Cmd": list(STAY), "AttachStdout": True})["Id"])
        connection = client.hijack(f"/exec/{execs[0]}/start", body={"Detach": False})
    except ApiError as error:
        return error.status
    while connection.read_some():
        pass
    connection.close()
    return 101


def test_a_network_goes_or_is_used(shared: TestEngine, client: Client) -> None:
    def run(number: int) -> Iterator[str]:
        name = f"net{number}"
        client.post("/networks/create", body={"Name": name})
        body = {"Image": "busybox", "Cmd": list(STAY), "HostConfig": {"NetworkMode": name}}
        client.post("/containers/create", {"name": name}, body=body)
        start = partial(status_of, client, "POST", f"/containers/{name}/start")
        statuses = raced([start, partial(status_of, client, "DELETE", f"/networks/{name}")], seed=name)
        if statuses not in ([204, 403], [404, 204]):
            yield f"{name}: start and network rm were answered with {statuses}"
        client.call("DELETE", f"/containers/{name}", {"force": True})
        status_of(client, "DELETE", f"/networks/{name}")

    assert at_once(run, min(ROUNDS, NETWORKS)) == []
    assert agreement.leftovers(shared, SETTLING) == []


def named(value: object, name: str) -> object:
    return value.format(name) if isinstance(value, str) else value


def at_once(each: Callable[[int], Iterator[str]], rounds: int) -> list[str]:
    """What is wrong with any of the rounds, of which several are run at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [line for lines in pool.map(lambda number: list(each(number)), range(rounds)) for line in lines]


def raced(calls: list[Callable[[], Any]], seed: str) -> list[Any]:
    """Make the calls at about the same time, one of them a little later, and return what they return."""
    dice = random.Random(seed)
    pauses = [0.0, dice.uniform(0, WIDEST)]
    dice.shuffle(pauses)

    def make(call: Callable[[], Any], pause: float) -> Any:
        time.sleep(pause)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls, pauses))


def status_of(client: Client, method: str, path: str, query: Mapping[str, object] | None = None, body: object = None) -> int:
    try:
        reply = client.open(method, path, query, body=body)
    except ApiError as error:
        return error.status
    reply.body()
    return reply.status


def create(client: Client, name: str, command: tuple[str, ...] = STAY, restart: str = "") -> str:
    host = {"NetworkMode": "none", "RestartPolicy": {"Name": restart}}
    return str(client.post("/containers/create", {"name": name}, body={"Image": "busybox", "Cmd": list(command), "HostConfig": host})["Id"])


def state_of(client: Client, id: str) -> str:
    try:
        return str(client.get(f"/containers/{id}/json")["State"]["Status"])
    except ApiError as error:
        assert error.status == 404
        return "gone"
