"""The hooks, and nothing else. Each is described with an example in docs/hooks.md, which a test holds against this file.

The first eight offer something; a plugin yields descriptors, and what they describe is imported at first use. The others follow the
life of the engine and its containers. `creating` and `starting` may return a changed specification; the rest are told, and what
they return is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from pyke.drivers import Driver
from pyke.model import Authorization, Caller, Container, ContainerSpec, Image

hookspec = pluggy.HookspecMarker("pyke")
hookimpl = pluggy.HookimplMarker("pyke")


@hookspec
def pyke_storage_drivers() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer drivers that keep layers and container file systems (`StorageDriver`)."""


@hookspec
def pyke_volume_drivers() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer drivers that keep volumes (`VolumeDriver`)."""


@hookspec
def pyke_network_drivers() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer drivers that connect containers (`NetworkDriver`)."""


@hookspec
def pyke_registries() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer clients of image registries."""


@hookspec
def pyke_runtimes() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer runtimes beside the native one."""


@hookspec
def pyke_log_drivers() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer destinations for what containers print, beside json-file and none."""


@hookspec
def pyke_commands() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer commands of the `pyke` command line; `target` is a function of the remaining arguments that returns an exit status."""


@hookspec
def pyke_routes() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Offer routes of the API below /pyke/PLUGIN/; `target` is a function that takes a request and returns a reply."""


@hookspec
def pyke_engine_started() -> None:
    """The engine has recovered and answers."""


@hookspec
def pyke_engine_stopping() -> None:
    """The engine is about to leave; containers run on."""


@hookspec(firstresult=False)
def pyke_container_creating(spec: ContainerSpec, caller: Caller) -> ContainerSpec | None:
    """Look at, change (by returning another) or refuse (by raising a PykeError) what is about to be created."""


@hookspec
def pyke_container_created(container: Container) -> None:
    """A container exists."""


@hookspec
def pyke_container_starting(container: Container, config: dict[str, Any]) -> dict[str, Any] | None:
    """Look at, change (by returning another) or refuse the OCI runtime configuration of a container about to start."""


@hookspec
def pyke_container_started(container: Container) -> None:
    """A container's process runs."""


@hookspec
def pyke_container_stopping(container: Container, signal: int) -> None:
    """A container is about to be sent the signal that asks it to end."""


@hookspec
def pyke_container_exited(container: Container) -> None:
    """A container's process ended; `container.state` has its exit status."""


@hookspec
def pyke_container_removed(container: Container) -> None:
    """A container and its file system are gone."""


@hookspec
def pyke_image_added(image: Image, source: str) -> None:
    """An image was pulled, loaded, imported, committed or built (`source` says which)."""


@hookspec
def pyke_authorize(request: Authorization) -> None:
    """Refuse an operation by raising `Forbidden`; whatever else is raised refuses it too."""
