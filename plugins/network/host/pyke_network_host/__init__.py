"""Offers the network driver "host"."""

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_network_drivers() -> list[Driver]:
    return [Driver("host", "pyke_network_host.driver:HostDriver", "the host's own network namespace")]
