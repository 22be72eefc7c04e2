"""The events of containers, collected over the lives and deaths of engines, and whether they tell a story that is possible."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pyke.testing.engine import TestEngine

INTERVAL = 3.0  # seconds between two looks
OVERLAP = 2_000_000_000  # ns that are looked at twice: an event may be told a moment after its time

#: What an event needs of its container's state, and what it makes of it. What is not here (exec, kill, stop, update) changes nothing.
STEPS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "create": (("",), "created"),
    "start": (("created", "exited"), "running"),
    "pause": (("running",), "paused"),
    "unpause": (("paused",), "running"),
    "die": (("running", "paused"), "exited"),
    "destroy": (("created", "exited"), "gone"),
}


class Chronicle:
    """Reads an engine's events again and again while the block lasts."""

    def __init__(self, engine: TestEngine) -> None:
        self._engine = engine
        self._since = time.time_ns()
        self._seen: dict[str, dict[str, Any]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failures: list[str] = []

    def __enter__(self) -> Chronicle:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            self.read()

    def read(self) -> None:
        """Take in what has happened since the last look."""
        until = time.time_ns()
        window = ("--since", _moment(self._since), "--until", _moment(until))
        done = self._engine.pyke("events", *window, "--filter", "type=container", "--format", "{{json .}}")
        if done.status:
            self.failures.append(done.stderr)
            return
        self._seen.update((line, json.loads(line)) for line in done.stdout.splitlines())
        self._since = until - OVERLAP

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events of containers, in the order of their time."""
        return sorted(self._seen.values(), key=lambda event: event["timeNano"])

    def contradictions(self, states: Mapping[str, str]) -> list[str]:
        """Where the events up to now contradict each other, or what is: `states` is the state that `ps` showed, by container ID."""
        self.read()
        told, wrong = replay(self.events)
        living = {id: state for id, state in told.items() if state != "gone"}
        for id in sorted(living.keys() | states):
            shown = {"restarting": "exited"}.get(states.get(id, ""), states.get(id, "not there"))
            if living.get(id, "gone") != shown:
                wrong.append(f"{id[:12]} is {shown}, and its events say {told.get(id, 'nothing')}")
        return wrong


def replay(events: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """The state of each container as its events tell it, and a line for each step that was not possible."""
    states: dict[str, str] = {}
    wrong = []
    for event in events:
        id, action = event["Actor"]["ID"], event["Action"]
        if action not in STEPS or not id:
            continue
        allowed, after = STEPS[action]
        if states.get(id, "") not in allowed:
            wrong.append(f"{id[:12]} {event['Actor']['Attributes'].get('name')}: {action} when it was {states.get(id) or 'unknown'}")
        states[id] = after
    return states, wrong


def _moment(time: int) -> str:
    return f"{time // 1_000_000_000}.{time % 1_000_000_000:09}"
