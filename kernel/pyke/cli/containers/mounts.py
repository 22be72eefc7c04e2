"""`--mount`, `-v` and `--tmpfs`: from the command line to the API's words."""

from __future__ import annotations

import os

from pyke.cli import units
from pyke.cli.flags import split_csv
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_FLAGS = ("readonly", "bind-nonrecursive", "volume-nocopy", "bind-create-src")  # may stand without a value
_OPTIONS_OF = {"bind-": ("bind", "BindOptions"), "volume-": ("volume", "VolumeOptions"), "tmpfs-": ("tmpfs", "TmpfsOptions")}


def parse_mount(text: str) -> dict[str, Any]:
    """Read `--mount type=...,src=...,dst=...` into a Mount of the API. ValueError if it makes no sense."""
    mount: dict[str, Any] = {"Type": "volume", "Source": "", "Target": ""}
    if not text:
        raise ValueError("value is empty")
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key = _ALIASES.get(key.strip().lower(), key.strip().lower())
        if not equals and key not in _FLAGS:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        _apply(mount, key, value if equals else "true")
    _check(mount)
    return mount


def _apply(mount: dict[str, Any], key: str, value: str) -> None:
    if key == "type":
        mount["Type"] = value.lower()
    elif key == "source":
        mount["Source"] = os.path.abspath(value) if value.startswith(".") else value
    elif key == "target":
        mount["Target"] = value
    elif key == "readonly":
        mount["ReadOnly"] = _boolean(key, value)
    elif key == "consistency":
        mount["Consistency"] = value.lower()
    else:
        for prefix, (_, name) in _OPTIONS_OF.items():
            if key.startswith(prefix) and key in _SETTERS:
                _SETTERS[key](mount.setdefault(name, {}), value)
                return
        raise ValueError(f"unexpected key '{key}' in '{key}={value}'")


def _boolean(key: str, value: str) -> bool:
    if value.lower() in ("1", "true", "t"):
        return True
    if value.lower() in ("0", "false", "f"):
        return False
    raise ValueError(f"invalid value for {key}: {value}")


def _set_recursive(options: dict[str, Any], value: str) -> None:
    names = {"enabled": {}, "disabled": {"NonRecursive": True}, "writable": {"ReadOnlyNonRecursive": True}}
    if value not in (*names, "readonly"):
        raise ValueError(f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")')
    options.update(names.get(value, {"ReadOnlyForceRecursive": True}))


def _set_pair(name: str) -> Callable[[dict[str, Any], str], None]:
    def add(options: dict[str, Any], value: str) -> None:
        key, _, text = value.partition("=")
        options.setdefault(name, {})[key] = text

    return add


def _set_driver_option(options: dict[str, Any], value: str) -> None:
    key, _, text = value.partition("=")
    options.setdefault("DriverConfig", {}).setdefault("Options", {})[key] = text


def _set_mode(options: dict[str, Any], value: str) -> None:
    try:
        options["Mode"] = int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-mode: {value}") from None


def _set_size(options: dict[str, Any], value: str) -> None:
    try:
        options["SizeBytes"] = units.parse_size(value)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from None


_SETTERS: dict[str, Callable[[dict[str, Any], str], object]] = {
    "bind-create-src": lambda options, value: options.update(CreateMountpoint=_boolean("bind-create-src", value)),
    "bind-nonrecursive": lambda options, value: options.update(NonRecursive=_boolean("bind-nonrecursive", value)),
    "bind-propagation": lambda options, value: options.update(Propagation=value.lower()),
    "bind-recursive": _set_recursive,
    "tmpfs-mode": _set_mode,
    "tmpfs-size": _set_size,
    "volume-driver": lambda options, value: options.setdefault("DriverConfig", {}).update(Name=value),
    "volume-label": _set_pair("Labels"),
    "volume-nocopy": lambda options, value: options.update(NoCopy=_boolean("volume-nocopy", value)),
    "volume-opt": _set_driver_option,
    "volume-subpath": lambda options, value: options.update(Subpath=value),
}


def _check(mount: dict[str, Any]) -> None:
    if not mount["Type"]:
        raise ValueError("type is required")
    if not mount["Target"]:
        raise ValueError("target is required")
    for kind, name in _OPTIONS_OF.values():
        if name in mount and mount["Type"] != kind:
            raise ValueError(f"cannot mix '{kind}-*' options with mount type '{mount['Type']}'")


def parse_volumes(specifications: Iterable[str]) -> tuple[list[str], dict[str, object]]:
    """Read all `-v`: those with a source are binds, as given (but "./x" made absolute); the others are anonymous volumes by target."""
    binds, anonymous = list[str](), dict[str, object]()
    for text in specifications:
        if not text:
            raise PykeError("invalid empty volume spec")
        source, colon, rest = text.partition(":")
        if not colon:
            anonymous[text] = dict[str, object]()
        elif not source or not rest.split(":")[0]:
            raise PykeError(f"invalid spec: {text}: empty section between colons")
        elif source.startswith("."):
            binds.append(f"{os.path.abspath(source)}:{rest}")
        else:
            binds.append(text)
    return binds, anonymous


def parse_tmpfs(specifications: Iterable[str]) -> dict[str, str]:
    """Read all `--tmpfs PATH[:OPTIONS]`."""
    pairs = (text.partition(":") for text in specifications)
    return {path: options for path, _, options in pairs}
