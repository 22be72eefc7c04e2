"""The proxies between this engine and registries: those of config.yaml, or else those of the engine's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pyke.registries import RegistryProxies
from pyke.settings import RegistrySettings


def proxies(settings: RegistrySettings, environment: Mapping[str, str] = os.environ) -> RegistryProxies:
    """Each of the three from the settings, or from its variable, whose name in capitals goes before the other, as in Go."""

    def said(name: str) -> str:
        return environment.get(name.upper(), "") or environment.get(name, "")

    return RegistryProxies(
        settings.http_proxy or said("http_proxy"), settings.https_proxy or said("https_proxy"), settings.no_proxy or said("no_proxy")
    )
