"""Which driver a name means, and the one instance of it: imported and made at first use."""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyke.drivers import Driver, DriverHome
from pyke.errors import InvalidRequest, NotInstalled, PluginClash, PluginFailed
from pyke.plugins.discovery import Plugin
from pyke.plugins.families import FAMILIES, Family


@dataclass(frozen=True, slots=True)
class Offer:
    """A driver and the plugin that brings it."""

    family: Family
    driver: Driver
    plugin: Plugin

    @property
    def label(self) -> str:
        """How an error names it."""
        return f"{self.family.noun} {self.driver.name!r} of {self.plugin.label}"


class Catalogue:
    """All drivers of all plugins that work. Safe to use from every thread."""

    def __init__(self, plugins: dict[str, Plugin], home: Callable[[Offer], DriverHome]) -> None:
        self._plugins, self._home = plugins, home
        self._offers: dict[tuple[str, str], list[Offer]] = {}
        self._made: dict[tuple[str, str], Any] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        for plugin in plugins.values():
            for family, drivers in plugin.offers.items():
                for driver in drivers:
                    self._add(Offer(FAMILIES[family], driver, plugin))

    def _add(self, offer: Offer) -> None:
        key = offer.family.name, offer.driver.name
        self._offers.setdefault(key, []).append(offer)
        self._locks.setdefault(key, threading.Lock())

    def names(self, family: str) -> list[str]:
        """The names of a family's installed drivers, sorted."""
        return sorted(name for kind, name in self._offers if kind == family)

    def offers(self, family: str) -> list[Offer]:
        """A family's drivers, the highest rank first; those whose name two plugins claim are left out."""
        single = [offers[0] for (kind, _), offers in self._offers.items() if kind == family and len(offers) == 1]
        return sorted(single, key=lambda offer: (-offer.driver.rank, offer.driver.name))

    def offer(self, family: str, name: str) -> Offer:
        """The one offer of this name; `NotInstalled` without one, `PluginClash` with two."""
        offers = self._offers.get((family, name))
        if not offers:
            raise self._missing(family, name)
        if len(offers) > 1:
            culprits = sorted(offer.plugin.label for offer in offers)
            raise PluginClash(
                f"the {FAMILIES[family].noun} {name!r} is brought by two plugins: {' and '.join(culprits)}",
                hint=f"pip uninstall {offers[-1].plugin.distribution}",
            )
        return offers[0]

    def made(self, family: str, name: str) -> Any | None:
        """The instance, if it exists already."""
        return self._made.get((family, name))

    def make(self, family: str, name: str) -> Any:
        """The instance of a driver, made now unless it was."""
        offer, key = self.offer(family, name), (family, name)
        with self._locks[key]:
            if key not in self._made:
                self._made[key] = _construct(offer, self.target(family, name), self._home(offer))
            return self._made[key]

    def target(self, family: str, name: str) -> Any:
        """What the descriptor points to, imported: a class, or for commands and routes a function."""
        offer = self.offer(family, name)
        module, _, attribute = offer.driver.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except BaseException as error:
            raise PluginFailed(
                f"{offer.label} cannot be imported from {offer.driver.target}: {error or type(error).__name__}", hint="pyke plugin ls"
            ) from error

    def _missing(self, family: str, name: str) -> NotInstalled | PluginFailed | InvalidRequest:
        if family not in FAMILIES:
            return InvalidRequest(f"there is no family of drivers {family!r}", hint="pyke plugin ls")
        noun = FAMILIES[family].noun
        plugin = self._plugins.get(FAMILIES[family].plugin(name))
        if plugin is not None and plugin.disabled:
            message = f"no {noun} {name!r} is in use: its plugin {plugin.name} is {plugin.problem}"
            return NotInstalled(message, hint="unset PYKE_DISABLE_PLUGINS")
        if plugin is not None and plugin.problem:
            reason = plugin.problem.strip().splitlines()[-1]
            return PluginFailed(f"the {noun} {name!r} cannot be used: {plugin.label} is broken: {reason}", hint="pyke plugin ls")
        return NotInstalled(f"no {noun} {name!r} is installed", hint=self._hint(FAMILIES[family], name))

    def _hint(self, family: Family, name: str) -> str:
        if distribution := family.distribution(name):
            return f"pip install {distribution}"
        installed = ", ".join(self.names(family.name)) or "none"
        return f"pyke plugin ls   # {family.noun}s installed: {installed}"


def _construct(offer: Offer, kind: Any, home: DriverHome) -> Any:
    try:
        instance = kind(home)
    except BaseException as error:
        raise PluginFailed(f"{offer.label} cannot be made: {type(error).__name__}: {error}", hint="pyke plugin ls") from error
    contract = next(iter(offer.family.contracts), object)
    if not isinstance(instance, contract) or inspect.ismodule(instance):
        raise PluginFailed(f"{offer.label} is not a {contract.__name__}: {offer.driver.target}", hint="pyke plugin ls")
    return instance
