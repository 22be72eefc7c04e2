"""Who answers what: a table a family, and what plugins offer, last."""

from __future__ import annotations

from pyke.http.facade import Engine
from pyke.http.router import Router
from pyke.http.routes import containers, execs, images, lifecycle, networks, plugins, streams, system, volumes


def all_routes(engine: Engine) -> Router:
    """The routes of Docker's API that this engine has, those of pyke's own, and those of its plugins."""
    return Router(
        system.ROUTES,
        containers.ROUTES,
        lifecycle.ROUTES,
        streams.ROUTES,
        execs.ROUTES,
        images.ROUTES,
        networks.ROUTES,
        volumes.ROUTES,
        plugins.ROUTES,
    )
