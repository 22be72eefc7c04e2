"""An engine that has served for long holds no more than one that has served for a little while; nor does its spawner, nor a monitor.

It is small as it stands; PYKE_MEMORY_CYCLES=2500 is the full size, in whose second half nothing is kept any more that was not in the first.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from pyke.cli.client import Client
from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually
from pyke.testing.processes import Holdings, children, holdings, parent

CYCLES = int(os.environ.get("PYKE_MEMORY_CYCLES", "160"))
WARM_UP = 80
CLIENTS = 8
FULL = 2000  # cycles; the last 1,000 execs are kept, which is all that an engine remembers of what has been
GROWTH = 2 << 20  # bytes, by which those may still grow
FULL_GROWTH, LATE_GROWTH = 5 << 20, 3 << 19  # in all, and in the second half, whatever malloc(3) and Python make of their pages
SLACK = 4  # pools of threads reach their size at leisure, and a connection that was closed is let go of a moment later
CONTAINER = {
    "Image": "busybox",
    "Cmd": ["sleep", "1000"],
    "ExposedPorts": {"80/tcp": {}},
    "HostConfig": {"NetworkMode": "lively", "PortBindings": {"80/tcp": [{}]}},
}
COMMAND = {"Cmd": ["echo", "hello"], "AttachStdout": True}


@pytest.mark.timeout(300 + 2 * CYCLES)
def test_what_has_been_is_forgotten(busybox: TestEngine) -> None:
    engine = busybox
    engine.ok("network", "create", "lively")
    engine.ok("run", "-d", "--name", "stayer", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
    monitor = parent(int(engine.ok("inspect", "-f", "{{.State.Pid}}", "stayer")))
    pids = {"engine": engine.engine_pid(), "spawner": engine.spawner_pid(), "monitor": monitor}
    live(engine, WARM_UP)
    before = {name: holdings(pid) for name, pid in pids.items()}
    live(engine, CYCLES // 2)
    middle = holdings(pids["engine"]).memory
    live(engine, CYCLES - CYCLES // 2)
    eventually(lambda: children(pids["spawner"]) == {monitor}, "all monitors but the one leave")
    for name, pid in pids.items():
        eventually(partial(is_back, pid, before[name]), f"the {name} holds as few descriptors and threads as before: {before[name]}")
        grown = holdings(pid).memory - before[name].memory
        sys.stderr.write(f"{name}: {before[name].memory >> 10} KB and {grown >> 10} KB more after {CYCLES} lives\n")
        assert grown < (GROWTH if CYCLES < FULL else FULL_GROWTH), f"{name} grew by {grown >> 10} KB"
    late = holdings(pids["engine"]).memory - middle
    sys.stderr.write(f"engine: {late >> 10} KB of it in the second half\n")
    assert late < LATE_GROWTH, f"the engine grew by {late >> 10} KB in the second half"
    assert engine.engine_pid() == pids["engine"], "it was the same engine all the time"


def is_back(pid: int, before: Holdings) -> bool:
    now = holdings(pid)
    return now.descriptors <= before.descriptors + SLACK and now.threads <= before.threads + SLACK


def live(engine: TestEngine, cycles: int) -> None:
    """Let so many containers live and die, several at a time, and as many commands run beside one that stays."""
    client = Client(engine.layout)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(live_once, client, f"c{number}") for number in range(cycles)]:
            done.result()


def live_once(client: Client, name: str) -> None:
    client.post("/containers/create", {"name": name}, body=CONTAINER)
    client.post(f"/containers/{name}/start")
    assert client.get(f"/containers/{name}/json")["State"]["Running"]
    exec = client.post("/containers/stayer/exec", body=COMMAND)["Id"]
    assert b"hello\n" in read_to_the_end(client, f"/exec/{exec}/start", {"Detach": False})
    client.open("GET", "/containers/stayer/logs", {"stdout": True, "tail": 5}).body()
    client.hijack("/containers/stayer/attach", {"stream": True, "stdout": True}).close()
    client.post(f"/containers/{name}/stop", {"t": 0})
    client.call("DELETE", f"/containers/{name}")


def read_to_the_end(client: Client, path: str, body: object) -> bytes:
    connection = client.hijack(path, body=body)
    try:
        return b"".join(iter(connection.read_some, b""))
    finally:
        connection.close()
