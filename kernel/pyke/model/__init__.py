"""What an image, a container, a network and a mount are: frozen dataclasses that survive JSON.

Everything that crosses a border (engine and driver, engine and database, hook and hook) is one of these or a builtin.
`codec.to_data` and `codec.from_data` carry them through JSON. Units: bytes, seconds (float) and, for instants,
nanoseconds since the epoch (int), unless a name says otherwise. Everybody imports them from here, whichever room they live in.
"""

from __future__ import annotations

from pyke.model.containers import Container, ContainerState, Ending, Exec, ExecSpec, Health, Probe, Request
from pyke.model.events import Authorization, Caller, Event
from pyke.model.images import HistoryEntry, Image, ImageConfig, Layer
from pyke.model.mounts import Mount, RootFilesystem, Volume
from pyke.model.networks import Endpoint, Network, PublishedPort, Subnet
from pyke.model.specs import (
    ContainerSpec,
    DeviceSpec,
    EndpointSpec,
    HealthCheck,
    Limits,
    LogConfig,
    MountSpec,
    Namespaces,
    PortSpec,
    RestartPolicy,
    Security,
)

__all__ = [
    "Authorization",
    "Caller",
    "Container",
    "ContainerSpec",
    "ContainerState",
    "DeviceSpec",
    "Ending",
    "Endpoint",
    "EndpointSpec",
    "Event",
    "Exec",
    "ExecSpec",
    "Health",
    "HealthCheck",
    "HistoryEntry",
    "Image",
    "ImageConfig",
    "Layer",
    "Limits",
    "LogConfig",
    "Mount",
    "MountSpec",
    "Namespaces",
    "Network",
    "PortSpec",
    "Probe",
    "PublishedPort",
    "Request",
    "RestartPolicy",
    "RootFilesystem",
    "Security",
    "Subnet",
    "Volume",
]
