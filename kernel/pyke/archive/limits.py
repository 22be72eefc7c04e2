"""How much of an archive pyke is willing to take."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may cost. Sizes are in bytes; going over any of them is a `BadArchive`.

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


DEFAULT_LIMITS = ArchiveLimits()
