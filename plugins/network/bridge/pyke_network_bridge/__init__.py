"""Offers the network driver "bridge"."""

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_network_drivers() -> list[Driver]:
    return [Driver("bridge", "pyke_network_bridge.driver:BridgeDriver", "Linux bridges behind the host's address, with published ports")]
