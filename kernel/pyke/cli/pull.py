"""`pyke pull`: an image from a registry."""

from __future__ import annotations

from pyke.cli import progress
from pyke.cli.create import with_tag
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.images import split_reference
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def pull(session: Session, reference: str, *, platform: str = "", quiet: bool = False, descriptor: int = 1) -> None:
    """Pull an image and show how it goes on `descriptor`."""
    repository, tag = split_reference(reference)
    query = {"fromImage": repository, "tag": tag or "latest", "platform": platform or None}
    progress.show(session.engine.open("POST", "/images/create", query).json_values(), descriptor, quiet=quiet)


def _pull(session: Session, options: Options) -> int:
    reference, quiet = options.arguments[0], options.yes("quiet")
    if not reference:
        raise PykeError("invalid reference format")
    if options.yes("all-tags"):
        raise PykeError("pulling all tags of a repository is not supported", hint=f"pyke pull {with_tag(reference)}")
    if not split_reference(reference)[1] and not quiet:
        session.out("Using default tag: latest")
    pull(session, reference, platform=options.text("platform"), quiet=quiet)
    session.out(_canonical(with_tag(reference)))
    return 0


def _canonical(reference: str) -> str:
    """ "busybox:1" becomes "docker.io/library/busybox:1"."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


PULL = Command(
    "pull",
    "NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    _pull,
    [
        Flag("all-tags", "a", BOOL, "Download all tagged images in the repository"),
        Flag("disable-content-trust", "", BOOL, "Skip image verification", True),
        Flag("platform", "", STRING, "Set platform if server is multi-platform capable"),
        Flag("quiet", "q", BOOL, "Suppress verbose output"),
    ],
    minimum=1,
    maximum=1,
    examples=("pyke pull busybox", "pyke pull 127.0.0.1:5000/team/app:1.2"),
)
