"""`commit`: an image of what a container has become."""

from __future__ import annotations

from pyke.cli.flags import BOOL, LIST, STRING, Command, Flag, Options
from pyke.cli.images.references import split_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _commit(session: Session, options: Options) -> int:
    container, *reference = options.arguments
    repository, tag = split_reference(reference[0]) if reference else ("", "")
    query: dict[str, object] = {
        "container": container,
        "repo": repository or None,
        "tag": tag or None,
        "comment": options.text("message") or None,
        "author": options.text("author") or None,
        "pause": "1" if options.yes("pause") else "0",
        "changes": options.texts("change"),
    }
    session.out(session.engine.post("/commit", query)["Id"])
    return 0


COMMIT = Command(
    "commit",
    "CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
    _commit,
    [
        Flag("author", "a", STRING, 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        Flag("change", "c", LIST, "Apply Dockerfile instruction to the created image"),
        Flag("message", "m", STRING, "Commit message"),
        Flag("pause", "p", BOOL, "Pause container during commit", True),
    ],
    minimum=1,
    maximum=2,
    examples=("pyke commit -m 'with curl' web web:curl", "pyke commit -c 'CMD [\"nginx\"]' web web:fixed"),
)
