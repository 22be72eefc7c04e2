"""What is mounted in a container, and what a volume is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RootFilesystem:
    """How to mount a snapshot, told by a storage driver and done by init inside the container's own mount namespace.

    `kind` overlay: lower directories topmost first, `upper` and `work` ("" for a read-only stack); each of `images` is mounted
    first, as (file, file system type, directory), and may serve as a lower directory. `kind` bind: `source` alone.
    """

    kind: str
    source: str = ""
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    images: tuple[tuple[str, str, str], ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount as it is in a container: what `inspect` shows under Mounts. `source` is the host path that is bound."""

    kind: str  # bind, volume, tmpfs
    target: str
    source: str = ""
    name: str = ""  # of the volume
    driver: str = ""
    read_only: bool = False
    propagation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Volume:
    name: str
    driver: str = "local"
    mountpoint: str = ""
    created: int = 0  # ns
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False
