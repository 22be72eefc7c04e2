"""A network's options, in Docker's words, read once and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyke.api import InvalidRequest, Network

INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}\Z")  # narrower than the kernel's rule: it goes into nft's language too
PREFIX = "com.docker.network.bridge."
MTU = "com.docker.network.driver.mtu"
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """How one bridge is to be."""

    name: str = ""
    is_default: bool = False
    inter_container: bool = True
    masquerade: bool = True
    mtu: int = 0  # bytes; 0: the kernel's default

    @classmethod
    def of(cls, network: Network) -> BridgeOptions:
        """Read a network's options; `InvalidRequest` names the one that makes no sense.

        One that is not known means nothing, as for Docker.
        """
        options = network.options
        name = options.get(PREFIX + "name", "")
        if name and not INTERFACE.match(name):
            raise InvalidRequest(f"invalid bridge name {name!r} for network {network.name}: at most 15 letters, digits, '_', '.', '-'")
        return cls(
            name=name,
            is_default=_flag(options, PREFIX + "default_bridge", False),
            inter_container=_flag(options, PREFIX + "enable_icc", True),
            masquerade=_flag(options, PREFIX + "enable_ip_masquerade", True),
            mtu=_mtu(options.get(MTU, "")),
        )


def _flag(options: Mapping[str, str], key: str, default: bool) -> bool:
    value = options.get(key, "").lower()
    if not value:
        return default
    if value not in TRUE + FALSE:
        raise InvalidRequest(f"option {key} is {value!r}: neither true nor false")
    return value in TRUE


def _mtu(value: str) -> int:
    if not value:
        return 0
    if not value.isascii() or not value.isdigit() or not 68 <= int(value[:8]) <= 65535:  # 68: RFC 791
        raise InvalidRequest(f"option {MTU} is {value[:40]!r}: not a number of bytes between 68 and 65535")
    return int(value)
