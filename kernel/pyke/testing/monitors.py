"""Monitors without an engine: who asks for them and hears of their ends.

    house = House(directory)
    assert house.run("echo hello; exit 3").code == 3 and house.output() == "hello\\n"
    house.close()

`new_engine` is for what comes after the death of the one before.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

from pyke import sockets
from pyke.engine.containers.exit_records import ExitRecord
from pyke.engine.containers.monitors import AttachRequest, Monitor, Monitors
from pyke.paths import Layout
from pyke.testing.bundles import busybox_root
from pyke.testing.patience import PATIENCE, eventually
from pyke.testing.processes import is_alive

NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
DEVICES = [
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"]},
]


class House:
    """An engine's room for monitors below a directory, and what it takes to run a busybox in them."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(str(directory))
        self.root = directory / "busybox"
        busybox_root(self.root)
        os.makedirs(self.layout.run)
        self.exits: dict[str, ExitRecord] = {}
        self.monitors = self.new_engine()

    def new_engine(self) -> Monitors:
        """What an engine has of monitors; it tells of ends in `exits`."""
        monitors = Monitors(self.layout)
        monitors.on_exit = self.exits.__setitem__
        return monitors

    def bundle(self, id: str, script: str, **changes: Any) -> dict[str, Any]:
        """A bundle that runs `script` in a shell; `changes` go to stdio, but for `log`, `host`, `wake` and `args`."""
        log, host, args = changes.pop("log", {}), changes.pop("host", ()), changes.pop("args", ["/bin/sh", "-c", script])
        wake = changes.pop("wake", None)
        kept = self.layout.container_directory(id)
        os.makedirs(kept, exist_ok=True)
        stdio = {"tty": False, "stdin": False, "stdin_once": False, "rows": 0, "columns": 0, **changes}
        environment = ["PATH=/bin", "TERM=xterm"]
        process = {"terminal": stdio["tty"], "user": {"uid": 0, "gid": 0}, "args": args, "env": environment, "cwd": "/"}
        return {
            "id": id,
            "oci": {
                "ociVersion": "1.0.2",
                "process": process,
                "root": {"path": "", "readonly": False},
                "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}, *DEVICES],
                "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES if kind not in host], "cgroupsPath": self.cgroup(id)},
            },
            "rootfs": {"kind": "bind", "source": str(self.root), "lower": [], "upper": "", "work": "", "images": [], "options": []},
            "seccomp": None,
            "stdio": stdio,
            "log": {"driver": "json-file", "path": self.log(id), "max_size": 0, "max_file": 1, "extra": {}, **log},
            "directory": self.layout.container_run_directory(id),
            "exit_record": self.exit_record(id),
            "wake": wake,
        }

    def exec_bundle(self, target: dict[str, Any], pid: int, id: str, script: str, **stdio: Any) -> dict[str, Any]:
        bundle = self.bundle(id, script, **stdio)
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            start_time = int(file.read().rsplit(")", 1)[1].split()[19])
        return {
            **{key: bundle[key] for key in ("id", "seccomp", "stdio")},
            "oci": {"process": bundle["oci"]["process"], "linux": {}},
            "exec": {"pid": pid, "start_time": start_time, "cgroup": target["oci"]["linux"]["cgroupsPath"]},
            "directory": os.path.join(target["directory"], "exec", id),
            "exit_record": os.path.join(target["directory"], "exec", id, "exit.json"),
        }

    def cgroup(self, id: str) -> str:
        return f"/{self.layout.cgroup}/{id}"

    def log(self, id: str) -> str:
        return os.path.join(self.layout.container_directory(id), "json.log")

    def exit_record(self, id: str) -> str:
        return os.path.join(self.layout.container_directory(id), "exit.json")

    def start(self, bundle: dict[str, Any], *clients: AttachRequest) -> Monitor:
        monitor = self.monitors.launch(bundle, clients)
        assert os.path.exists(f"/proc/{monitor.wait_created()}/ns/net")
        monitor.wait_ready()
        monitor.go()
        monitor.wait_started()
        self.monitors.watch(bundle["id"], monitor)
        return monitor

    def adopted(self, id: str) -> Monitor:
        """The monitor of a container, taken over by another engine, once its container runs."""
        monitor = self.monitors.adopt(id, self.layout.container_run_directory(id))
        assert monitor is not None
        eventually(lambda: monitor.state()["phase"] == "running")
        return monitor

    def run(self, script: str, id: str = "a", **changes: Any) -> ExitRecord:
        self.start(self.bundle(id, script, **changes))
        return self.ended(id)

    def ended(self, id: str) -> ExitRecord:
        eventually(lambda: id in self.exits)
        return self.exits.pop(id)

    def output(self, id: str = "a") -> str:
        with open(self.log(id), encoding="utf-8") as file:
            return "".join(json.loads(line)["log"] for line in file)

    def spawner(self) -> int:
        with open(os.path.join(self.layout.run, "spawner.pid"), encoding="ascii") as file:
            return int(file.read())

    def close(self) -> None:
        """End what still runs, then the spawner."""
        for id in os.listdir(self.layout.container_runs) if os.path.isdir(self.layout.container_runs) else ():
            monitor = self.monitors.adopt(id, self.layout.container_run_directory(id))
            if monitor is not None:
                monitor.abort()
        self.monitors.close()
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            connection = sockets.connect(self.layout.spawner_socket, socket.SOCK_SEQPACKET)
            sockets.send(connection, b'{"kind": "quit"}')
            connection.close()
            eventually(lambda: not is_alive(self.spawner()))
        for hierarchy in [*Path("/sys/fs/cgroup").glob(f"*/{self.layout.cgroup}"), Path("/sys/fs/cgroup") / self.layout.cgroup]:
            with contextlib.suppress(FileNotFoundError):
                hierarchy.rmdir()


class Terminal:
    """A client: the user's end of a connection that a monitor is given."""

    def __init__(self, **wishes: Any) -> None:
        self.connection, theirs = socket.socketpair()
        self.connection.settimeout(PATIENCE)
        self.request = AttachRequest(theirs, **wishes)

    def read_all(self) -> bytes:
        parts = []
        while data := self.connection.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def read_until(self, wanted: bytes) -> bytes:
        seen = b""
        while wanted not in seen:
            data = self.connection.recv(65536)
            assert data, f"the connection ended after {seen!r}"
            seen += data
        return seen


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found
