"""`push`: an image to its registry."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.flags import BOOL, Command, Flag, Options
from pyke.cli.images import progress
from pyke.cli.images.pull import canonical
from pyke.cli.images.references import split_reference
from pyke.cli.registries import credentials
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _push(session: Session, options: Options) -> int:
    reference, quiet = options.arguments[0], options.yes("quiet")
    if not reference:
        raise PykeError("invalid reference format")
    repository, tag = split_reference(reference)
    if "@" in reference:
        raise PykeError("cannot push a digest reference", hint=f"pyke push {reference.partition('@')[0]}")
    if options.yes("all-tags") and tag:
        raise PykeError("tag can't be used with --all-tags/-a")
    if not tag and not options.yes("all-tags"):
        tag = "latest"
        if not quiet:
            session.out("Using default tag: latest")
    headers = {"X-Registry-Auth": "e30", **credentials.header(credentials.registry_of(reference))}  # "{}": Docker's API wants the header
    reply = session.engine.open("POST", f"/images/{quote(repository)}/push", {"tag": tag or None}, headers=headers)
    progress.show(reply.json_values(), 1, quiet=quiet)
    if quiet:
        session.out(canonical(f"{repository}:{tag}" if tag else repository))
    return 0


PUSH = Command(
    "push",
    "NAME[:TAG]",
    "Upload an image to a registry",
    _push,
    [
        Flag("all-tags", "a", BOOL, "Push all tags of an image to the repository"),
        Flag("disable-content-trust", "", BOOL, "Skip image signing", True),
        Flag("quiet", "q", BOOL, "Suppress verbose output"),
    ],
    minimum=1,
    maximum=1,
    examples=("pyke push registry.corp:5000/team/app:1.2",),
)
