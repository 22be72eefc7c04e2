"""Container file systems on overlayfs."""

from collections.abc import Iterable

from pyke.api import Driver, hookimpl


@hookimpl
def pyke_storage_drivers() -> Iterable[Driver]:
    """Offer the driver `overlay`."""
    yield Driver("overlay", "pyke_storage_overlay.driver:OverlayDriver", summary="layers unpacked into directories, stacked by overlayfs")
