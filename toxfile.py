"""tox's environments that follow from the tree: every folder plugins/FAMILY/DRIVER is found here, and a new one needs no entry anywhere.

`lint`, `docs`, `unit` and `system` have the kernel and all plugins, as a developer has them. `isolated-kernel` has the kernel and nothing else;
`isolated-FAMILY-DRIVER` has the kernel and that plugin, both installed from the wheels that would be shipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State

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
    _isolated(state, "kernel", f"{ROOT}[test]", ROOT / "tests" / "unit")
    for name, folder in PLUGINS.items():
        _isolated(state, name, f"{ROOT}[test]\n{folder}", folder / "tests")


def _isolated(state: State, name: str, dependencies: str, tests: Path) -> None:
    environment = f"isolated-{name}"
    report = ROOT / ".tox" / "reports" / f"{environment}.xml"
    commands = f"pytest --junitxml={report} {tests}"
    state.conf.memory_seed_loaders[environment].append(MemoryLoader(deps=dependencies, commands=commands))
