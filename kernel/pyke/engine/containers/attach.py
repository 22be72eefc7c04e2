"""Clients of a container's terminal and streams: their connections are handed to the container's monitor, and leave the engine."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pyke import detach
from pyke.engine.containers.log_records import LogRecord
from pyke.engine.containers.monitors import AttachRequest
from pyke.errors import Conflict, InvalidRequest
from pyke.model import Container

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


def request(client: socket.socket, *, early: bytes, streams: set[str], framed: bool, detach_keys: str) -> AttachRequest:
    """A client's wish. The connection is duplicated: the caller closes its own."""
    keys = detach.parse(detach_keys)
    return AttachRequest(client.dup(), early=early, streams=tuple(sorted(streams)), framed=framed, detach_keys=keys)


def attach(engine: Engine, container: Container, wish: AttachRequest, *, logs: bool) -> None:
    """Connect a client. One that comes before the start is connected when it starts; one that comes too late hears the end."""
    with engine.locks.of("container", container.id):
        container = engine.containers.get(container.id)
        monitor = engine.containers.monitors.get(container.id)
        if container.state.status == "paused":
            wish.client.close()
            raise Conflict(
                f"container {container.name} is paused, unpause the container before attach", hint=f"pyke unpause {container.name}"
            )
        if monitor is None and not logs:
            engine.containers.early_clients.setdefault(container.id, []).append(wish)
            return
    if logs:
        _replay(engine, container, wish)
    if monitor is None:
        attach(engine, container, wish, logs=False)  # it may have been started meanwhile
        return
    try:
        monitor.attach(wish)
    finally:
        wish.client.close()


def dismiss(engine: Engine, container: Container) -> None:
    """Send away those who wait for a start that will not come."""
    engine.containers.early_sizes.pop(container.id, None)
    for wish in engine.containers.early_clients.pop(container.id, []):
        wish.client.close()


def _replay(engine: Engine, container: Container, wish: AttachRequest) -> None:
    """What the container has printed so far, before what it prints now."""
    for batch in engine.containers.logs(container.id, stdout="stdout" in wish.streams, stderr="stderr" in wish.streams).batches():
        wish.client.sendall(b"".join(_framed(record) if wish.framed else record.data for record in batch))


def _framed(record: LogRecord) -> bytes:
    return bytes((1 if record.stream == "stdout" else 2, 0, 0, 0)) + len(record.data).to_bytes(4, "big") + record.data


def resize(engine: Engine, container: Container, rows: int, columns: int) -> None:
    """Tell the container's terminal its size; one that a client waits for is started with it."""
    check_size(rows, columns)
    monitor = engine.containers.monitors.get(container.id)
    if monitor is None and container.id in engine.containers.early_clients:
        engine.containers.early_sizes[container.id] = (rows, columns)
        return
    if monitor is None:
        raise Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")
    monitor.resize(rows, columns)


def check_size(rows: int, columns: int) -> None:
    """A terminal's size is two 16-bit numbers for the kernel."""
    if not (0 <= rows <= 65535 and 0 <= columns <= 65535):
        raise InvalidRequest(f"a terminal cannot have {rows} rows and {columns} columns", hint="stty size")
