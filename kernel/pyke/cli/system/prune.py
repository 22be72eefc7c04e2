"""`container prune`, `image prune`, `network prune`, `volume prune`, `system prune`."""

from __future__ import annotations

from pyke.cli import units
from pyke.cli.flags import BOOL, FILTER, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

# kind: (title, where the API says what went)
_REPORTS = {
    "containers": ("Deleted Containers:", "ContainersDeleted"),
    "networks": ("Deleted Networks:", "NetworksDeleted"),
    "volumes": ("Deleted Volumes:", "VolumesDeleted"),
    "images": ("Deleted Images:", "ImagesDeleted"),
}


def _prune(session: Session, kind: str, filters: dict[str, list[str]]) -> int:
    """Prune one kind of object and tell what went. Returns the bytes reclaimed."""
    title, key = _REPORTS[kind]
    answer = session.engine.post(f"/{kind}/prune", {"filters": filters or None}) or {}
    deleted = [_name(item) for item in answer.get(key) or []]
    if deleted:
        session.out("\n".join([title, *deleted, ""]))
    return int(answer.get("SpaceReclaimed") or 0)


def _name(item: Any) -> str:
    if isinstance(item, str):
        return item
    return f"deleted: {item['Deleted']}" if item.get("Deleted") else f"untagged: {item['Untagged']}"


def _one_kind(
    kind: str, warning: Callable[[Options], str], adjust: Callable[[Options, dict[str, list[str]]], None]
) -> Callable[[Session, Options], int]:
    def run(session: Session, options: Options) -> int:
        if not session.confirm(warning(options), force=options.yes("force")):
            return 0
        filters = options.filters()
        adjust(options, filters)
        reclaimed = _prune(session, kind, filters)
        if kind != "networks":
            session.out(f"Total reclaimed space: {units.human_size(reclaimed)}")
        return 0

    return run


def _as_given(_options: Options, _filters: dict[str, list[str]]) -> None:
    return None


def _dangling(options: Options, filters: dict[str, list[str]]) -> None:
    filters["dangling"] = ["false" if options.yes("all") else "true"]


def _all_volumes(options: Options, filters: dict[str, list[str]]) -> None:
    if options.yes("all"):
        filters["all"] = ["true"]


def _image_warning(options: Options) -> str:
    if options.yes("all"):
        return "This will remove all images without at least one container associated to them."
    return "This will remove all dangling images."


def _volume_warning(options: Options) -> str:
    return f"This will remove {'all' if options.yes('all') else 'anonymous'} local volumes not used by at least one container."


def _system(session: Session, options: Options) -> int:
    if options.yes("volumes") and "until" in options.filters():
        raise PykeError('ERROR: The "until" filter is not supported with "--volumes"', hint="pyke system prune --filter until=24h")
    what = ["all stopped containers", "all networks not used by at least one container"]
    what += ["all anonymous volumes not used by at least one container"] if options.yes("volumes") else []
    what += ["all images without at least one container associated to them" if options.yes("all") else "all dangling images"]
    question = "This will remove:\n" + "\n".join(f"  - {item}" for item in what) + "\n"
    if not session.confirm(question, force=options.yes("force")):
        return 0
    filters = options.filters()
    reclaimed = _prune(session, "containers", filters) + _prune(session, "networks", filters)
    if options.yes("volumes"):
        reclaimed += _prune(session, "volumes", filters)
    reclaimed += _prune(session, "images", {**filters, "dangling": ["false" if options.yes("all") else "true"]})
    session.out(f"Total reclaimed space: {units.human_size(reclaimed)}")
    return 0


_FLAGS = [
    Flag("filter", "", FILTER, 'Provide filter values (e.g. "until=24h")'),
    Flag("force", "f", BOOL, "Do not prompt for confirmation"),
]

CONTAINERS = Command(
    "container prune",
    "",
    "Remove all stopped containers",
    _one_kind("containers", lambda _options: "This will remove all stopped containers.", _as_given),
    _FLAGS,
)
IMAGES = Command(
    "image prune",
    "",
    "Remove unused images",
    _one_kind("images", _image_warning, _dangling),
    [*_FLAGS, Flag("all", "a", BOOL, "Remove all unused images, not just dangling ones")],
)
NETWORKS = Command(
    "network prune",
    "",
    "Remove all unused networks",
    _one_kind("networks", lambda _options: "This will remove all custom networks not used by at least one container.", _as_given),
    _FLAGS,
)
VOLUMES = Command(
    "volume prune",
    "",
    "Remove unused local volumes",
    _one_kind("volumes", _volume_warning, _all_volumes),
    [*_FLAGS, Flag("all", "a", BOOL, "Remove all unused volumes, not just anonymous ones")],
)
SYSTEM = Command(
    "system prune",
    "",
    "Remove unused data",
    _system,
    [
        *_FLAGS,
        Flag("all", "a", BOOL, "Remove all unused images not just dangling ones"),
        Flag("volumes", "", BOOL, "Prune anonymous volumes"),
    ],
)
