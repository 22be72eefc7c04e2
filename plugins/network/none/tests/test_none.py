import pytest

from pyke.testing import NetworkConformance
from pyke_network_none.driver import NoneDriver


class TestNone(NetworkConformance):
    @pytest.fixture
    def driver_class(self) -> type[NoneDriver]:
        return NoneDriver
