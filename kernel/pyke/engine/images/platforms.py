"""Platforms: "linux/arm64", what this machine runs, and which image of an index is the best for it (image-spec, image-index.md)."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from typing import Any

from pyke.engine.images.json_objects import as_object, as_text
from pyke.errors import InvalidRequest

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "loongarch64": "loong64"}
SPELLINGS = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
DEFAULT_VARIANTS = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
OLDER_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "amd64": ("v4", "v3", "v2", "v1"), "arm64": ("v9", "v8")}
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}\Z")


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image is made for, in the words of Go; `variant` "" is the usual one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def full_variant(self) -> str:
        return self.variant or DEFAULT_VARIANTS.get(self.architecture, "")

    def fitness(self, offered: Platform) -> int:
        """How well an image for `offered` runs here: 0 not at all, and else the more the better."""
        if (offered.os, offered.architecture) != (self.os, self.architecture):
            return 0
        variants = OLDER_VARIANTS.get(self.architecture, ())
        if self.full_variant == offered.full_variant:
            return 100
        if self.full_variant not in variants or offered.full_variant not in variants:
            return 0
        distance = variants.index(offered.full_variant) - variants.index(self.full_variant)
        return 100 - distance if distance > 0 else 0


def architecture() -> str:
    """This machine's architecture in the words of images: "amd64", "arm64", ..."""
    machine = platform.machine()
    return MACHINES.get(machine, machine)


def native() -> Platform:
    """The platform of this machine."""
    variant = "v6" if platform.machine() == "armv6l" else ""
    return Platform("linux", architecture(), variant)


def parse(text: str) -> Platform:
    """What `--platform` says: OS/ARCHITECTURE[/VARIANT], or one of the first two; "" is this machine."""
    if not text:
        return native()
    parts = text.lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(map(_PART.match, parts)):
        raise InvalidRequest(
            f'"{text[:80]}": unknown operating system or architecture: invalid argument', hint="pyke pull --platform linux/amd64"
        )
    if len(parts) == 1:
        return Platform(parts[0], architecture()) if parts[0] == "linux" else _normal("linux", parts[0], "")
    return _normal(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def of_descriptor(descriptor: dict[str, Any]) -> Platform | None:
    """The platform of a descriptor in an index; None where it has none."""
    data = as_object(descriptor.get("platform"), "platform of a descriptor")
    if not data:
        return None
    os, machine, variant = (as_text(data.get(key), f"platform.{key} of a descriptor") for key in ("os", "architecture", "variant"))
    return _normal(os, machine, variant)


def _normal(os: str, machine: str, variant: str) -> Platform:
    machine = SPELLINGS.get(machine, machine)
    return Platform(os, machine, "" if variant == DEFAULT_VARIANTS.get(machine) else variant)
