"""`pyke pull`: an image from a registry."""

from __future__ import annotations

from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.images import progress
from pyke.cli.images.references import split_reference, with_tag
from pyke.cli.registries import credentials
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def pull(session: Session, reference: str, *, platform: str = "", quiet: bool = False, descriptor: int = 1) -> None:
    """Pull an image and show how it goes on `descriptor`."""
    _pull_tag(session, *split_reference(with_tag(reference)), platform=platform, quiet=quiet, descriptor=descriptor)


def _pull_tag(session: Session, repository: str, tag: str, *, platform: str, quiet: bool, descriptor: int = 1) -> None:
    """Pull a tag or digest; all tags where it is ""."""
    query = {"fromImage": repository, "tag": tag or None, "platform": platform or None}
    headers = credentials.header(credentials.registry_of(repository))
    progress.show(session.engine.open("POST", "/images/create", query, headers=headers).json_values(), descriptor, quiet=quiet)


def _pull(session: Session, options: Options) -> int:
    reference, quiet = options.arguments[0], options.yes("quiet")
    if not reference:
        raise PykeError("invalid reference format")
    repository, tag = split_reference(reference)
    if options.yes("all-tags"):
        if tag:
            raise PykeError("tag can't be used with --all-tags/-a")
        _pull_tag(session, repository, "", platform=options.text("platform"), quiet=quiet)
        session.out(canonical(repository))
        return 0
    if not tag and not quiet:
        session.out("Using default tag: latest")
    pull(session, reference, platform=options.text("platform"), quiet=quiet)
    session.out(canonical(with_tag(reference)))
    return 0


def canonical(reference: str) -> str:
    """ "busybox:1" becomes "docker.io/library/busybox:1"."""
    if credentials.registry_of(reference) != credentials.HUB or reference.startswith("docker.io/"):
        return reference
    return f"docker.io/{reference}" if "/" in reference else f"docker.io/library/{reference}"


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
