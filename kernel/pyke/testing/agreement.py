"""Whether an engine's records and the host agree: processes, cgroups, interfaces, packet filter, addresses, directories, snapshots."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pyke.testing.engine import TestEngine
from pyke.testing.patience import PATIENCE, remaining

CGROUPS = "/sys/fs/cgroup"
LIVING = ("running", "paused")


def disagreements(engine: TestEngine, patience: float = 0.0) -> list[str]:
    """What the engine says and the host does not, or the other way round: a line for each; looked at again for `patience` seconds."""
    return remaining(lambda: [*_disagreements(engine)], within=patience)


def _disagreements(engine: TestEngine) -> Iterator[str]:
    records = inspected(engine)
    living = {id: record for id, record in records.items() if record["State"]["Status"] in LIVING}
    yield from _listing(engine, records)
    for id, record in living.items():
        yield from _process(id, record)
    yield from _sets("directories of containers", directories(engine.layout.containers), records)
    yield from _sets("snapshots", directories(f"{engine.layout.root}/overlay/snapshots"), records)
    yield from _sets("directories of runs", directories(engine.layout.container_runs) - (records.keys() - living.keys()), living)
    for hierarchy, cgroups in _cgroups(engine):
        yield from _sets(f"cgroups of {hierarchy}", cgroups, living)
    yield from _sets("monitors", _monitors(engine), living)
    yield from _networks(engine, living)


def inspected(engine: TestEngine) -> dict[str, dict[str, Any]]:
    """What `inspect` says of each container, by ID."""
    ids = engine.ok("ps", "-aq", "--no-trunc").split()
    done = engine.pyke("inspect", "--type", "container", *ids) if ids else None
    return {record["Id"]: record for record in json.loads(done.stdout)} if done else {}


def directories(path: str) -> set[str]:
    """The entries of a directory that are named by a container's ID."""
    try:
        return {name for name in os.listdir(path) if len(name) == 64}
    except FileNotFoundError:
        return set()


def _listing(engine: TestEngine, records: dict[str, dict[str, Any]]) -> Iterator[str]:
    lines = engine.ok("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}} {{.Names}}").splitlines()
    told = {id: (state, name) for id, state, name in map(str.split, lines)}
    known = {id: (record["State"]["Status"], record["Name"].lstrip("/")) for id, record in records.items()}
    different = (id for id in told.keys() | known if told.get(id) != known.get(id))
    yield from (f"ps says {told.get(id)} of {id[:12]}, inspect {known.get(id)}" for id in different)


def _process(id: str, record: dict[str, Any]) -> Iterator[str]:
    """A container that runs has a process, in its cgroup; one that is paused has a frozen one."""
    state = record["State"]
    try:
        with open(f"/proc/{state['Pid']}/cgroup", encoding="ascii") as file:
            if id not in file.read():
                yield f"process {state['Pid']} is not in the cgroup of {id[:12]}"
    except OSError:
        yield f"{id[:12]} {record['Name']} is {state['Status']} without a process {state['Pid']}"
    if (state["Status"] == "paused") != state["Paused"]:
        yield f"{id[:12]} is {state['Status']}, and Paused is {state['Paused']}"


def _sets(what: str, found: Iterable[str], expected: Iterable[str]) -> Iterator[str]:
    found, expected = set(found), set(expected)
    if extra := found - expected:
        yield f"{what}: {len(extra)} too many: {' '.join(sorted(each[:12] for each in extra)[:8])}"
    if missing := expected - found:
        yield f"{what}: {len(missing)} missing: {' '.join(sorted(each[:12] for each in missing)[:8])}"


def _cgroups(engine: TestEngine) -> Iterator[tuple[str, set[str]]]:
    """The cgroups below the engine's own, of each hierarchy that has it (of version 2: the one)."""
    for hierarchy in ("", *os.listdir(CGROUPS)):
        place = os.path.join(CGROUPS, hierarchy, engine.layout.cgroup)
        if os.path.isdir(place):
            yield hierarchy or "version 2", directories(place)


def _monitors(engine: TestEngine) -> set[str]:
    """The containers whose monitor listens."""
    runs = engine.layout.container_runs
    return {id for id in directories(runs) if os.path.exists(os.path.join(runs, id, "monitor.sock"))}


def _networks(engine: TestEngine, living: dict[str, dict[str, Any]]) -> Iterator[str]:
    places = [(id, each) for id, record in living.items() for each in record["NetworkSettings"]["Networks"].values() if each["IPAddress"]]
    veths = [name for name in os.listdir("/sys/class/net") if name.startswith(f"pv{engine.layout.tag}")]
    if len(veths) != len(places):
        yield f"{len(veths)} interfaces for {len(places)} places on networks"
    addresses = Counter((each["NetworkID"], each["IPAddress"]) for _, each in places)
    yield from (f"address {address} has been given {number} times" for (_, address), number in addresses.items() if number > 1)
    published = {element for record in living.values() for element in _published(record)}
    elements = _elements(engine)
    yield from _sets("published ports in the packet filter", elements, published)


def _published(record: dict[str, Any]) -> Iterator[str]:
    for port, bindings in (record["NetworkSettings"]["Ports"] or {}).items():
        number, _, protocol = port.partition("/")
        for binding in bindings or ():
            places = [each["IPAddress"] for each in record["NetworkSettings"]["Networks"].values()]
            if ":" not in binding["HostIp"]:
                yield f"{protocol} {binding['HostIp'].replace('0.0.0.0', '*')} {binding['HostPort']} {places[0]} {number}"


def _elements(engine: TestEngine) -> set[str]:
    """The ports of the packet filter's maps, as `_published` writes them."""
    found = set()
    for name, has_address in (("ports", True), ("everywhere", False)):
        done = subprocess.run(
            ["nft", "-j", "list", "map", "inet", f"pyke_{engine.layout.tag}", name], capture_output=True, text=True, check=False
        )
        maps = [entry["map"] for entry in json.loads(done.stdout or "{}").get("nftables", []) if "map" in entry]
        for key, value in (pair for each in maps for pair in each.get("elem", [])):
            words = [str(word) for word in key["concat"]]
            protocol, address, port = words if has_address else (words[0], "*", words[1])
            found.add(" ".join((protocol, address, port, *(str(word) for word in value["concat"]))))
    return found


def leftovers(engine: TestEngine, patience: float = PATIENCE) -> list[str]:
    """What an engine without containers still has of them."""
    return remaining(lambda: [*_disagreements(engine), *_leftovers(engine)], within=patience)


def _leftovers(engine: TestEngine) -> Iterator[str]:
    import sqlite3

    with sqlite3.connect(f"file:{engine.layout.database}?mode=ro", uri=True) as database:
        for kind, object in database.execute("SELECT kind, object FROM intents"):
            yield f"the intent {kind} of {object[:12]}"
    database.close()
    for where in ("trash", "staging"):
        place = f"{engine.layout.root}/overlay/{where}"
        if os.path.isdir(place) and (names := os.listdir(place)):
            yield f"{place} holds {len(names)} things"
