"""What an image is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyke.model.specs import HealthCheck


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an image's configuration that a container starts from. It is data: it never configures the engine."""

    environment: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_directory: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    health: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    created: str = ""  # RFC 3339
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in an image: the digest of its plain tar, and of the stack that it completes. `size` is unpacked bytes."""

    diff_id: str
    chain_id: str
    blob: str  # digest of the blob as stored in the OCI layout
    size: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """An image. `id` is the digest of its configuration, as `docker images --no-trunc` shows it."""

    id: str
    manifest: str  # digest in the OCI layout
    tags: tuple[str, ...] = ()  # "docker.io/library/busybox:latest": canonical; `references.familiar` shortens
    repo_digests: tuple[str, ...] = ()
    created: str = ""  # RFC 3339
    architecture: str = ""
    variant: str = ""
    os: str = ""
    author: str = ""
    comment: str = ""
    config: ImageConfig = ImageConfig()
    layers: tuple[Layer, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    parent: str = ""
    size: int = 0
    removed: bool = False  # by force, and kept only because containers stand on its layers; no list shows it

    @property
    def chain_id(self) -> str:
        """The chain ID of the topmost layer, or "" for an image without layers."""
        return self.layers[-1].chain_id if self.layers else ""
