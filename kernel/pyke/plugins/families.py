"""The families of things that plugins bring, and the fixed table of what pyke's own distributions bring."""

from __future__ import annotations

from dataclasses import dataclass

from pyke.drivers import NetworkDriver, ReconcilesNetworks, RenamesLayers, StorageDriver, VolumeDriver
from pyke.registries import (
    ChecksCredentials,
    DeletesManifests,
    ListsTags,
    PushesImages,
    RegistryClient,
    SearchesImages,
    TellsQuota,
)

REGISTRY = (RegistryClient, PushesImages, ListsTags, DeletesManifests, ChecksCredentials, SearchesImages, TellsQuota)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of driver: the hook that offers it, what it is called in a sentence, and what its methods promise.

    `contracts` are the classes whose annotations say what a method returns; `official` are the drivers for which
    `pip install pyke-SHELF-DRIVER` is known to work.
    """

    name: str
    hook: str
    noun: str
    contracts: tuple[type, ...] = ()
    official: tuple[str, ...] = ()
    shelf: str = ""  # the folder of plugins/ that holds the official ones, where it is not called as the family

    def distribution(self, driver: str) -> str:
        """The distribution that brings an official driver, or "" for a driver that pyke does not know."""
        return f"pyke-{self.plugin(driver)}" if driver in self.official else ""

    def plugin(self, driver: str) -> str:
        """The name that the plugin which brings a driver has by the spelling rule."""
        return f"{self.shelf or self.name}-{driver}"


FAMILIES = {
    family.name: family
    for family in (
        Family("storage", "pyke_storage_drivers", "storage driver", (StorageDriver, RenamesLayers), ("overlay", "erofs")),
        Family("volume", "pyke_volume_drivers", "volume driver", (VolumeDriver,), ("local", "sshfs"), shelf="storage"),
        Family("network", "pyke_network_drivers", "network driver", (NetworkDriver, ReconcilesNetworks), ("none", "host", "bridge")),
        Family("registry", "pyke_registries", "registry client", REGISTRY, ("distribution", "dockerhub")),
        Family("runtime", "pyke_runtimes", "runtime"),
        Family("log", "pyke_log_drivers", "log driver"),
        Family("command", "pyke_commands", "command"),
        Family("route", "pyke_routes", "API route"),
    )
}
