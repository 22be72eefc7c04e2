"""Commands that plugins bring: entry points of the group `pyke`, asked only for names that nothing built in has."""

from __future__ import annotations

from collections.abc import Callable

from pyke.paths import Layout


def command(name: str, layout: Layout) -> Callable[[list[str]], int | None] | None:
    """The function behind a plugin's command, or None if no installed plugin offers it."""
    from pyke.plugins import Plugins

    plugins = Plugins(layout)
    if name not in plugins.names("command"):
        return None
    function: Callable[[list[str]], int | None] = plugins.target("command", name)
    return function
