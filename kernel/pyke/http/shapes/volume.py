"""Volumes as Docker shows them."""

from __future__ import annotations

from typing import Any

from pyke.http.shapes.times import rfc3339
from pyke.model import Volume

Json = dict[str, Any]


def volume(found: Volume, usage: tuple[int, int] | None = None) -> Json:
    """A volume; `usage` is its bytes (-1: not counted) and how many containers have it."""
    shaped: Json = {
        "CreatedAt": rfc3339(found.created // 10**9 * 10**9),  # Docker's has whole seconds
        "Driver": found.driver,
        "Labels": dict(found.labels) or None,
        "Mountpoint": found.mountpoint,
        "Name": found.name,
        "Options": dict(found.options) or None,
        "Scope": "local",
    }
    if usage is not None:
        shaped["UsageData"] = {"Size": usage[0], "RefCount": usage[1]}
    return shaped
