"""`pyke system df`: what takes how much room, and how much of it could go."""

from __future__ import annotations

from pyke.cli import listing, timestamps, units
from pyke.cli.containers import ps
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.images import ls as images
from pyke.cli.listing import FORMAT_HELP, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

RUNNING = ("running", "paused", "restarting")

FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Type": ("TYPE", lambda row: row["type"]),
    "TotalCount": ("TOTAL", lambda row: str(row["total"])),
    "Active": ("ACTIVE", lambda row: str(row["active"])),
    "Size": ("SIZE", lambda row: units.human_size(row["size"])),
    "Reclaimable": ("RECLAIMABLE", lambda row: _reclaimable(row)),
}


def _reclaimable(row: dict[str, Any]) -> str:
    share = f" ({row['free'] * 100 // row['size']}%)" if row["size"] > 0 and row["type"] != "Build Cache" else ""
    return units.human_size(row["free"]) + share


def _summary(usage: dict[str, Any]) -> list[dict[str, Any]]:
    return [_images(usage), _containers(usage), _volumes(usage), _cache(usage)]


def _row(kind: str, total: int, active: int, size: int, free: int) -> dict[str, Any]:
    return {"type": kind, "total": total, "active": active, "size": size, "free": free}


def _images(usage: dict[str, Any]) -> dict[str, Any]:
    items = usage.get("Images") or []
    layers = usage.get("LayersSize") or 0
    active = [item for item in items if item.get("Containers", 0) > 0]
    used = sum(item["Size"] - max(item.get("SharedSize", 0), 0) + _content(item) for item in active)
    return _row("Images", len(items), len(active), layers, max(layers - used, 0))


def _content(item: dict[str, Any]) -> int:
    """Bytes of an image as it came; Docker keeps none of that."""
    return sum(int(each["Size"]["Content"]) for each in item.get("Manifests") or [])


def _containers(usage: dict[str, Any]) -> dict[str, Any]:
    items = usage.get("Containers") or []
    size = sum(item.get("SizeRw", 0) for item in items)
    free = sum(item.get("SizeRw", 0) for item in items if item.get("State") not in RUNNING)
    return _row("Containers", len(items), sum(item.get("State") in RUNNING for item in items), size, free)


def _volumes(usage: dict[str, Any]) -> dict[str, Any]:
    items = [item.get("UsageData") or {"Size": 0, "RefCount": 0} for item in usage.get("Volumes") or []]
    size = sum(max(item["Size"], 0) for item in items)
    free = sum(max(item["Size"], 0) for item in items if item["RefCount"] == 0)
    return _row("Local Volumes", len(items), sum(item["RefCount"] > 0 for item in items), size, free)


def _cache(usage: dict[str, Any]) -> dict[str, Any]:
    items = usage.get("BuildCache") or []
    size = sum(item["Size"] for item in items if not item.get("Shared"))
    free = sum(item["Size"] for item in items if not item.get("Shared") and not item.get("InUse"))
    return _row("Build Cache", len(items), sum(bool(item.get("InUse")) for item in items), size, free)


def _disk_usage(session: Session, options: Options) -> int:
    usage = session.engine.get("/system/df")
    if options.yes("verbose") and not options.text("format"):
        _verbose(session, usage)
        return 0
    view = Listing("*formatter.diskUsageImagesContext", FIELDS, ("Type", "TotalCount", "Active", "Size", "Reclaimable"))
    listing.show(session, view, _summary(usage), options.text("format"))
    return 0


def _verbose(session: Session, usage: dict[str, Any]) -> None:
    session.out("Images space usage:\n")
    found = [row for image in usage.get("Images") or [] for row in images.rows(image, digests=False)[:1]]
    columns = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
    listing.show(session, Listing("*formatter.imageContext", images.fields(False), columns), found, "")
    session.out("\nContainers space usage:\n")
    listing.show(session, _container_listing(), usage.get("Containers") or [], "")
    session.out("\nLocal Volumes space usage:\n")
    listing.show(session, _VOLUMES, usage.get("Volumes") or [], "")
    cache = usage.get("BuildCache") or []
    session.out(f"\nBuild cache usage: {units.human_size(sum(item['Size'] for item in cache))}\n")
    listing.show(session, _CACHE, cache, "")


def _container_listing() -> Listing:
    fields = {**ps.containers(False).fields, "Size": ("SIZE", lambda item: units.human_size(item.get("SizeRw", 0), 3))}
    columns = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
    return Listing("*formatter.ContainerContext", fields, columns)


_VOLUMES = Listing(
    "*formatter.volumeContext",
    {
        "Name": ("VOLUME NAME", lambda item: item["Name"]),
        "Links": ("LINKS", lambda item: str((item.get("UsageData") or {}).get("RefCount", 0))),
        "Size": ("SIZE", lambda item: units.human_size(max((item.get("UsageData") or {}).get("Size", 0), 0))),
    },
    ("Name", "Links", "Size"),
)
_CACHE = Listing(
    "*formatter.buildCacheContext",
    {
        "ID": ("CACHE ID", lambda item: item["ID"][:12]),
        "CacheType": ("CACHE TYPE", lambda item: item.get("Type", "")),
        "Size": ("SIZE", lambda item: units.human_size(item["Size"], 3)),
        "CreatedSince": ("CREATED", lambda item: timestamps.ago(timestamps.parse(item["CreatedAt"]) // units.SECOND)),
        "LastUsedSince": ("LAST USED", lambda item: _last_used(item)),
        "UsageCount": ("USAGE", lambda item: str(item.get("UsageCount", 0))),
        "Shared": ("SHARED", lambda item: str(bool(item.get("Shared"))).lower()),
    },
    ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"),
)


def _last_used(item: dict[str, Any]) -> str:
    return timestamps.ago(timestamps.parse(item["LastUsedAt"]) // units.SECOND) if item.get("LastUsedAt") else ""


DISK_USAGE = Command(
    "system df",
    "",
    "Show disk usage",
    _disk_usage,
    [Flag("format", "", STRING, FORMAT_HELP), Flag("verbose", "v", BOOL, "Show detailed information on space usage")],
)
