import pytest
from pyke_network_host.driver import HostDriver

from pyke.testing import NetworkConformance


class TestHost(NetworkConformance):
    @pytest.fixture
    def driver_class(self) -> type[HostDriver]:
        return HostDriver
