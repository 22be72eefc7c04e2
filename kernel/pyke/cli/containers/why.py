"""`pyke why`: how a container's last run ended, who had a hand in it, and what to type next."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.flags import Command, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _why(session: Session, options: Options) -> int:
    def why(name: str) -> bool:
        story = session.engine.get(f"/pyke/containers/{quote(name)}/why")
        session.out("\n".join([*story["Story"], *(f"  next: {command}" for command in story["Next"])]))
        return False

    return session.each(options.arguments, why)


WHY = Command(
    "why",
    "CONTAINER [CONTAINER...]",
    "Tell why containers have ended, and what to do next",
    _why,
    minimum=1,
    maximum=None,
    examples=("pyke why web",),
)
