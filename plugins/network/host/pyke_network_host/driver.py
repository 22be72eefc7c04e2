"""The driver "host": there is nothing to connect, because nothing is apart."""

from pyke.api import Endpoint, Network, NetworkDriver


class HostDriver(NetworkDriver):
    """Containers live in the host's own network namespace: the engine asks for none, and calls neither method below for one."""

    shares_host_namespace = True

    def attach(self, network: Network, endpoint: Endpoint, namespace: str) -> Endpoint:
        return endpoint

    def detach(self, network: Network, endpoint: Endpoint, namespace: str) -> None:
        pass
