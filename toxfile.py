"""tox's environments that follow from the tree: every folder plugins/FAMILY/DRIVER is found here, and a new one needs no entry anywhere.

`lint`, `docs`, `unit` and `system` have the kernel and all plugins, as a developer has them. `isolated-kernel` has the kernel and nothing
else; `isolated-FAMILY-DRIVER` has the kernel and that plugin, both installed from the wheels that would be shipped.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import ConfigSet
from tox.config.types import Command
from tox.plugin import impl
from tox.session.state import State
from uv import find_uv_bin

ROOT = Path(__file__).parent
PLUGINS = {"-".join(path.parent.parts[-2:]): path.parent for path in sorted(ROOT.glob("plugins/*/*/pyproject.toml"))}
TOGETHER = ("lint", "docs", "unit", "system")


@impl
def tox_extend_envs() -> Iterable[str]:
    return ["isolated-kernel", *(f"isolated-{name}" for name in PLUGINS)]


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    everything = [f"-e {ROOT}[dev]", *(f"-e {folder}" for folder in PLUGINS.values())]
    for name in TOGETHER:
        state.conf.memory_seed_loaders[name].append(MemoryLoader(deps="\n".join(everything)))
    _isolated(state, "kernel", ROOT / "tests" / "unit")
    for name, folder in PLUGINS.items():
        _isolated(state, name, folder / "tests", str(folder), *_plugins_below(folder))


def _plugins_below(folder: Path) -> list[str]:
    """The folders of the plugins that a plugin builds on."""
    dependencies = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    return [str(PLUGINS[each.removeprefix("pyke-")]) for each in dependencies if each.removeprefix("pyke-") in PLUGINS]


def _isolated(state: State, name: str, tests: Path, *plugins: str) -> None:
    """The wheels are built anew each time: tox installs dependencies once, and would go on testing yesterday's code."""
    environment, uv = f"isolated-{name}", find_uv_bin()
    renewed = ["--reinstall-package=pyke", f"--reinstall-package=pyke-{name}"]
    fresh = [uv, "pip", "install", "-q", "--no-sources", *renewed, f"{ROOT}[test]", *plugins]
    test = ["pytest", f"--junitxml={ROOT / '.tox' / 'reports' / environment}.xml", str(tests)]
    loader = MemoryLoader(commands_pre=[Command(fresh)], commands=[Command(test)], allowlist_externals=[uv])
    state.conf.memory_seed_loaders[environment].append(loader)
