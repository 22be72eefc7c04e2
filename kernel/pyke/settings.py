"""config.yaml: what can be set about an engine. Every key has a default, unknown keys are refused, and docs/settings.md lists them all.

The keys are the fields of the dataclasses below. Sizes are bytes, or a string such as "10m" (binary multiples, as for `docker run
--memory`); times are seconds, or a string such as "5m".
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyke.archive.limits import DEFAULT_IMAGE_LIMITS, DEFAULT_LIMITS, ArchiveLimits, ImageLimits
from pyke.errors import InvalidRequest


class BadSettings(InvalidRequest):
    """config.yaml cannot be used; the message names the key."""


def key(default: Any, text: str, *, unit: str = "") -> Any:
    """A key of config.yaml: its default, its documentation, and its unit ("bytes" and "seconds" may be written with a suffix)."""
    metadata = {"text": text, "unit": unit}
    return field(default_factory=dict, metadata=metadata) if default == {} else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What becomes of what containers print, unless `--log-driver` and `--log-opt` say otherwise."""

    driver: str = key("json-file", "`json-file` or `none`.")
    max_size: int = key(10 * 1024**2, "A log file is rotated when it is larger.", unit="bytes")
    max_files: int = key(3, "How many files of one container are kept, the current one included.")


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """What a layer or an imported file system may be. Larger ones are refused."""

    max_bytes: int = key(DEFAULT_LIMITS.max_bytes, "Unpacked bytes of one layer.", unit="bytes")
    max_entries: int = key(DEFAULT_LIMITS.max_entries, "Files, directories and links in one layer.")
    max_ratio: int = key(DEFAULT_LIMITS.max_ratio, "How many times larger than its compressed form a layer may be.")
    max_window: int = key(
        DEFAULT_LIMITS.max_window,
        "Memory that a zstd layer may want for looking back; `zstd --ultra` and `--long` make layers that want up to 128m.",
        unit="bytes",
    )

    def limits(self) -> ArchiveLimits:
        """The limits as the archive's rooms take them."""
        return dataclasses.replace(DEFAULT_LIMITS, **dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What an image from a registry, or an archive of images, may be beside its layers. More is refused."""

    max_document: int = key(
        DEFAULT_IMAGE_LIMITS.max_document,
        "A manifest, an index or a configuration. Of manifests, registries send no more than 4 MiB.",
        unit="bytes",
    )
    max_values: int = key(DEFAULT_IMAGE_LIMITS.max_values, "Values in one of these: texts, numbers, lists and objects.")
    max_images: int = key(DEFAULT_IMAGE_LIMITS.max_images, "Images in an archive that is loaded.")
    max_files: int = key(DEFAULT_IMAGE_LIMITS.max_files, "Files in an archive that is loaded: each layer has up to three.")

    def limits(self) -> ImageLimits:
        """The limits as the rooms of images take them."""
        return ImageLimits(**dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How networks are made when the command does not say."""

    driver: str = key("bridge", "The driver of `network create`.")


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Where images come from. A registry is named as in references: `docker.io`, `registry.corp:5000`."""

    mirrors: Mapping[str, tuple[str, ...]] = key({}, 'Asked first, without credentials: `{docker.io: ["https://mirror.corp"]}`.')
    insecure: tuple[str, ...] = key(
        (), "Registries, or networks such as 10.0.0.0/8, that may use plain HTTP or any certificate; loopback may."
    )
    realms: Mapping[str, tuple[str, ...]] = key({}, "Hosts of token servers that may see a registry's credentials, beside its own domain.")
    certificates: tuple[str, ...] = key(
        ("/etc/pyke/certs.d", "/etc/docker/certs.d"), "Folders with a folder for each registry: `*.crt`, and pairs of `*.cert` and `*.key`."
    )
    http_proxy: str = key(
        "", "The proxy for plain HTTP, `http://[USER:PASSWORD@]HOST:PORT`; empty means HTTP_PROXY of the engine's environment."
    )
    https_proxy: str = key("", "The proxy for HTTPS; empty means HTTPS_PROXY.")
    no_proxy: str = key("", "Who is reached without a proxy, `corp.example,10.0.0.0/8`; empty means NO_PROXY. `*` is everybody.")
    downloads: int = key(3, "How many layers are fetched at a time.")
    uploads: int = key(5, "How many layers of one image are sent at a time.")
    attempts: int = key(5, "How often a download is begun again that does not get on.")
    silence: float = key(60.0, "A download that brings less than 1 KiB a second for this time is begun again.", unit="seconds")
    keep_partial: float = key(86400.0, "How long what was fetched for an unfinished pull is kept.", unit="seconds")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of config.yaml."""

    storage_driver: str = key("", "The storage driver; empty chooses the best that this host supports.")
    idle_timeout: float = key(
        300.0,
        "An engine without running containers leaves after this time, unless a client of Docker's has come; 0 keeps it.",
        unit="seconds",
    )
    stop_timeout: int = key(10, "How long `stop` waits before it kills.", unit="seconds")
    disabled_plugins: tuple[str, ...] = key((), "Plugins that are not loaded; `PYKE_DISABLE_PLUGINS` adds to them.")
    authorizers: tuple[str, ...] = key((), "Plugins that must be working: without them, every operation is refused.")
    drivers: Mapping[str, Mapping[str, str]] = key({}, 'What drivers are told: `{network-bridge: {mtu: "1400"}}`.')
    logs: LogSettings = key(LogSettings(), "See below.")
    archives: ArchiveSettings = key(ArchiveSettings(), "See below.")
    images: ImageSettings = key(ImageSettings(), "See below.")
    networks: NetworkSettings = key(NetworkSettings(), "See below.")
    registries: RegistrySettings = key(RegistrySettings(), "See below.")

    @property
    def network_driver(self) -> str:
        return self.networks.driver

    @property
    def log_driver(self) -> str:
        return self.logs.driver


def load(path: str) -> Settings:
    """The settings in the file `path`; the defaults when there is none. `BadSettings` names the file, the key and what is wrong."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"the settings {path} cannot be read: {error}", hint=f"ls -l {path}") from error
    try:
        return parse(text)
    except BadSettings as error:
        raise BadSettings(f"{path}: {error.message}", hint=f"${{EDITOR:-vi}} {path}") from error


def parse(text: str) -> Settings:
    """The settings in a YAML document."""
    import yaml  # 25 ms, and most engines have no such file

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadSettings(" ".join(str(error).split())) from error
    return typing.cast(Settings, _section(Settings, {} if data is None else data, ""))


def _section(kind: type, data: Any, place: str) -> Any:
    if not isinstance(data, dict):
        raise BadSettings(f"{place or 'the file'} must hold keys and values, not {_said(data)}")
    fields = {each.name: each for each in dataclasses.fields(kind)}
    for name in data:
        if name not in fields:
            raise BadSettings(f"there is no key {_path(place, str(name))}{_suggestion(str(name), fields)}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], fields[name].metadata["unit"], value, _path(place, name)) for name, value in data.items()})


def _value(kind: Any, unit: str, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _section(typing.cast(type, kind), value, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise BadSettings(f"{place} must be a list, not {_said(value)}")
        return tuple(_value(arguments[0], unit, item, f"{place}[{number}]") for number, item in enumerate(value))
    if origin is not None:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise BadSettings(f"{place} must hold keys and values, not {_said(value)}")
        return {name: _value(arguments[1], unit, item, _path(place, name)) for name, item in value.items()}
    if kind is str:
        if not isinstance(value, str):
            raise BadSettings(f"{place} must be text, not {_said(value)}: put it in quotes")
        return value
    return _number(kind, unit, value, place)


SUFFIXES = {
    "bytes": {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4},
    "seconds": {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400},
}


def _number(kind: type, unit: str, value: Any, place: str) -> int | float:
    if isinstance(value, str) and unit:
        value = _with_suffix(value, unit, place)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise BadSettings(f"{place} must be a {'whole ' if kind is int else ''}number{' of ' + unit if unit else ''}, not {_said(value)}")
    if not 0 <= value < 2**62:  # refuses nan and inf, too
        raise BadSettings(f"{place} must not be {_said(value)}")
    return typing.cast("int | float", kind(value))


def _with_suffix(value: str, unit: str, place: str) -> int:
    match = re.fullmatch(r"(\d{1,18})\s*([a-z]?)(?:i?b)?", value.strip().lower(), re.ASCII)
    if not match or match[2] not in SUFFIXES[unit]:
        known = ", ".join(suffix for suffix in SUFFIXES[unit] if suffix)
        raise BadSettings(f"{place} must be a number of {unit}, with one of {known} behind it or nothing, not {_said(value)}")
    return int(match[1]) * SUFFIXES[unit][match[2]]


def _path(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.replace("-", "_"), known, 1)
    return f": did you mean {close[0]}?" if close else f": the keys are {', '.join(sorted(known))}"


def _said(value: object) -> str:
    """A value as an error quotes it."""
    return "nothing" if value is None else f"{value!r:.60}"


def documentation() -> str:
    """docs/settings.md, as it has to be: a table for each section."""
    head = (
        "# Settings\n\n"
        "`/etc/pyke/config.yaml` (for an engine with a `--root` of its own, `ROOT/config.yaml`). Every key has a default, an unknown key\n"
        "is an error. Sizes are bytes or `10m`, times are seconds or `5m`. This page is made by `python -m pyke.settings`; a test holds\n"
        "the two together.\n"
    )
    groups = [(each.name, type(each.default)) for each in dataclasses.fields(Settings) if dataclasses.is_dataclass(each.default)]
    return "\n".join([head, *(_table(name, kind) for name, kind in [("", Settings), *groups])])


def _table(section: str, kind: type) -> str:
    title = f"## `{section}`" if section else "## At the top"
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for each in dataclasses.fields(kind):
        shown = "`{}`" if each.default is dataclasses.MISSING else f"`{_yaml(each.default)}`"
        if dataclasses.is_dataclass(each.default):
            shown = ""  # it has a table of its own
        text = each.metadata["text"] + (f" ({each.metadata['unit']})" if each.metadata["unit"] else "")
        rows.append(f"| `{each.name}` | {shown} | {text} |")
    return "\n".join([title, "", kind.__doc__ or "", "", *rows, ""])


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if dataclasses.is_dataclass(value):
        return "{" + ", ".join(f"{each.name}: {_yaml(getattr(value, each.name))}" for each in dataclasses.fields(value)) + "}"
    return '""' if value == "" else str(value)


if __name__ == "__main__":
    os.write(1, documentation().encode())
