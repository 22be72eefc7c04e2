"""Events as `docker events` reads them."""

from __future__ import annotations

from typing import Any

from pyke.model import Event


def event(found: Event) -> dict[str, Any]:
    """One event. The first three keys are Docker's old form, of containers and images alone."""
    old: dict[str, Any] = {}
    if found.kind in ("container", "image"):
        old = {"status": found.action, "id": found.object}
        if "image" in found.attributes:
            old["from"] = found.attributes["image"]
    return old | {
        "Type": found.kind,
        "Action": found.action,
        "Actor": {"ID": found.object, "Attributes": dict(sorted(found.attributes.items()))},
        "scope": "local",
        "time": found.time // 10**9,
        "timeNano": found.time,
    }
