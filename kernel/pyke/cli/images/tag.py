"""`pyke tag` and `pyke rmi`: names given to images, and taken away."""

from __future__ import annotations

from pyke.cli.client import ApiError, quote
from pyke.cli.flags import BOOL, Command, Flag, Options
from pyke.cli.images.references import split_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session

NOT_FOUND = 404


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


TAG = Command(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    _tag,
    minimum=2,
    maximum=2,
    examples=("pyke tag busybox registry.example.com/team/busybox:1",),
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
