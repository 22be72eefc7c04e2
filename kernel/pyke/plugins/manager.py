"""The plugins, as the rest of pyke sees them: reports, drivers, calls into drivers, and hooks."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyke.drivers import DriverHome
from pyke.errors import NotInstalled, PluginFailed, PluginTimeout, PykeError
from pyke.paths import Layout
from pyke.plugins.deadlines import Breaker, LateCall, Workers
from pyke.plugins.discovery import Plugin, disabled_by_environment, discover
from pyke.plugins.drivers import Catalogue, Offer
from pyke.plugins.families import FAMILIES
from pyke.plugins.hooks import Hooks
from pyke.plugins.results import fits, return_type
from pyke.settings import Settings

log = logging.getLogger("pyke.plugins")


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What is known of an installed plugin. `problem` is "" for one that works, else a line or a traceback."""

    name: str
    distribution: str
    version: str
    summary: str = ""
    drivers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by family
    problem: str = ""
    disabled: bool = False  # by PYKE_DISABLE_PLUGINS or the settings: `problem` says so


class Plugins:
    """All installed plugins. Made once by an engine (or, for a command that pyke does not know, by the command line)."""

    def __init__(self, layout: Layout, settings: Settings | None = None) -> None:
        self._layout, self._settings = layout, settings or Settings()
        self._workers = Workers()
        self._breakers: dict[tuple[str, str], Breaker] = {}
        loaded = discover(self._workers, disabled_by_environment() | set(self._settings.disabled_plugins))
        self._plugins = loaded.plugins
        self.hooks = Hooks(loaded, self._workers, self._settings.authorizers)
        self._catalogue = Catalogue(loaded.plugins, self._home)
        for plugin in loaded.plugins.values():
            if plugin.problem and not plugin.disabled:
                log.warning("plugin %s (%s) is broken: %s", plugin.name, plugin.label, plugin.problem)

    def report(self) -> list[PluginReport]:
        """Every installed plugin, the broken ones too."""
        return [_report(name, plugin) for name, plugin in sorted(self._plugins.items())]

    def names(self, family: str) -> list[str]:
        """The names of a family's installed drivers, sorted."""
        return self._catalogue.names(family)

    def ranked(self, family: str) -> list[str]:
        """The names of a family's drivers, the highest rank first; those that two plugins claim are left out."""
        return [offer.driver.name for offer in self._catalogue.offers(family)]

    def driver(self, family: str, name: str, *, deadline: float = 30.0) -> Any:
        """The one instance of a driver, imported and made at first use.

        `NotInstalled` says what to install; `PluginClash` names two plugins that both bring it; `PluginFailed` names one that cannot.
        """
        instance = self._catalogue.made(family, name)
        if instance is None:
            offer = self._catalogue.offer(family, name)
            instance = self._guarded(offer, "its import", lambda: self._catalogue.make(family, name), deadline)
        return instance

    def implements(self, family: str, name: str, ability: type) -> bool:
        """Whether a driver has an optional ability (one of the `Protocol`s of `pyke.drivers`)."""
        return isinstance(self.driver(family, name), ability)

    def target(self, family: str, name: str) -> Any:
        """The function behind a command or an API route, imported at first use."""
        offer = self._catalogue.offer(family, name)
        return self._guarded(offer, "its import", lambda: self._catalogue.target(family, name), 30.0)

    def call(self, family: str, name: str, method: str, *arguments: Any, deadline: float = 30.0) -> Any:
        """Call a driver's method and wait at most `deadline` seconds.

        `PluginTimeout` when it is late, at once when it was late several times in a row; a `PykeError` of the driver passes through;
        anything else that it raises, and a result that is not what the contract says, is `PluginFailed`, which names the plugin.
        """
        driver, offer = self.driver(family, name), self._catalogue.offer(family, name)
        function = getattr(driver, method, None)
        if function is None:
            raise PluginFailed(f"{offer.label} has no method {method}", hint="pyke plugin ls")
        result = self._guarded(offer, method, lambda: function(*arguments), deadline)
        promised = return_type(offer.family.contracts, method)
        if not fits(result, promised):
            message = f"{method} of {offer.label} returned {result!r:.200}, which is not what its contract says: {promised}"
            raise PluginFailed(message, hint="pyke plugin ls")
        return result

    def default(self, family: str) -> str:
        """The driver that is used where none is asked for: the settings' choice, else the highest rank that this host supports."""
        if chosen := getattr(self._settings, f"{family}_driver", ""):
            return str(chosen)
        reasons = []
        for offer in self._catalogue.offers(family):
            reason = self._unsupported(offer)
            if not reason:
                return offer.driver.name
            reasons.append(f"{offer.driver.name}: {reason}")
        noun, official = FAMILIES[family].noun, next(iter(FAMILIES[family].official), "")
        if reasons:
            raise PykeError(f"no installed {noun} works on this host: {'; '.join(reasons)}", hint="pyke plugin ls")
        hint = f"pip install {FAMILIES[family].distribution(official)}" if official else "pyke plugin ls"
        raise NotInstalled(f"no {noun} is installed", hint=hint)

    def close(self, timeout: float = 2.0) -> None:
        """Give plugins `timeout` seconds to take what they were to be told, and let the idle threads end."""
        self.hooks.drain(timeout)
        self._workers.close()

    def _unsupported(self, offer: Offer) -> str:
        """Why this host cannot use a driver, or "": only storage drivers have a say in it."""
        if offer.family.name != "storage":
            return ""
        try:
            return str(self.call("storage", offer.driver.name, "is_supported"))
        except PluginFailed as error:
            return error.message

    def _guarded(self, offer: Offer, what: str, work: Any, deadline: float) -> Any:
        breaker = self._breakers.setdefault((offer.family.name, offer.driver.name), Breaker())
        if not breaker.admits():
            late = f"was late {breaker.threshold} times in a row and is left alone for {breaker.wait_time():.0f} s"
            raise PluginTimeout(f"{what} of {offer.label} is not tried: it {late}", hint="pyke plugin ls")
        try:
            result = self._workers.run(work, deadline)
        except LateCall:
            breaker.was_late()
            raise PluginTimeout(f"{what} of {offer.label} did not end within {deadline:g} s", hint="pyke plugin ls") from None
        except PykeError:
            breaker.answered()
            raise
        except BaseException as error:
            breaker.answered()
            log.error("%s of %s failed", what, offer.label, exc_info=error)
            raise PluginFailed(f"{what} of {offer.label} failed: {type(error).__name__}: {error}", hint="pyke plugin ls") from error
        breaker.answered()
        return result

    def _home(self, offer: Offer) -> DriverHome:
        family, name = offer.family.name, offer.driver.name
        options = dict(self._settings.drivers.get(offer.plugin.name, {}))
        run = os.path.join(self._layout.run, family, name)
        return DriverHome(self._directory(family, name), run, self._layout.tag, options)

    def _directory(self, family: str, name: str) -> str:
        """Storage and local volumes live where Docker's users look for them (ROOT/overlay, ROOT/volumes/NAME/_data)."""
        if family == "storage":
            return os.path.join(self._layout.root, name)
        if (family, name) == ("volume", "local"):
            return os.path.join(self._layout.root, "volumes")
        return os.path.join(self._layout.root, family, name)


def _report(name: str, plugin: Plugin) -> PluginReport:
    drivers = {family: tuple(driver.name for driver in offers) for family, offers in plugin.offers.items() if offers}
    return PluginReport(name, plugin.distribution, plugin.version, plugin.summary, drivers, plugin.problem, plugin.disabled)
