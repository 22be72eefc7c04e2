"""For authors of drivers: conformance suites, and a host to break. Imported by tests only; needs pytest."""

from pyke.testing.fakehost import FakeHost, Namespace
from pyke.testing.network import NetworkConformance
from pyke.testing.registries import RegistryConformance

__all__ = ["FakeHost", "Namespace", "NetworkConformance", "RegistryConformance"]
