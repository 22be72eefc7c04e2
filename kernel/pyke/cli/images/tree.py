"""`pyke image ls --tree`: each image with its names, what it is made for, and what it takes on the disk."""

from __future__ import annotations

from pyke.cli import units
from pyke.cli.images.references import short
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyke.cli.flags import Options
    from pyke.cli.session import Session

HEADERS = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA")
ON_THE_RIGHT = (2, 3)  # columns of numbers
LEGEND = "Info: U in use by a container; disk usage is of the unpacked layers, and below of their content as well"
REFUSED = ("quiet", "no-trunc", "digests", "format")


def show(session: Session, options: Options) -> int:
    """List images as a tree."""
    for flag in REFUSED:
        if options.given(flag):
            raise PykeError(f"--{flag} is not supported with --tree", hint="pyke image ls --tree")
    filters = options.filters()
    if options.arguments:
        filters.setdefault("reference", []).append(options.arguments[0])
    query = {"all": options.yes("all"), "filters": filters or None, "manifests": True}
    images = session.engine.get("/images/json", query) or []
    session.out(LEGEND + "\n")
    session.out("\n".join(_laid_out([HEADERS, *(row for image in images for row in rows(image))])))
    return 0


def rows(image: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row for each name of an image, the last of which tells of it, and one for each thing that it is made for."""
    names = image.get("RepoTags") or ["<untagged>"]
    manifests = [each for each in image.get("Manifests") or [] if each.get("Kind") == "image"]
    content = sum(each["Size"]["Content"] for each in manifests)
    is_used = any(each["ImageData"]["Containers"] for each in manifests)
    yield from ((name, "", "", "", "") for name in names[:-1])
    yield (names[-1], short(image["Id"]), *_sizes(image["Size"], content), _extra(is_used))
    for position, each in enumerate(manifests):
        branch = "└─" if position == len(manifests) - 1 else "├─"
        sizes = _sizes(each["Size"]["Total"], each["Size"]["Content"])
        yield (f"{branch} {_platform(each)}", short(each["ID"]), *sizes, _extra(bool(each["ImageData"]["Containers"])))


def _platform(manifest: dict[str, Any]) -> str:
    platform = manifest["ImageData"]["Platform"]
    return "/".join(filter(None, (platform.get("os"), platform.get("architecture"), platform.get("variant"))))


def _sizes(usage: int, content: int) -> tuple[str, str]:
    return units.human_size(usage, 3), units.human_size(content, 3)


def _extra(is_used: bool) -> str:
    return " U" if is_used else ""


def _laid_out(table: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADERS))]
    for row in table:
        cells = (
            cell.rjust(width) if column in ON_THE_RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "   ".join(cells).rstrip()
