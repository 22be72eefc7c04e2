"""How much of an archive, and of an image that comes from outside, pyke is willing to take."""

from __future__ import annotations

from dataclasses import dataclass

from pyke.errors import BadArchive

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may cost. Sizes are in bytes; going over any of them is a `BadArchive`.

    `max_window` is how much of its output a zstd stream may want to be kept in memory: up to 128 MiB with `zstd --ultra` and `--long`.
    A compressed stream may not unpack to more than `max_ratio` times its size once it has given `ratio_grace` bytes: zeros compress
    a thousandfold, and small archives of zeros are honest.
    """

    max_bytes: int = 256 * GIB  # file content, unpacked
    max_entries: int = 4_000_000
    max_name: int = 4096  # PATH_MAX
    max_depth: int = 256  # components of a name
    max_header: int = MIB  # one extended header: long names, extended attributes
    max_ratio: int = 250
    ratio_grace: int = 512 * MIB
    max_window: int = 32 * MIB  # what Go's encoder, which most builders use, looks back on at its best level; zstd(1) up to -19, 8


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image from a registry or an archive may be, beside what its layers may be. More is a `BadArchive`, too."""

    max_document: int = 4 * MIB  # bytes of a manifest, an index or a configuration, as registries limit them
    max_values: int = 200_000  # in such a document: an object of a few letters takes two hundred bytes of memory
    max_images: int = 1000  # in an archive
    max_files: int = 20_000  # in an archive of images: 500 layers of three files each, and a dozen images


DEFAULT_LIMITS = ArchiveLimits()
DEFAULT_IMAGE_LIMITS = ImageLimits()


def beyond(message: str, key: str) -> BadArchive:
    """The error for what goes over a limit that can be set: its hint is the key of config.yaml."""
    return BadArchive(message, hint=f"${{EDITOR:-vi}} /etc/pyke/config.yaml   # {key}")
