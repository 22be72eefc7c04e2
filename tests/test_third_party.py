"""A stranger's driver: the model room copied and renamed by the steps that docs/writing-a-driver.md prints, built, installed beside
nothing but the kernel, and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
MANUAL = REPOSITORY / "docs" / "writing-a-driver.md"

USE = """
import sys
from pyke.model import Endpoint, Network
from pyke.paths import Layout
from pyke.plugins import Plugins

plugins = Plugins(Layout(sys.argv[1]))
assert [report.problem for report in plugins.report()] == [""], plugins.report()
assert plugins.names("network") == ["mine"]
assert "pyke_network_mine.driver" not in sys.modules, "the driver is imported before anybody needs it"
network = plugins.call("network", "mine", "create", Network("1" * 64, "n", "mine"), [])
endpoint = Endpoint("2" * 64, network.id, "n", "3" * 64)
assert plugins.call("network", "mine", "attach", network, endpoint, "/proc/self/ns/net") == endpoint
plugins.call("network", "mine", "detach", network, endpoint, "/proc/self/ns/net")
plugins.close()
print(sys.modules["pyke_network_mine.driver"].MineDriver.__name__)
"""


def test_a_copied_and_renamed_driver_works_beside_the_kernel_alone(tmp_path: Path) -> None:
    folder = renamed_copy(tmp_path)
    wheels = [build(REPOSITORY, tmp_path / "wheels"), build(folder, tmp_path / "wheels")]
    assert wheels[1].name.startswith("pyke_network_mine-")
    environment = tmp_path / "environment"
    uv("venv", "--quiet", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", str(python), *map(str, wheels))
    assert run([str(python), "-I", "-c", USE, str(tmp_path / "root")]) == "MineDriver\n"


def test_the_renamed_copy_keeps_its_promises(tmp_path: Path) -> None:
    """The conformance suite that it was copied with runs, under its new name."""
    folder = renamed_copy(tmp_path)
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder)]
    output = run([sys.executable, "-m", "pytest", *options, str(folder / "tests")], PYTHONPATH=str(folder))
    assert re.search(r"\d+ passed", output)


def test_nothing_of_the_old_name_is_left(tmp_path: Path) -> None:
    folder = renamed_copy(tmp_path)
    for path in folder.rglob("*"):
        assert "none" not in path.name
        if path.is_file():
            assert not re.search(r"network.none|NoneDriver|\"none\"", path.read_text())


def test_the_model_room_is_small() -> None:
    """What a stranger has to read before writing the first line."""
    room = REPOSITORY / "plugins" / "network" / "none"
    lines = {path: len(path.read_text().splitlines()) for path in room.rglob("*") if path.suffix in (".py", ".toml", ".md")}
    assert sum(lines.values()) <= 60
    assert lines[room / "pyke_network_none" / "driver.py"] <= 15


def renamed_copy(directory: Path) -> Path:
    """Do what the manual's first block of commands says, in a directory that looks like a checkout."""
    room = directory / "plugins" / "network" / "none"
    shutil.copytree(REPOSITORY / "plugins" / "network" / "none", room, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    steps = re.search(r"```sh\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert steps is not None
    run(["sh", "-euc", steps[1]], cwd=directory)
    return directory / "pyke-network-mine"


def build(project: Path, wheels: Path) -> Path:
    before = set(wheels.glob("*.whl"))
    uv("build", "--quiet", "--wheel", "--no-sources", "--out-dir", str(wheels), str(project))
    (wheel,) = set(wheels.glob("*.whl")) - before
    return wheel


def uv(*arguments: str) -> None:
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.fail("uv is not installed: pip install uv")
    run([program, *arguments])


def run(argv: list[str], cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(argv, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout
