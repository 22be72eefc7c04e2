"""Images from and to any registry of the OCI Distribution protocol."""

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_registries():  # type: ignore[no-untyped-def]
    yield Driver("distribution", "pyke_registry_distribution.driver:DistributionClient", summary="any OCI or Docker registry")
