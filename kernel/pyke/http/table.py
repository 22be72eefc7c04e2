"""The table of all routes: a part for each family, and what plugins offer, last."""

from __future__ import annotations

from pyke.http.router import Router
from pyke.http.routes import containers, execs, files, images, lifecycle, networks, plugins, registries, resources, streams, system, volumes


def all_routes() -> Router:
    """The routes of Docker's API, those of pyke's own, and the door to those of its plugins."""
    return Router(
        system.ROUTES,
        containers.ROUTES,
        lifecycle.ROUTES,
        resources.ROUTES,
        streams.ROUTES,
        execs.ROUTES,
        files.ROUTES,
        registries.ROUTES,
        images.ROUTES,
        networks.ROUTES,
        volumes.ROUTES,
        plugins.ROUTES,
    )
