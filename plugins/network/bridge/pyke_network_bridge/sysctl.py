"""The kernel's switches below /proc/sys/net. They belong to the network namespace of the calling thread."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pyke.api import PykeError

ROOT = Path("/proc/sys/net")


def write(switch: str, value: int) -> None:
    """Set a switch ("ipv4/ip_forward"); one that has the value already is not written."""
    path = ROOT / switch
    try:
        if path.read_text().strip() != str(value):
            path.write_text(str(value))
    except OSError as error:
        raise PykeError(f"cannot set {path} to {value}: {error.strerror}", hint=f"cat {path}") from error


def write_ipv6(switch: str, value: int) -> None:
    """Set a switch below ipv6/, which a kernel without IPv6 does not have and does not need."""
    if (ROOT / "ipv6").exists():
        write(f"ipv6/{switch}", value)


def is_set(switch: str) -> bool:
    """Whether a switch exists and is not 0."""
    with contextlib.suppress(OSError):
        return (ROOT / switch).read_text().strip() != "0"
    return False
