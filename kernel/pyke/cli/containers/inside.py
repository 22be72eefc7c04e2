"""`top`, `port`, `diff`, `export`: looks into one container."""

from __future__ import annotations

import os

from pyke.cli import tables
from pyke.cli.client import quote
from pyke.cli.flags import STRING, Command, Flag, Options
from pyke.cli.session import STDOUT, write_bytes
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.session import Session

TOP_COLUMN = 20
CHANGES = ("C", "A", "D")


def _top(session: Session, options: Options) -> int:
    name, *ps_arguments = options.arguments
    table = session.engine.get(f"/containers/{quote(name)}/top", {"ps_args": " ".join(ps_arguments) or None})
    session.out(tables.render([table["Titles"], *table["Processes"]], minimum=TOP_COLUMN)[:-1])
    return 0


def _port(session: Session, options: Options) -> int:
    name, *wanted = options.arguments
    ports = session.engine.get(f"/containers/{quote(name)}/json")["NetworkSettings"].get("Ports") or {}
    if wanted:
        key = wanted[0] if "/" in wanted[0] else f"{wanted[0]}/tcp"
        if not ports.get(key):
            raise PykeError(f"No public port '{wanted[0]}' published for {name}")
        lines = [_host(binding) for binding in ports[key]]
    else:
        lines = [f"{port} -> {_host(binding)}" for port in sorted(ports, key=_port_order) for binding in ports[port] or []]
    if lines:
        session.out("\n".join(lines))
    return 0


def _port_order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol


def _host(binding: dict[str, str]) -> str:
    address = binding.get("HostIp") or "0.0.0.0"
    return f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"


def _diff(session: Session, options: Options) -> int:
    changes: list[dict[str, Any]] = session.engine.get(f"/containers/{quote(options.arguments[0])}/changes") or []
    for change in changes:
        session.out(f"{CHANGES[change['Kind']]} {change['Path']}")
    return 0


def _export(session: Session, options: Options) -> int:
    write_download(session, f"/containers/{quote(options.arguments[0])}/export", options.text("output"))
    return 0


def write_download(session: Session, path: str, output: str, query: dict[str, object] | None = None) -> None:
    """Write what the engine streams to the file `output`, or to stdout ("") unless that is a terminal.

    The file appears under its name only when it is whole.
    """
    if not output and os.isatty(STDOUT):
        raise PykeError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    reply = session.engine.open("GET", path, query)
    if not output:
        for data in reply.chunks():
            write_bytes(STDOUT, data)
        return
    partial = f"{output}.partial-{os.getpid()}"
    try:
        with open(partial, "xb") as file:
            for data in reply.chunks():
                file.write(data)
        os.replace(partial, output)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


TOP = Command(
    "top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container", _top, minimum=1, maximum=None, passes_rest=True
)
PORT = Command(
    "port", "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container", _port, minimum=1, maximum=2
)
DIFF = Command("diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem", _diff, minimum=1, maximum=1)
EXPORT = Command(
    "export",
    "CONTAINER",
    "Export a container's filesystem as a tar archive",
    _export,
    [Flag("output", "o", STRING, "Write to a file, instead of STDOUT")],
    minimum=1,
    maximum=1,
)
