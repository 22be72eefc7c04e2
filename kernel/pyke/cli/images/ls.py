"""`pyke images`: what images there are."""

from __future__ import annotations

from pyke.cli import listing, timestamps, units
from pyke.cli.flags import BOOL, FILTER, STRING, Command, Flag, Options
from pyke.cli.images.references import short
from pyke.cli.listing import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

NONE = "<none>"


def _optional_size(item: Any, key: str) -> str:
    size = item.get(key, -1)
    return "N/A" if size is None or size < 0 else units.human_size(size)


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    """What can be listed of an image, one row for each of its names; `whole` is `--no-trunc`."""
    return {
        "ID": ("IMAGE ID", lambda item: item["Id"] if whole else short(item["Id"])),
        "Repository": ("REPOSITORY", lambda item: item["repository"]),
        "Tag": ("TAG", lambda item: item["tag"]),
        "Digest": ("DIGEST", lambda item: item["digest"]),
        "CreatedSince": ("CREATED", lambda item: timestamps.ago(item["Created"])),
        "CreatedAt": ("CREATED AT", lambda item: timestamps.local(item["Created"])),
        "Size": ("SIZE", lambda item: units.human_size(item["Size"], 3)),
        "VirtualSize": ("SIZE", lambda item: units.human_size(item.get("VirtualSize") or item["Size"])),
        "SharedSize": ("SHARED SIZE", lambda item: _optional_size(item, "SharedSize")),
        "UniqueSize": ("UNIQUE SIZE", _unique_size),
        "Containers": ("CONTAINERS", lambda item: "N/A" if item.get("Containers", -1) < 0 else str(item["Containers"])),
    }


def _unique_size(item: Any) -> str:
    shared = item.get("SharedSize", -1)
    return "N/A" if shared is None or shared < 0 else units.human_size(item["Size"] - shared)


COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")


def rows(image: dict[str, Any], *, digests: bool) -> list[dict[str, Any]]:
    """The rows of an image: one for each tag, one of nones for an image without any."""
    by_repository = {name.partition("@")[0]: name.partition("@")[2] for name in image.get("RepoDigests") or [] if name != f"{NONE}@{NONE}"}
    names = [name for name in image.get("RepoTags") or [] if name != f"{NONE}:{NONE}"]
    found = []
    for name in names:
        repository, _, tag = name.rpartition(":")
        found.append({**image, "repository": repository, "tag": tag, "digest": by_repository.get(repository, NONE)})
    if not found and by_repository and digests:
        found = [{**image, "repository": name, "tag": NONE, "digest": digest} for name, digest in by_repository.items()]
    repository = next(iter(by_repository), NONE)
    return found or [{**image, "repository": repository, "tag": NONE, "digest": by_repository.get(repository, NONE)}]


def _images(session: Session, options: Options) -> int:
    if options.yes("tree"):
        from pyke.cli.images import tree  # for those who ask for it

        return tree.show(session, options)
    filters = options.filters()
    if options.arguments:
        filters.setdefault("reference", []).append(options.arguments[0])
    items = session.engine.get("/images/json", {"all": options.yes("all"), "filters": filters or None}) or []
    items.sort(key=lambda image: -image["Created"])
    found = [row for image in items for row in rows(image, digests=options.yes("digests"))]
    view = listing.Listing("*formatter.imageContext", fields(options.yes("no-trunc")), COLUMNS)
    if options.yes("quiet") and not options.text("format"):
        for row in found:
            session.out(row["Id"] if options.yes("no-trunc") else short(row["Id"]))
        return 0
    columns = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size") if options.yes("digests") else None
    listing.show(session, view, found, options.text("format"), columns)
    return 0


IMAGES = Command(
    "images",
    "[REPOSITORY[:TAG]]",
    "List images",
    _images,
    [
        Flag("all", "a", BOOL, "Show all images (default hides intermediate images)"),
        Flag("digests", "", BOOL, "Show digests"),
        Flag("filter", "f", FILTER, "Filter output based on conditions provided"),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only show image IDs"),
        Flag("tree", "", BOOL, "Show what images are made for, what they take as they came, and which are in use"),
    ],
    maximum=1,
    examples=("pyke images", "pyke images --filter dangling=true -q"),
)
