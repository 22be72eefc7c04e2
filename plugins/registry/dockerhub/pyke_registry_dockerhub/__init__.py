"""Docker Hub: the registry of names that name none."""

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_registries():  # type: ignore[no-untyped-def]
    yield Driver("dockerhub", "pyke_registry_dockerhub.driver:DockerHubClient", summary="Docker Hub, with its search", rank=10)
