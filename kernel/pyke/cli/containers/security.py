"""`--security-opt`, `--device`, `--gpus`: who a container may be and what it may touch."""

from __future__ import annotations

from pyke.cli import jsontext
from pyke.cli.files import read_text
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def options(texts: Iterable[str]) -> tuple[list[str], bool]:
    """Read all `--security-opt`: as the API takes them, and whether `systempaths=unconfined` is among them.

    A seccomp profile is read here, because the engine may not see our files, and is sent as compact JSON.
    """
    settings, unmasked = [], False
    for text in texts:
        key, separator, value = text.partition("=" if "=" in text else ":")
        if not separator and text != "no-new-privileges":
            raise PykeError(f'Invalid --security-opt: "{text}"')
        if (key, value) == ("systempaths", "unconfined"):
            unmasked = True
        elif key == "seccomp" and value not in ("unconfined", "builtin"):
            settings.append(f"seccomp={_profile(value)}")
        else:
            settings.append(f"{key}={value}" if separator else text)
    return settings, unmasked


def capabilities(add: Iterable[str], drop: Iterable[str]) -> dict[str, list[str] | None]:
    """`--cap-add` and `--cap-drop`: by their full names, in the order of the alphabet. ALL stands for all others, and to add wins."""
    added, dropped = _capabilities(add), _capabilities(drop)
    return {"CapAdd": sorted(added) or None, "CapDrop": sorted(dropped - added) or None}


def _capabilities(texts: Iterable[str]) -> set[str]:
    names = {f"CAP_{text.strip().upper().removeprefix('CAP_')}" for text in texts}
    return {"ALL"} if "CAP_ALL" in names else names


def _profile(path: str) -> str:
    try:
        text = read_text(path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise PykeError(f"opening seccomp profile ({path}) failed: open {path}: {reason}") from error
    try:
        return jsontext.dumps(jsontext.loads(text))
    except ValueError as error:
        raise PykeError(f"compacting json for seccomp profile ({path}) failed: {error}", hint=f"python3 -m json.tool {path}") from error


def device(text: str) -> dict[str, str]:
    """Read `--device HOST_PATH[:CONTAINER_PATH][:PERMISSIONS]`."""
    source, *rest = text.split(":")
    path, permissions = source, "rwm"
    if len(rest) > 2 or not source:
        raise PykeError(f"bad format for path: {text}", hint="pyke run --device /dev/fuse:/dev/fuse:rwm IMAGE")
    if len(rest) == 1 and set(rest[0]) <= set("rwm") and rest[0]:
        permissions = rest[0]
    elif rest:
        path, permissions = rest[0] or source, rest[1] if len(rest) == 2 else permissions
    if not permissions or not set(permissions) <= set("rwm"):
        raise PykeError(f"bad mode specified: {permissions}", hint=f"pyke run --device {source}:{path}:rwm IMAGE")
    return {"PathOnHost": source, "PathInContainer": path, "CgroupPermissions": permissions}


def gpus(text: str) -> list[dict[str, Any]] | None:
    """Read `--gpus all` or `--gpus COUNT` into a device request."""
    if not text:
        return None
    if text != "all" and not text.isdigit():
        raise PykeError(f"invalid argument for --gpus: {text!r} is neither 'all' nor a count")
    return [{"Driver": "", "Count": -1 if text == "all" else int(text), "Capabilities": [["gpu"]]}]
