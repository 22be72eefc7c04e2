"""What the things on the host are called. An interface's name has at most 15 bytes, so an engine's tag has to be short."""

from __future__ import annotations

import hashlib
import ipaddress

from pyke.api import Endpoint, Network
from pyke_network_bridge.options import BridgeOptions


class Names:
    """The names of one engine: two engines with different tags never meet, and each knows its own."""

    def __init__(self, tag: str) -> None:
        self.default_bridge = f"pyke0-{tag}" if tag else "pyke0"
        self.table = f"pyke_{tag}" if tag else "pyke"
        self.alias = f"pyke {tag or 'main'}"  # kept by the kernel with a bridge: who made it
        self._veth_prefix = f"pv{tag}" if tag else "pv-"

    def bridge(self, network: Network) -> str:
        """The bridge of a network: what its options ask for, else a name that follows from its ID."""
        options = BridgeOptions.of(network)
        return options.name or (self.default_bridge if options.is_default else f"pk-{network.id[:12]}")

    def veth(self, endpoint: Endpoint) -> str:
        """The host's end of an endpoint's pair. It follows from the endpoint's ID, so that undoing needs no memory."""
        digest = hashlib.sha256(endpoint.id.encode()).hexdigest()
        return (self._veth_prefix + digest)[:15]

    def is_veth(self, interface: str) -> bool:
        """Whether an interface is the host's end of one of this engine's pairs."""
        return interface.startswith(self._veth_prefix) and len(interface) == 15


def mac_address(address: str) -> str:
    """The MAC address that goes with an IPv4 address, as Docker computes it: neighbours' ARP caches stay right over a restart."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Interface(address).ip.packed)
