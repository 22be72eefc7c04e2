"""Other tools that keep images, as peers: Docker's and podman's engines on this machine's own network, so that they reach a registry
on its loopback, and skopeo and umoci.

    with DockerPeer(directory) as docker, PodmanPeer(directory) as podman:
        docker("pull", f"{registry.host}/app:1")
        podman.run_image(f"{registry.host}/app:1", "echo", "hello")

Directories must be short: podman takes no path of more than 50 characters. Nothing of theirs is left when the block ends.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyke.testing import leaks
from pyke.testing.docker import PROGRAMS as DOCKER_PROGRAMS

PATIENCE = 60.0  # seconds for an engine to answer and to end
SECONDS = 180.0  # for one command


def missing(*programs: str) -> str:
    """Which of these this machine lacks, as a reason to skip a test; "" for none. "docker" stands for all of its engine."""
    wanted = [each for program in programs for each in (DOCKER_PROGRAMS if program == "docker" else (program,))]
    lacking = [program for program in wanted if shutil.which(program) is None]
    return f"no {', '.join(lacking)} on this machine" if lacking else ""


def run(*command: str, input: bytes | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    settings = {**os.environ, **(environment or {})}
    done = subprocess.run(command, input=input, capture_output=True, timeout=SECONDS, env=settings, check=False)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {(done.stderr + done.stdout).decode(errors='replace')}"
    return done.stdout.decode()


def skopeo(*words: str) -> str:
    return run("skopeo", *words)


class DockerPeer:
    """A Docker engine below `directory`, without a bridge. Called, it runs `docker`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "docker"
        self._socket = f"unix://{self.directory}/sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.directory.mkdir()
        places = {"data-root": "root", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
        (self.directory / "daemon.json").write_text("{}")
        flags = [f"--{flag}={self.directory / name}" for flag, name in places.items()]
        flags += [f"--host={self._socket}", f"--cgroup-parent=/{_cgroup(self.directory)}"]
        flags += ["--bridge=none", "--iptables=false", "--storage-driver=vfs"]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(["dockerd", *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["docker", "-H", self._socket, "version"], capture_output=True, timeout=SECONDS, check=False).returncode:
            alive = self._process.poll() is None
            assert alive and time.monotonic() < deadline, (self.directory / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.1)
        return self

    def __call__(self, *words: str, input: bytes | None = None) -> str:
        return run("docker", "-H", self._socket, *words, input=input, environment={"DOCKER_CONFIG": str(self.directory)})

    def run_image(self, image: str, *command: str) -> str:
        """What a container of an image prints; never pulls."""
        return self("run", "--rm", "--network", "none", "--pull", "never", image, *command)

    def id(self, image: str) -> str:
        """An image's ID: the digest of its configuration."""
        return self("image", "inspect", "--format", "{{.Id}}", image).strip()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        _clean(self.directory)


class PodmanPeer:
    """Podman with everything of its own below `directory`. Called, it runs `podman`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "podman"
        settings = self.directory / "containers.conf"  # its own defaults ask for more than some machines give
        self._environment = {"CONTAINERS_CONF": str(settings)}
        self._settings = settings

    def __enter__(self) -> Self:
        self.directory.mkdir()
        self._settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]\n')
        return self

    def __call__(self, *words: str, input: bytes | None = None) -> str:
        is_hybrid = Path("/sys/fs/cgroup/unified").exists()  # crun, its default, refuses those
        runtime = ["--runtime", "runc"] if is_hybrid else []
        places = ["--root", f"{self.directory}/root", "--runroot", f"{self.directory}/run", "--tmpdir", f"{self.directory}/tmp"]
        options = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return run("podman", *runtime, *places, *options, *words, input=input, environment=self._environment)

    def run_image(self, image: str, *command: str) -> str:
        """What a container of an image prints; never pulls."""
        cgroup = ["--cgroup-parent", f"/{_cgroup(self.directory)}"]
        return self("run", "--rm", "--network", "none", "--pull", "never", *cgroup, image, *command)

    def inspect(self, image: str) -> Any:
        return json.loads(self("image", "inspect", image))[0]

    def id(self, image: str) -> str:
        """An image's ID: the digest of its configuration."""
        return f"sha256:{self.inspect(image)['Id']}"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        _clean(self.directory)


def _cgroup(directory: Path) -> str:
    """The cgroup of an engine's containers, which is named after its directory."""
    return f"{directory.name}-{directory.parent.name}"


def _clean(directory: Path) -> None:
    """What an engine leaves on a host: mounts, and the parents of its containers' cgroups."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{directory}/")]):
        subprocess.run(["umount", "-l", mount], check=False)
    name = _cgroup(directory)
    for cgroup in (*glob.glob(f"{leaks.CGROUPS}/{name}"), *glob.glob(f"{leaks.CGROUPS}/*/{name}")):
        for path, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
