"""The three engines, each with roots and networks of its own, driven through their command lines alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pyke.testing.engine import TestEngine

START = 30.0  # seconds for a daemon to answer
HOLD = "ip link set lo up; echo ready; exec cat"


class Failed(Exception):
    """A command of an engine did not succeed."""


class Engine:
    """A competitor: its name, the words in front of every command, and the processes that are there while nothing runs."""

    name = ""
    insecure: tuple[str, ...] = ()  # what says that a registry on loopback speaks plain HTTP, where that is not known

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.prefix: list[str] = []
        # Without what a developer's shell says to Python: a user's commands do find their compiled modules.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(self, *arguments: str, check: bool = True) -> str:
        command = [*self.prefix, *arguments]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False, env=self.environment
        )
        if check and done.returncode:
            raise Failed(f"{self.name} {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def timed(self, *arguments: str) -> float:
        """Seconds that a command takes, start of the program included; what it prints is thrown away."""
        command, started = [*self.prefix, *arguments], time.perf_counter()
        quiet = subprocess.DEVNULL
        done = subprocess.run(
            command, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, text=True, timeout=600, check=False, env=self.environment
        )
        taken = time.perf_counter() - started
        if done.returncode:
            raise Failed(f"{self.name} {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return taken

    def resident(self) -> list[int]:
        """The processes that are there while no container runs."""
        return []

    def local(self, name: str) -> str:
        """What the engine calls an image that was loaded under a name without a registry."""
        return name

    def monitor_of(self, container: str) -> int:
        """The process that keeps a container: the parent of its first process."""
        pid = int(self.run("inspect", "--format", "{{.State.Pid}}", container))
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    def remove_all(self) -> None:
        containers = self.run("ps", "-aq").split()
        for start in range(0, len(containers), 50):
            self.run("rm", "-f", *containers[start : start + 50])

    def stop(self) -> None:
        """End the resident processes, if the next command starts them anew."""
        raise Failed(f"{self.name} is not started by its commands")

    def close(self) -> None:
        self.remove_all()


class Pyke(Engine):
    name = "pyke"

    def __init__(self, directory: Path, *, shares_network: bool = True) -> None:
        super().__init__(directory)
        self.engine = TestEngine(directory / "pyke")
        self.prefix = self.engine.argv()

    def resident(self) -> list[int]:
        return [pid for pid in (self.engine.engine_pid(), self.engine.spawner_pid()) if pid]

    def stop(self) -> None:
        self.engine.stop()

    def close(self) -> None:
        left = self.engine.close()
        if left:
            raise SystemExit("pyke left behind:\n  " + "\n  ".join(left))


class Docker(Engine):
    """A dockerd in a network namespace of its own: its bridge and its iptables rules never meet the machine's. One that `shares_network`
    has neither, and reaches a registry on the machine's loopback."""

    name = "docker"

    def __init__(self, directory: Path, *, shares_network: bool = False) -> None:
        super().__init__(directory)
        self.home = directory / "docker"
        self.home.mkdir()
        socket = f"unix://{self.home}/sock"
        self.prefix = [shutil.which("docker", path="/usr/bin") or "docker", "-H", socket]
        paths = ["--data-root", f"{self.home}/root", "--exec-root", f"{self.home}/exec", "-H", socket, "-p", f"{self.home}/pid"]
        log = open(self.home / "log", "wb")
        apart = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec dockerd "$@"', "dockerd"]
        command = ["dockerd", "--bridge=none", "--iptables=false", *paths] if shares_network else [*apart, *paths]
        self.daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # a Ctrl-C is ours alone
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START
        while subprocess.run([*self.prefix, "version"], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                raise SystemExit(f"dockerd did not start:\n{(self.home / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def resident(self) -> list[int]:
        """dockerd and the containerd that one of its threads has started."""
        threads = Path(f"/proc/{self.daemon.pid}/task").iterdir()
        return [self.daemon.pid, *(int(child) for thread in threads for child in (thread / "children").read_text().split())]

    def close(self) -> None:
        self.remove_all()
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(60)
        for mount in reversed(_mounts_below(self.home)):
            subprocess.run(["umount", "-l", mount], check=False)


class Podman(Engine):
    """podman with roots of its own, in a network namespace of its own (whose nsenter costs it a millisecond or two) or, where it
    `shares_network`, in the machine's."""

    name = "podman"
    insecure = ("--tls-verify=false",)

    def __init__(self, directory: Path, *, shares_network: bool = False) -> None:
        super().__init__(directory)
        self.home = directory / "podman"
        command = ["unshare", "--net", "sh", "-c", HOLD]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self.holder.stdout is not None
        self.holder.stdout.readline()
        self.home.mkdir()
        settings = self.home / "containers.conf"  # its own defaults ask for more than some machines give
        settings.write_text('[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]\n')
        self.environment["CONTAINERS_CONF"] = str(settings)
        is_hybrid = Path("/sys/fs/cgroup/unified").exists()  # crun, its default, refuses those
        runtime = ["--runtime", "runc"] if is_hybrid else []
        roots = [*runtime, "--root", f"{self.home}/root", "--runroot", f"{self.home}/run", "--cgroup-manager", "cgroupfs"]
        self.prefix = ["podman", *roots] if shares_network else ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "podman", *roots]

    def local(self, name: str) -> str:
        return f"localhost/{name}"

    def close(self) -> None:
        self.remove_all()
        assert self.holder.stdin is not None
        self.holder.stdin.close()
        self.holder.wait(10)
        for mount in reversed(_mounts_below(self.home)):
            subprocess.run(["umount", "-l", mount], check=False)


def _mounts_below(directory: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{directory}/")]


@contextlib.contextmanager
def started(directory: Path, names: list[str], *, share_network: bool = False) -> Iterator[dict[str, Engine]]:
    """The engines of these names that are installed, by name; ended when the block ends."""
    programs = {"pyke": "pyke", "docker": "dockerd", "podman": "podman"}
    kinds: dict[str, type[Pyke | Docker | Podman]] = {"pyke": Pyke, "docker": Docker, "podman": Podman}
    os.environ.pop("DOCKER_HOST", None)
    with contextlib.ExitStack() as stack:
        found: dict[str, Engine] = {}
        for name in names:
            if name == "pyke" or shutil.which(programs[name]):
                found[name] = kinds[name](directory, shares_network=share_network)
                stack.callback(found[name].close)
        yield found
