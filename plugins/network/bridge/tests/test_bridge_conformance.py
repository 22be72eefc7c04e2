import pytest

from pyke.testing import NetworkConformance
from pyke_network_bridge.driver import BridgeDriver


class TestBridge(NetworkConformance):
    @pytest.fixture
    def driver_class(self) -> type[BridgeDriver]:
        return BridgeDriver
