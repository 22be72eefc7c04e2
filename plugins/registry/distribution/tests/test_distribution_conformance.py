"""The client of any registry, against the conformance suite."""

import pytest

from pyke.testing import RegistryConformance
from pyke_registry_distribution.driver import DistributionClient


class TestDistribution(RegistryConformance):
    @pytest.fixture
    def client_class(self) -> type[DistributionClient]:
        return DistributionClient
