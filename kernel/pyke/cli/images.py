"""`images`, `rmi`, `tag`, `history`."""

from __future__ import annotations

from pyke.cli import listing, timestamps, units
from pyke.cli.client import ApiError, quote
from pyke.cli.flags import BOOL, FILTER, STRING, Command, Flag, Options
from pyke.cli.listing import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

NONE = "<none>"
CREATED_BY_WIDTH = 45
NOT_FOUND = 404


def short(digest: str) -> str:
    """ "sha256:b80472c45e9f2e46..." as tables show it."""
    return digest.partition(":")[2][:12] if ":" in digest else digest[:12]


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


def _remove(session: Session, options: Options) -> int:
    query = {"force": options.yes("force"), "noprune": options.yes("no-prune")}

    def remove(name: str) -> bool:
        try:
            removals = session.engine.call("DELETE", f"/images/{quote(name)}", query) or []
        except ApiError as error:
            if not (options.yes("force") and error.status == NOT_FOUND):
                raise
            session.fail(error)  # with -f it is as it should be: said, but no failure
            return False
        for removal in removals:
            session.out(f"Deleted: {removal['Deleted']}" if removal.get("Deleted") else f"Untagged: {removal['Untagged']}")
        return False

    return session.each(options.arguments, remove)


def split_reference(reference: str) -> tuple[str, str]:
    """ "host:5000/name:tag" becomes ("host:5000/name", "tag"), without a tag ("...", ""); a digest counts as a tag."""
    repository, at, digest = reference.partition("@")
    if at:
        return repository, digest
    if ":" in reference.rpartition("/")[2]:
        repository, _, tag = reference.rpartition(":")
        return repository, tag
    return reference, ""


def _tag(session: Session, options: Options) -> int:
    source, target = options.arguments
    repository, tag = split_reference(target)
    try:
        session.engine.post(f"/images/{quote(source)}/tag", {"repo": repository, "tag": tag or "latest"})
    except ApiError as error:
        if error.message.startswith("invalid reference format"):
            error.message = f'Error parsing reference: "{target}" is not a valid repository/tag: {error.message}'
        raise
    return 0


def _history_fields(whole: bool, human: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("IMAGE", lambda item: item["Id"] if whole or item["Id"].startswith("<") else short(item["Id"])),
        "CreatedSince": ("CREATED", lambda item: timestamps.ago(item["Created"]) if human else timestamps.rfc3339(item["Created"])),
        "CreatedAt": ("CREATED AT", lambda item: timestamps.rfc3339(item["Created"])),
        "CreatedBy": ("CREATED BY", lambda item: _created_by(item["CreatedBy"], whole)),
        "Size": ("SIZE", lambda item: units.human_size(item["Size"], 3) if human else str(item["Size"])),
        "Comment": ("COMMENT", lambda item: item["Comment"]),
    }


def _created_by(command: str, whole: bool) -> str:
    shown = command.replace("\t", " ")
    return shown if whole or len(shown) <= CREATED_BY_WIDTH else shown[: CREATED_BY_WIDTH - 1] + "…"


def _history(session: Session, options: Options) -> int:
    items = session.engine.get(f"/images/{quote(options.arguments[0])}/history") or []
    whole = options.yes("no-trunc")
    view = listing.Listing(
        "*formatter.historyContext",
        _history_fields(whole, options.yes("human")),
        ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"),
    )
    if options.yes("quiet") and not options.text("format"):
        for item in items:
            session.out(str(view.record(item).field("ID")))
        return 0
    listing.show(session, view, items, options.text("format"))
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
    ],
    maximum=1,
    examples=("pyke images", "pyke images --filter dangling=true -q"),
)
REMOVE = Command(
    "rmi",
    "IMAGE [IMAGE...]",
    "Remove one or more images",
    _remove,
    [Flag("force", "f", BOOL, "Force removal of the image"), Flag("no-prune", "", BOOL, "Do not delete untagged parents")],
    minimum=1,
    maximum=None,
)
TAG = Command(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    _tag,
    minimum=2,
    maximum=2,
    examples=("pyke tag busybox registry.example.com/team/busybox:1",),
)
HISTORY = Command(
    "history",
    "IMAGE",
    "Show the history of an image",
    _history,
    [
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("human", "H", BOOL, "Print sizes and dates in human readable format", True),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only show image IDs"),
    ],
    minimum=1,
    maximum=1,
)
