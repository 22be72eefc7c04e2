"""The driver. `NetworkDriver` says what each method promises; the engine owns everything else (addresses, locks, recovery)."""

from pyke.api import Endpoint, Network, NetworkDriver


class NoneDriver(NetworkDriver):
    """Leaves a container alone: its namespace has a loopback interface already."""

    def attach(self, network: Network, endpoint: Endpoint, namespace: str) -> Endpoint:
        return endpoint

    def detach(self, network: Network, endpoint: Endpoint, namespace: str) -> None:
        pass
