"""A host with nothing but a private registry: the kernel, its client of any registry and a storage driver, installed as wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.images import layer
from pyke.testing.registry import PlayRegistry

REPOSITORY = Path(__file__).parents[2]
INSTALLED = (REPOSITORY, REPOSITORY / "plugins" / "registry" / "distribution", REPOSITORY / "plugins" / "storage" / "overlay")


class Installed(TestEngine):
    """An engine of another installation than the one that the tests run in."""

    def __init__(self, root: Path, programs: Path) -> None:
        super().__init__(root)
        self._programs = programs

    def argv(self, *arguments: str) -> list[str]:
        return [str(self._programs / "pyke"), "--root", self.layout.root, *arguments]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Where the programs of a new environment are."""
    environment = tmp_path / "environment"
    uv("venv", "--quiet", "--python", sys.executable, str(environment))
    uv("pip", "install", "--quiet", "--no-sources", "--python", str(environment / "bin" / "python"), *map(str, INSTALLED))
    return environment / "bin"


def uv(*arguments: str) -> None:
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None, "uv is not installed: pip install uv"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def test_private_registries_work_and_what_is_missing_for_docker_hub_is_named(tmp_path: Path, programs: Path) -> None:
    with PlayRegistry(users={"me": "secret"}) as registry, Installed(tmp_path / "root", programs) as engine:
        registry.put_image("team/app", "latest", [layer({"greeting": b"hello"})])
        assert {line.split()[0] for line in engine.ok("plugin", "ls").splitlines()[1:]} == {"registry-distribution", "storage-overlay"}
        assert "Downloaded newer image" in engine.ok("pull", f"{registry.host}/team/app")
        engine.ok("tag", f"{registry.host}/team/app", f"{registry.host}/team/other:2")
        engine.ok("push", f"{registry.host}/team/other:2")
        assert registry.manifests["team/other", "2"] == registry.manifests["team/app", "latest"]
        for command in ("pull", "run"):
            refused = engine.pyke(command, "redis")
            assert refused.status == (1 if command == "pull" else 125)
            assert "no registry plugin is installed that serves 'docker.io'" in refused.stderr
            assert "pip install pyke-registry-dockerhub" in refused.stderr
