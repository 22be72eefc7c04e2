"""Discovery, isolation, clashes and deadlines of plugins: the only package that knows pluggy's manager."""

from pyke.plugins.families import FAMILIES
from pyke.plugins.manager import PluginReport, Plugins

__all__ = ["FAMILIES", "PluginReport", "Plugins"]
