import pytest
from pyke_network_none.driver import NoneDriver

from pyke.testing import NetworkConformance


class TestNone(NetworkConformance):
    @pytest.fixture
    def driver_class(self) -> type[NoneDriver]:
        return NoneDriver
