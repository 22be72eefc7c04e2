"""An image's configuration, as its JSON says (OCI image-spec, config.md, and Docker's image specification 1.2), and as `pyke.model` says.

The JSON is data: none of it reaches settings, helpers or hooks of the engine. Its bytes are kept untouched, since their digest is the
image's ID.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from pyke.archive.limits import ImageLimits
from pyke.engine.images.json_objects import as_integer, as_labels, as_list, as_object, as_text, as_texts, json_object
from pyke.engine.images.references import Digest
from pyke.errors import BadArchive
from pyke.model import HealthCheck, HistoryEntry, Image, ImageConfig, Layer

NANOSECONDS = 1_000_000_000
MAX_LAYERS = 500  # what overlayfs stacks (OVL_MAX_STACK): no setting could raise it
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)\Z")


def parse(text: bytes, limits: ImageLimits) -> Image:
    """The image that a configuration describes: without tags, manifest, blobs and sizes of layers."""
    id = Digest.of(text)
    what = f"the configuration {id.short}"
    data = json_object(text, what, limits)
    history = tuple(_history(each, what) for each in as_list(data.get("history"), f"history of {what}"))
    return Image(
        id=id,
        manifest="",
        created=_instant(data.get("created"), f"created of {what}"),
        architecture=as_text(data.get("architecture"), f"architecture of {what}"),
        variant=as_text(data.get("variant"), f"variant of {what}"),
        os=as_text(data.get("os"), f"os of {what}") or "linux",
        author=as_text(data.get("author"), f"author of {what}"),
        comment=as_text(data.get("comment"), f"comment of {what}") or (history[-1].comment if history else ""),
        config=parse_config(data.get("config"), what),
        layers=_layers(data.get("rootfs"), what),
        history=history,
    )


def parse_config(value: Any, what: str) -> ImageConfig:
    """The part that a container starts from."""
    data = as_object(value, f"config of {what}")

    def place(key: str) -> str:
        return f"{key} of {what}"

    return ImageConfig(
        environment=tuple(each for each in as_texts(data.get("Env"), place("Env")) if each.partition("=")[0]),
        entrypoint=_words(data.get("Entrypoint"), place("Entrypoint")),
        command=_words(data.get("Cmd"), place("Cmd")),
        working_directory=as_text(data.get("WorkingDir"), place("WorkingDir")),
        user=as_text(data.get("User"), place("User")),
        labels=as_labels(data.get("Labels"), place("Labels")),
        exposed_ports=tuple(sorted(as_texts(list(as_object(data.get("ExposedPorts"), place("ExposedPorts"))), place("ExposedPorts")))),
        volumes=tuple(sorted(_volume(each, place("Volumes")) for each in as_object(data.get("Volumes"), place("Volumes")))),
        stop_signal=as_text(data.get("StopSignal"), place("StopSignal")),
        shell=as_texts(data.get("Shell"), place("Shell")),
        on_build=as_texts(data.get("OnBuild"), place("OnBuild")),
        health=_health(data.get("Healthcheck"), place("Healthcheck")),
    )


def chain(diff_ids: list[str]) -> list[str]:
    """The chain IDs of a stack of layers (config.md, "Layer ChainID")."""
    chain_ids: list[str] = []
    for diff_id in diff_ids:
        below = chain_ids[-1] if chain_ids else ""
        chain_ids.append("sha256:" + hashlib.sha256(f"{below} {diff_id}".encode()).hexdigest() if below else diff_id)
    return chain_ids


def _layers(value: Any, what: str) -> tuple[Layer, ...]:
    rootfs = as_object(value, f"rootfs of {what}")
    diff_ids = list(as_texts(rootfs.get("diff_ids"), f"rootfs.diff_ids of {what}"))
    if len(diff_ids) > MAX_LAYERS:
        raise BadArchive(f"{what} has {len(diff_ids)} layers, more than {MAX_LAYERS}")
    for diff_id in diff_ids:
        Digest(diff_id)
    return tuple(Layer(diff_id, chain_id, blob="") for diff_id, chain_id in zip(diff_ids, chain(diff_ids), strict=True))


def _words(value: Any, what: str) -> tuple[str, ...] | None:
    """None where it is absent. A string, as images of old tools have it, is a command for the shell."""
    if value is None:
        return None
    return ("/bin/sh", "-c", value) if isinstance(value, str) else as_texts(value, what)


def _volume(name: str, what: str) -> str:
    target = as_text(name, what)
    if not target.startswith("/") or ".." in target.split("/"):
        raise BadArchive(f"{what} names {target[:200]!r}, which is not an absolute path")
    return target


def _history(value: Any, what: str) -> HistoryEntry:
    entry = as_object(value, f"history of {what}")
    empty = entry.get("empty_layer")
    if empty is not None and not isinstance(empty, bool):
        raise BadArchive(f"empty_layer in the history of {what} is neither true nor false")
    return HistoryEntry(
        created=_instant(entry.get("created"), f"history of {what}"),
        created_by=as_text(entry.get("created_by"), f"history of {what}"),
        author=as_text(entry.get("author"), f"history of {what}"),
        comment=as_text(entry.get("comment"), f"history of {what}"),
        empty_layer=bool(empty),
    )


def _health(value: Any, what: str) -> HealthCheck | None:
    if value is None:
        return None
    data = as_object(value, what)
    return HealthCheck(
        test=as_texts(data.get("Test"), what),
        interval=as_integer(data.get("Interval"), what) / NANOSECONDS,
        timeout=as_integer(data.get("Timeout"), what) / NANOSECONDS,
        start_period=as_integer(data.get("StartPeriod"), what) / NANOSECONDS,
        retries=as_integer(data.get("Retries"), what),
        start_interval=as_integer(data.get("StartInterval"), what) / NANOSECONDS,
    )


def _instant(value: Any, what: str) -> str:
    text = as_text(value, what)
    if text and not _INSTANT.match(text):
        raise BadArchive(f"{what} is {text[:80]!r}, which is not an instant of RFC 3339")
    return text
