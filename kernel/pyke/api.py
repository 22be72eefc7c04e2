"""All that a plugin may import."""

from pyke.archive.extract import extract
from pyke.archive.limits import ArchiveLimits
from pyke.archive.source import Source
from pyke.archive.tree import size_of
from pyke.drivers import (
    Driver,
    DriverHome,
    LayerRequest,
    NetworkDriver,
    ReconcilesNetworks,
    RouteReply,
    RouteRequest,
    StorageDriver,
    VolumeDriver,
    replace,
)
from pyke.errors import (
    BadArchive,
    Conflict,
    Forbidden,
    InvalidRequest,
    NoSpace,
    NotFound,
    PykeError,
)
from pyke.hookspecs import hookimpl
from pyke.model import (
    Authorization,
    Caller,
    Container,
    ContainerSpec,
    Endpoint,
    Image,
    Network,
    PublishedPort,
    RootFilesystem,
    Subnet,
    Volume,
)
from pyke.runtime.linux import syncfs

__all__ = [
    "ArchiveLimits",
    "Authorization",
    "BadArchive",
    "Caller",
    "Conflict",
    "Container",
    "ContainerSpec",
    "Driver",
    "DriverHome",
    "Endpoint",
    "Forbidden",
    "Image",
    "InvalidRequest",
    "LayerRequest",
    "Network",
    "NetworkDriver",
    "NoSpace",
    "NotFound",
    "PublishedPort",
    "PykeError",
    "ReconcilesNetworks",
    "RootFilesystem",
    "RouteReply",
    "RouteRequest",
    "Source",
    "StorageDriver",
    "Subnet",
    "Volume",
    "VolumeDriver",
    "extract",
    "hookimpl",
    "replace",
    "size_of",
    "syncfs",
]
