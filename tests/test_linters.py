"""ruff, mypy --strict and the layers of the house, as tests, so that pytest tells the whole truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))
PACKAGES = [f"pyke_{plugin.parts[-2]}_{plugin.parts[-1]}" for plugin in PLUGINS]
KERNEL_ROOMS = sorted(
    f"pyke.{path.stem}"
    for path in (ROOT / "kernel" / "pyke").iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in ("__init__", "api", "testing")
)
BUILDS_ON = {("pyke_registry_dockerhub", "pyke_registry_distribution")}  # the one plugin that stands on another


def run(*command: str, paths: str = "") -> None:
    environment = {**os.environ, "MYPYPATH": paths}
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    run("ruff", "check", "--quiet", "kernel", "plugins", "tests", "scripts")


def test_ruff_format() -> None:
    run("ruff", "format", "--check", "--quiet", "kernel", "plugins", "tests", "scripts")


def test_mypy_of_the_kernel() -> None:
    run("mypy", "kernel/pyke")


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_mypy_of_a_plugin(plugin: Path) -> None:
    """Each by itself, as its author would: all of them have a folder `tests`, which mypy could not tell apart."""
    run("mypy", *(str(path.parent) for path in plugin.glob("pyke_*/__init__.py")), paths=f"{ROOT / 'kernel'}:{plugin}")


def contracts() -> str:
    """The layers of docs/architecture.md, for import-linter; the plugins are found, not listed."""
    sections = [f"[importlinter]\nroot_packages =\n{lines(['pyke', *PACKAGES])}\ninclude_external_packages = True"]
    sections.append(forbidden("the kernel knows no plugin", ["pyke"], PACKAGES))
    sections.append(forbidden("plugins know only pyke.api", PACKAGES, KERNEL_ROOMS, directly=True))
    inside = ["pyke.engine", "pyke.http", "pyke.runtime"]
    sections.append(forbidden("the command line talks to the engine through the socket alone", ["pyke.cli"], inside))
    heavy = ["pyke.engine", "pyke.http", "pyke.cli", "pyke.plugins", "pyke.model", "pluggy", "yaml", "h11"]
    sections.append(forbidden("the spawner drags no engine in", ["pyke.runtime"], heavy))
    upper = ["pyke.engine", "pyke.http", "pyke.cli", "pyke.testing", "pyke.plugins"]
    sections.append(forbidden("the words know nobody", ["pyke.errors", "pyke.model", "pyke.codec", "pyke.paths", "pyke.drivers"], upper))
    sections.append(forbidden("plugins are found without an engine", ["pyke.plugins"], ["pyke.engine", "pyke.http", "pyke.cli"]))
    others = [(a, b) for a in PACKAGES for b in PACKAGES if a != b and (a, b) not in BUILDS_ON]
    sections += [forbidden(f"{a} does without {b}", [a], [b]) for a, b in others]
    return "\n\n".join(sections)


def forbidden(title: str, sources: list[str], targets: list[str], *, directly: bool = False) -> str:
    head = f"[importlinter:contract:{title.replace(' ', '-')}]\nname = {title}\ntype = forbidden\nallow_indirect_imports = {directly}"
    return f"{head}\nsource_modules =\n{lines(sources)}\nforbidden_modules =\n{lines(targets)}"


def lines(names: list[str]) -> str:
    return "\n".join(f"    {each}" for each in names)


def test_layers(tmp_path: Path) -> None:
    configuration = tmp_path / "contracts.ini"
    configuration.write_text(contracts())
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache", "--config", configuration]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
