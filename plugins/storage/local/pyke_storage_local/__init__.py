"""Volumes on the host's own disk."""

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_volume_drivers():  # type: ignore[no-untyped-def]
    yield Driver("local", "pyke_storage_local.driver:LocalDriver", summary="volumes on the host's own disk")
