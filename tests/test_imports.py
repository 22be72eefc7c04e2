"""What is imported, and when: a command must not pay for what it does not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pyroute2", "paramiko", "fuse", "mfusepy", "asyncio", "requests", "rich")


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after running `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    return modules_after("")


def test_discovery_imports_no_driver_and_no_library_of_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    code = f"from pyke.paths import Layout\nfrom pyke.plugins import Plugins\nprint(*Plugins(Layout({str(root)!r})).report())"
    loaded = modules_after(code)
    assert not loaded & set(HEAVY)
    assert not {name for name in loaded if name.startswith("pyke_") and name.endswith(".driver")}


def test_the_command_itself_imports_nothing_slow(bare: set[str]) -> None:
    """What the script that is `pyke` loads before it does anything; installers' own scripts for entry points load `re`."""
    script = Path(__file__).parents[1] / "kernel" / "bin" / "pyke"
    done = subprocess.run([sys.executable, "-X", "importtime", str(script), "--version"], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pyke.cli.main" in loaded
    assert not (loaded - bare) & {"re", "enum", "typing", "json", "socket", "argparse", "subprocess"}


def test_settings_without_a_file_need_no_yaml() -> None:
    assert "yaml" not in modules_after("from pyke.settings import load\nload('/nonexistent/config.yaml')")


@pytest.mark.parametrize("module", ["pyke.launch", "pyke.paths", "pyke.errors"])
def test_what_every_command_imports_is_light(module: str, bare: set[str]) -> None:
    added = modules_after(f"import {module}") - bare
    heavy = {"re", "enum", "typing", "dataclasses", "subprocess", "pathlib", "logging", "json", "pluggy", "yaml", "h11", "socket"}
    assert not added & heavy


def test_the_spawner_is_lean() -> None:
    added = modules_after("import pyke.runtime.spawner")
    assert not added & {"dataclasses", "typing", "logging", "pathlib", "subprocess", "pluggy", "yaml", "pyke.model", "pyke.engine"}
