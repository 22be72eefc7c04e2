"""`pyke stats`: what containers use, every second or once."""

from __future__ import annotations

import os
import time

from pyke.cli import listing, units
from pyke.cli.client import ApiError, quote
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.session import STDOUT, write_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyke.cli.session import Session

PERIOD = 1.0  # seconds between two samples
SHORT_ID = 12
TOP_OF_A_CLEAR_SCREEN = b"\x1b[2J\x1b[H"
NOT_FOUND = 404


def _view(whole: bool) -> listing.Listing:
    fields = {
        "Container": ("CONTAINER", lambda row: row["asked"]),
        "ID": ("CONTAINER ID", lambda row: row["id"] if whole else row["id"][:SHORT_ID]),
        "Name": ("NAME", lambda row: row["name"].removeprefix("/")),
        "CPUPerc": ("CPU %", lambda row: f"{cpu_percent(row):.2f}%"),
        "MemUsage": ("MEM USAGE / LIMIT", lambda row: " / ".join(map(units.binary_size, memory(row)))),
        "MemPerc": ("MEM %", lambda row: f"{_memory_percent(row):.2f}%"),
        "NetIO": ("NET I/O", lambda row: _pair(network(row))),
        "BlockIO": ("BLOCK I/O", lambda row: _pair(block(row))),
        "PIDs": ("PIDS", lambda row: str((row.get("pids_stats") or {}).get("current", 0))),
    }
    columns = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
    return listing.Listing("*container.statsContext", fields, columns)


def cpu_percent(row: Mapping[str, Any]) -> float:
    """The share of one processor that was used between two samples: 200 for two whole ones."""
    now, before = row["cpu_stats"], row["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    return float(used / passed * now.get("online_cpus", 1) * 100) if used > 0 and passed > 0 else 0.0


def memory(row: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes in use and their limit. What the page cache would give back at once is not in use."""
    found = row.get("memory_stats") or {}
    usage, details = found.get("usage", 0), found.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return usage - cache if cache < usage else usage, found.get("limit", 0)


def _memory_percent(row: Mapping[str, Any]) -> float:
    usage, limit = memory(row)
    return usage / limit * 100 if limit else 0.0


def network(row: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes received and sent, over all interfaces."""
    interfaces = (row.get("networks") or {}).values()
    return sum(each["rx_bytes"] for each in interfaces), sum(each["tx_bytes"] for each in interfaces)


def block(row: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes read and written, over all devices."""
    entries = (row.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return tuple(sum(each["value"] for each in entries if each["op"].lower() == op) for op in ("read", "write"))


def _pair(sizes: tuple[int, int]) -> str:
    return " / ".join(units.human_size(size, 3) for size in sizes)


class _Samples:
    """The last sample of each container, against which the next one is measured."""

    def __init__(self, session: Session, options: Options) -> None:
        self._session, self._names, self._all = session, options.arguments, options.yes("all")
        self._last: dict[str, Any] = {}

    def take(self) -> list[dict[str, Any]]:
        """A row for each container that was named, or that runs. A container that goes meanwhile is left out."""
        rows = []
        for name in self._names or self._running():
            try:
                row = self._session.engine.get(f"/containers/{quote(name)}/stats", {"stream": 0, "one-shot": 1})
            except ApiError as error:
                if error.status != NOT_FOUND or (self._names and name not in self._last):
                    raise
                continue
            row["asked"], row["precpu_stats"] = name, self._last.get(name, row)["cpu_stats"]
            self._last[name] = row
            rows.append(row)
        return rows

    def _running(self) -> list[str]:
        return [item["Id"] for item in self._session.engine.get("/containers/json", {"all": self._all}) or []]


def _stats(session: Session, options: Options) -> int:
    samples, view, is_live = _Samples(session, options), _view(options.yes("no-trunc")), not options.yes("no-stream")
    samples.take()
    while True:
        time.sleep(PERIOD)
        rows = samples.take()
        if is_live and os.isatty(STDOUT):
            write_bytes(STDOUT, TOP_OF_A_CLEAR_SCREEN)
        listing.show(session, view, rows, options.text("format"))
        if not is_live:
            return 0


STATS = Command(
    "stats",
    "[CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
    _stats,
    [
        Flag("all", "a", BOOL, "Show all containers (default shows just running)"),
        Flag("format", "", STRING, listing.FORMAT_HELP),
        Flag("no-stream", "", BOOL, "Disable streaming stats and only pull the first result"),
        Flag("no-trunc", "", BOOL, "Do not truncate output"),
    ],
    minimum=0,
    maximum=None,
    examples=("pyke stats --no-stream", "pyke stats --format '{{.Name}}: {{.MemUsage}}' web"),
)
