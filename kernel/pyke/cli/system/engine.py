"""`pyke engine`: the engine itself, in the foreground."""

from __future__ import annotations

import os
import sys

from pyke.cli.flags import Command, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _engine(session: Session, options: Options) -> int:
    words = [sys.executable, "-m", "pyke.engine", "--root", session.layout.root, *options.arguments]
    os.execv(sys.executable, words)
    return 125


ENGINE = Command(
    "engine",
    "[ARG...]",
    "Run the engine in the foreground",
    _engine,
    maximum=None,
    passes_rest=True,
    description="Run the engine in the foreground. Other commands start one by themselves in the background; a service manager uses this.",
)
