"""Finding the installed plugins. Each is loaded on its own: one that does not load is kept, with its problem, and the rest work."""

from __future__ import annotations

import difflib
import importlib.metadata
import itertools
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from pyke import hookspecs
from pyke.drivers import Driver
from pyke.plugins.deadlines import LateCall, Workers
from pyke.plugins.families import FAMILIES, Family
from pyke.plugins.trust import Untrusted, check_module

GROUP = "pyke"
LOAD_DEADLINE = 20.0  # seconds for the import of a plugin and all that it offers
OFFERS_LIMIT = 100  # descriptors of one family from one plugin
DRIVER_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class BrokenPlugin(Exception):
    """A plugin that is installed and cannot be used; the message is for whoever has to mend it."""


@dataclass(slots=True)
class Plugin:
    """An installed plugin: usable, or with the `problem` that keeps it from being so (a line or a traceback)."""

    name: str  # of the entry point: "network-bridge"
    distribution: str
    version: str
    summary: str = ""
    problem: str = ""
    disabled: bool = False
    offers: dict[str, list[Driver]] = field(default_factory=dict)  # by family

    @property
    def label(self) -> str:
        """How an error names it: the distribution with its version."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(slots=True)
class Loaded:
    """What discovery found: all plugins, and the manager that holds the hooks of those that work."""

    plugins: dict[str, Plugin]
    manager: pluggy.PluginManager


def discover(workers: Workers, disabled: Iterable[str]) -> Loaded:
    """Find and load every plugin that is not `disabled` (names of entry points or distributions, or "*")."""
    manager = pluggy.PluginManager("pyke")
    manager.add_hookspecs(hookspecs)
    off = frozenset(disabled)
    found = Loaded({}, manager)
    for entry_point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda each: each.name):
        plugin = _describe(entry_point)
        if plugin.name in found.plugins:
            _refuse_twin(found, plugin)
            continue
        found.plugins[plugin.name] = plugin
        if off & {"*", plugin.name, plugin.distribution}:
            plugin.disabled, plugin.problem = True, "disabled by PYKE_DISABLE_PLUGINS or the settings"
        else:
            _load_safely(entry_point, plugin, manager, workers)
    return found


def _describe(entry_point: importlib.metadata.EntryPoint) -> Plugin:
    if entry_point.dist is None:
        return Plugin(entry_point.name, entry_point.name, "")
    summary = entry_point.dist.metadata.json.get("summary", "")
    return Plugin(entry_point.name, entry_point.dist.name, entry_point.dist.version, str(summary))


def _refuse_twin(found: Loaded, plugin: Plugin) -> None:
    """Two distributions with one name of an entry point: nobody can say which was meant, so the first is named with the second."""
    first = found.plugins[plugin.name]
    if first.label == plugin.label:
        return  # one distribution seen twice on sys.path
    first.problem = plugin.problem = f"{first.label} and {plugin.label} both call their plugin {plugin.name!r}: uninstall one of them"
    first.offers.clear()
    found.manager.unregister(name=first.name)
    found.plugins[f"{plugin.name} ({plugin.distribution})"] = plugin


def _load_safely(entry_point: importlib.metadata.EntryPoint, plugin: Plugin, manager: pluggy.PluginManager, workers: Workers) -> None:
    try:
        check_module(entry_point.module)
        implementation = workers.run(entry_point.load, LOAD_DEADLINE)
        _register(manager, plugin.name, implementation)
        plugin.offers = workers.run(lambda: dict(_offers(manager, implementation)), LOAD_DEADLINE)
    except (BrokenPlugin, Untrusted) as error:
        plugin.problem = str(error)
    except LateCall:
        plugin.problem = f"{entry_point.value} did not load within {LOAD_DEADLINE:.0f} seconds"
    except BaseException as error:  # whatever foreign code raises, SystemExit and KeyboardInterrupt included
        plugin.problem = "".join(traceback.format_exception(error)).rstrip()
    if plugin.problem:
        manager.unregister(name=plugin.name)


def _register(manager: pluggy.PluginManager, name: str, implementation: Any) -> None:
    try:
        manager.register(implementation, name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise BrokenPlugin(str(error)) from error
    callers = manager.get_hookcallers(implementation) or []
    if not callers:
        raise BrokenPlugin("it implements no hook: decorate its functions with @hookimpl from pyke.api")
    for caller in callers:
        if not caller.has_spec():
            close = difflib.get_close_matches(caller.name, [each for each in dir(hookspecs) if each.startswith("pyke_")], 1)
            raise BrokenPlugin(f"pyke has no hook {caller.name}" + (f": did you mean {close[0]}?" if close else ""))
        if any(each.wrapper or each.hookwrapper for each in caller.get_hookimpls() if each.plugin is implementation):
            raise BrokenPlugin(f"{caller.name} is a hook wrapper, which pyke does not call: implement the plain hook")


def _offers(manager: pluggy.PluginManager, implementation: object) -> Iterable[tuple[str, list[Driver]]]:
    for family in FAMILIES.values():
        for hook in getattr(manager.hook, family.hook).get_hookimpls():
            if hook.plugin is implementation:
                offered = list(itertools.islice(hook.function(), OFFERS_LIMIT + 1))
                yield family.name, [_checked(family, each, offered) for each in offered]


def _checked(family: Family, offer: object, offered: list[Any]) -> Driver:
    if len(offered) > OFFERS_LIMIT:
        raise BrokenPlugin(f"{family.hook} offers more than {OFFERS_LIMIT} drivers")
    if not isinstance(offer, Driver):
        raise BrokenPlugin(f"{family.hook} must yield Driver(...) descriptors, not {type(offer).__name__}")
    if not isinstance(offer.name, str) or not DRIVER_NAME.fullmatch(offer.name):
        raise BrokenPlugin(f"{family.hook} offers a driver named {offer.name!r}: names are lower-case letters, digits, '-', '_' and '.'")
    if not isinstance(offer.target, str) or not TARGET.fullmatch(offer.target):
        raise BrokenPlugin(f"{family.hook} offers {offer.name!r} with the target {offer.target!r}, which is not of the form 'module:Class'")
    return offer


def disabled_by_environment(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The names in PYKE_DISABLE_PLUGINS, separated by commas."""
    return frozenset(name.strip() for name in environment.get("PYKE_DISABLE_PLUGINS", "").split(",") if name.strip())
