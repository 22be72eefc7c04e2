import pytest

from pyke.testing import NetworkConformance
from pyke_network_host.driver import HostDriver


class TestHost(NetworkConformance):
    @pytest.fixture
    def driver_class(self) -> type[HostDriver]:
        return HostDriver
