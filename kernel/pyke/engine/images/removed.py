"""What the last removals of images took away: for a client whose engine died before it could say so, and who asks again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyke.engine.state import State

FACT = "images-removed"
KEPT = 16  # removals: clients ask again at once


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that went: `kind` is "untagged" (a name) or "deleted" (an image, or a layer by its chain ID)."""

    kind: str
    name: str
    is_layer: bool = False


class Removed:
    """The last removals, by what they were asked for. To be noted in the transaction that makes them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def note(self, ref: str, removals: Sequence[Removal]) -> None:
        noted = {"time": time.time_ns(), "ref": ref, "removals": [[each.kind, each.name] for each in removals]}
        self._state.set_fact(FACT, json.dumps([*self._read(), noted][-KEPT:]))

    def since(self, moment: int, ref: str) -> list[Removal]:
        """What was removed since a moment (ns) when `ref` was to be."""
        noted = [each for each in self._read() if each["ref"] == ref and each["time"] >= moment]
        return [Removal(kind, name) for each in noted for kind, name in each["removals"]]

    def _read(self) -> list[dict[str, Any]]:
        noted: list[dict[str, Any]] = json.loads(self._state.fact(FACT) or "[]")
        return noted
