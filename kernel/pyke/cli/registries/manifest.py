"""`manifest inspect`: an image as its registry describes it."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.flags import BOOL, Command, Flag, Options
from pyke.cli.registries import credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _inspect(session: Session, options: Options) -> int:
    import json  # for its indentation; the command waits for a registry anyway

    reference = options.arguments[0]
    headers = credentials.header(credentials.registry_of(reference))
    answer: dict[str, object] = next(session.engine.open("GET", f"/pyke/manifests/{quote(reference)}", headers=headers).json_values(), {})
    shown = answer if options.yes("verbose") else answer["manifest"]
    session.out(json.dumps(shown, indent=4 if options.yes("verbose") else 3, ensure_ascii=False))
    return 0


INSPECT = Command(
    "manifest inspect",
    "NAME[:TAG|@DIGEST]",
    "Display an image manifest, or manifest list",
    _inspect,
    [
        Flag("insecure", "", BOOL, "Accepted for Docker's sake: the settings say which registries may be insecure"),
        Flag("verbose", "v", BOOL, "Output its reference and descriptor as well"),
    ],
    minimum=1,
    maximum=1,
    examples=("pyke manifest inspect registry.corp:5000/team/app:1.2",),
)
