"""`pyke ps`: the containers."""

from __future__ import annotations

from pyke.cli import listing, timestamps, units
from pyke.cli.flags import BOOL, FILTER, INT, STRING, Command, Flag, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

SHORT_ID = 12
COMMAND_WIDTH = 20


def _columns(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("CONTAINER ID", lambda item: item["Id"] if whole else item["Id"][:SHORT_ID]),
        "Image": ("IMAGE", lambda item: _image(item, whole)),
        "Command": ("COMMAND", lambda item: _command(item, whole)),
        "CreatedAt": ("CREATED AT", lambda item: timestamps.local(item["Created"])),
        "RunningFor": ("CREATED", lambda item: timestamps.ago(item["Created"])),
        "Status": ("STATUS", lambda item: item["Status"]),
        "State": ("STATE", lambda item: item.get("State", "")),
        "Ports": ("PORTS", lambda item: ports(item.get("Ports") or [])),
        "Names": ("NAMES", lambda item: _names(item, whole)),
        "Size": ("SIZE", _size),
        "Labels": ("LABELS", lambda item: ",".join(f"{key}={value}" for key, value in sorted((item.get("Labels") or {}).items()))),
        "Label": ("", lambda item: lambda name: (item.get("Labels") or {}).get(name, "")),
        "Mounts": ("MOUNTS", lambda item: ",".join(_mount(mount, whole) for mount in item.get("Mounts") or [])),
        "LocalVolumes": ("LOCAL VOLUMES", _local_volumes),
        "Networks": ("NETWORKS", lambda item: ",".join((item.get("NetworkSettings") or {}).get("Networks") or {})),
    }


def containers(whole: bool) -> listing.Listing:
    """How containers are listed; `whole` is `--no-trunc`."""
    columns = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
    failures = ("failed to parse template: ", "failed to execute template: ")
    return listing.Listing("*formatter.ContainerContext", _columns(whole), columns, failures)


def _image(item: Any, whole: bool) -> str:
    image = str(item.get("Image") or "<no image>")
    if whole:
        return image
    digest = item.get("ImageID", "").removeprefix("sha256:")
    if digest and image.removeprefix("sha256:") == digest:
        return image.removeprefix("sha256:")[:SHORT_ID]
    return image.partition("@")[0]


def _command(item: Any, whole: bool) -> str:
    from pyke.cli import jsontext

    command = str(item.get("Command") or "")
    if not whole and len(command) > COMMAND_WIDTH:
        command = command[: COMMAND_WIDTH - 1] + "…"
    return jsontext.dumps(command)


def _names(item: Any, whole: bool) -> str:
    names = [name.removeprefix("/") for name in item.get("Names") or []]
    # "/other/alias" is a link's name for this container: shown with --no-trunc only.
    return ",".join(name for name in names if whole or "/" not in name)


def _size(item: Any) -> str:
    size = units.human_size(item.get("SizeRw", 0), 3)
    return f"{size} (virtual {units.human_size(item['SizeRootFs'], 3)})" if item.get("SizeRootFs") else size


def _mount(mount: Any, whole: bool) -> str:
    name = str(mount.get("Name") or mount.get("Source") or "")
    return name if whole or len(name) <= 15 else name[:14] + "…"


def _local_volumes(item: Any) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in item.get("Mounts") or []))


def ports(published: list[Any]) -> str:
    """Write ports as `ps` does: "0.0.0.0:8080->80/tcp, 90/tcp", with runs of neighbours as one range."""
    ranges: list[tuple[tuple[str, str, bool], int, int, int]] = []
    for port in sorted(published, key=lambda port: (port["PrivatePort"], port.get("PublicPort", 0), port.get("IP", ""), port["Type"])):
        address, private, public = port.get("IP", ""), port["PrivatePort"], port.get("PublicPort", 0)
        group = (address, port["Type"], public == 0 or public == private)
        for position, (known, first, last, host) in enumerate(ranges):
            if known == group and group[2] and last + 1 == private and bool(host) == bool(public):
                ranges[position] = (known, first, private, host)
                break
        else:
            ranges.append((group, private, private, public))
    return ", ".join(_range(*entry) for entry in ranges)


def _range(group: tuple[str, str, bool], first: int, last: int, host: int) -> str:
    address, protocol, _ = group
    inside = f"{first}-{last}" if last > first else str(first)
    if not host:
        return f"{inside}/{protocol}"
    outside = f"{host}-{host + last - first}" if last > first else str(host)
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{outside}->{inside}/{protocol}" if shown else f"{outside}->{inside}/{protocol}"


def _ps(session: Session, options: Options) -> int:
    last = 1 if options.yes("latest") and not options.given("last") else options.number("last")
    template = options.text("format")
    wants_size = options.yes("size") or ".Size" in template
    query = {
        "all": options.yes("all") or last > 0,
        "limit": last if last > 0 else None,
        "size": wants_size,
        "filters": options.filters() or None,
    }
    items = session.engine.get("/containers/json", query) or []
    view = containers(options.yes("no-trunc"))
    if options.yes("quiet"):
        if template and template != "json":
            session.note("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        for item in items:
            session.out(view.record(item).field("ID"))  # type: ignore[arg-type]
        return 0
    listing.show(session, view, items, template, [*view.columns, "Size"] if options.yes("size") else None)
    return 0


PS = Command(
    "ps",
    "",
    "List containers",
    _ps,
    [
        Flag("all", "a", BOOL, "Show all containers (default shows just running)"),
        Flag("filter", "f", FILTER, "Filter output based on conditions provided"),
        Flag("format", "", STRING, listing.FORMAT_HELP),
        Flag("last", "n", INT, "Show n last created containers (includes all states)", -1),
        Flag("latest", "l", BOOL, "Show the latest created container (includes all states)"),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only display container IDs"),
        Flag("size", "s", BOOL, "Display total file sizes"),
    ],
    examples=("pyke ps -a --filter status=exited", "pyke ps --format 'table {{.Names}}\\t{{.Status}}'"),
)
