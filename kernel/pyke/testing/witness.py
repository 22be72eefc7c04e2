"""What must stay as it is while somebody attacks an engine: the host's files, other containers, the engine's own pace and size.

    with Witness(engine, directory) as witness:      # an engine with busybox loaded
        with witness.watching():
            engine.pyke("run", "--rm", "evil")        # ... an attack ...
        # what it reached is an AssertionError here

The canaries are files below `directory`, which an attack may aim at (`witness.canary`), and files of the host that attacks are known
for. A container of its own counts on while they happen; the engine is asked for its containers five times a second.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pyke.testing import images, leaks
from pyke.testing.engine import Finished, TestEngine
from pyke.testing.images import Node
from pyke.testing.patience import eventually

PATIENCE = 1.0  # seconds in which an engine answers `ps`, whatever happens
SHARED_PATIENCE = 4.0  # where others use the machine at the same time (PYKE_TEST_SHARED)
PACE = 0.2  # seconds between two questions
MEMORY_GROWTH = 96 << 20  # bytes by which engine and spawner may grow in one attack
DESCRIPTOR_GROWTH = 8  # descriptors of engine and spawner that may stay open after one: idle plugin threads, caches
TEXT = "the canary is alive\n"
# It starts no program, which would be one more process than there was before.
COUNT = "mkfifo /never; exec 3<>/never; i=0; while :; do i=$((i+1)); echo $i > /count; read -t 0.1 word <&3; done"
HOST_FILES = (
    *("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"),
    *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/fs/binfmt_misc/status"),
    *("/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/systemd/release_agent", "/sys/kernel/uevent_helper"),
    os.path.realpath("/proc/self/exe"),
)


class Witness:
    """Watches one engine, which must be able to run busybox, and the host around it."""

    def __init__(self, engine: TestEngine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.canary = directory / "canary"
        self._slowest = 0.0
        self._failures: list[str] = []

    def __enter__(self) -> Witness:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.canary.write_text(TEXT)
        self.canary.chmod(0o644)
        (self.directory / "empty").mkdir()
        self._bystander = self.engine.ok("run", "-d", "--network", "none", "--name", "bystander", "busybox", "sh", "-c", COUNT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.engine.ok("rm", "-f", "bystander")

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """An attack happens in this block; whatever it reached is an AssertionError at its end."""
        files, before, belongings = self._files(), self._bystander_state(), self._belongings()
        mounts, sizes, count = leaks.snapshot(), self._sizes(), self._count()
        over = threading.Event()
        asking = threading.Thread(target=self._ask_until, args=(over,), daemon=True)
        asking.start()
        try:
            yield
        finally:
            over.set()
            asking.join()
        assert self._files() == files, "files of the host changed"
        assert self._bystander_state() == before, "another container was disturbed"
        eventually(lambda: self._count() > count, "another container goes on")
        assert not self._failures, f"the engine did not answer: {self._failures}"
        assert self._slowest < self._patience(), f"the engine took {self._slowest:.2f} s to answer"
        self._check_sizes(sizes)
        eventually(lambda: self._belongings() == belongings, "nothing is left in the engine's directories")
        left = leaks.left_behind(mounts, (self.engine.layout.root, self.engine.layout.tag))
        assert not left, "left on the host: " + ", ".join(left)

    def load(self, archive: bytes) -> Finished:
        """`pyke load` of an archive."""
        path = os.path.join(self.engine.layout.root, "attack.tar")
        with open(path, "wb") as file:
            file.write(archive)
        try:
            return self.engine.pyke("load", "-i", path)
        finally:
            os.unlink(path)

    def image(self, changes: Mapping[str, Node | bytes | None] | None = None, **config: object) -> str:
        """Load busybox with some files exchanged (None: left out), and return the image's name."""
        tree = images.busybox_tree()
        for name, node in (changes or {}).items():
            tree = {path: each for path, each in tree.items() if path != name and not path.startswith(name + "/")}
            if node is not None:
                tree[name] = node
        done = self.load(images.docker_archive(["evil:latest"], [images.layer(tree)], config))
        assert done.status == 0, done.stderr
        return "evil"

    def clear(self) -> None:
        """Remove every container but the bystander, and the volumes that nobody uses then."""
        names = [each["Names"][0].lstrip("/") for each in ask(self.engine.layout.socket, "/containers/json?all=1")]
        if len(names) > 1:
            self.engine.ok("rm", "-fv", *(name for name in names if name != "bystander"))
        if ask(self.engine.layout.socket, "/volumes")["Volumes"]:
            self.engine.ok("volume", "prune", "-a", "-f")

    # what is looked at

    def _files(self) -> dict[str, object]:
        """Content and metadata of the canaries."""
        found: dict[str, object] = {}
        for path in (*HOST_FILES, *map(str, sorted(self.directory.rglob("*"))), str(self.directory)):
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                identity = (status.st_ino, status.st_mode, status.st_uid, status.st_gid)
                changed = () if path.startswith(("/proc", "/sys")) else (status.st_mtime_ns, status.st_ctime_ns)
                found[path] = (*identity, *changed, self._content(path))
        return found

    def _content(self, path: str) -> bytes:
        if not os.path.isfile(path) or os.path.islink(path):
            return b""
        with open(path, "rb") as file:
            return file.read(1 << 20)

    def _bystander_state(self) -> tuple[object, ...]:
        told = ask(self.engine.layout.socket, "/containers/bystander/json")
        state = told["State"]
        return state["Status"], state["Pid"], state["StartedAt"], told["RestartCount"]

    def _count(self) -> int:
        """How far the bystander is; read through its own root."""
        pid = self._bystander_state()[1]
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/root/count", encoding="ascii") as file:
            return int(file.read())
        return 0

    def _belongings(self) -> dict[str, list[str]]:
        """What the engine keeps for its containers: directories, snapshots, sockets and cgroups."""
        root, run, cgroup = self.engine.layout.root, self.engine.layout.run, self.engine.layout.cgroup
        places = (
            f"{root}/containers/*",
            f"{run}/containers/*",
            f"{root}/overlay/snapshots/*",
            f"{root}/overlay/staging/*",
            f"{root}/oci/partial/*",
        )
        cgroups = (f"{leaks.CGROUPS}/{cgroup}/*/", f"{leaks.CGROUPS}/*/{cgroup}/*/")
        return {place: sorted(glob.glob(place)) for place in (*places, *cgroups)}

    def _sizes(self) -> dict[int, tuple[int, int]]:
        """Resident bytes and open descriptors of engine and spawner."""
        return {pid: (_memory(pid), _descriptors(pid)) for pid in (self.engine.engine_pid(), self.engine.spawner_pid()) if pid}

    def _check_sizes(self, before: dict[int, tuple[int, int]]) -> None:
        for pid, (memory, descriptors) in before.items():
            if not os.path.exists(f"/proc/{pid}"):
                continue  # ended by the attack itself, or replaced: the engine answered all the time
            assert _memory(pid) - memory < MEMORY_GROWTH, f"process {pid} grew by {(_memory(pid) - memory) >> 20} MB"
            has_few = functools.partial(_has_few_descriptors, pid, descriptors + DESCRIPTOR_GROWTH)
            eventually(has_few, f"process {pid} has closed its descriptors")

    # how the engine fares

    def _ask_until(self, over: threading.Event) -> None:
        self._slowest, self._failures = 0.0, []
        while True:
            begin = time.monotonic()
            try:
                ask(self.engine.layout.socket, "/containers/json?all=1")
            except OSError as error:
                self._failures.append(repr(error))
            self._slowest = max(self._slowest, time.monotonic() - begin)
            if over.wait(PACE):
                return

    def _patience(self) -> float:
        return SHARED_PATIENCE if os.environ.get("PYKE_TEST_SHARED") else PATIENCE


def refused(done: Finished, status: int, words: str) -> None:
    """The command failed in Docker's way: one line that says why, and at most a hint."""
    assert done.status == status, (done.status, done.stdout, done.stderr)
    assert words in done.stderr and "Traceback" not in done.stderr and "defect" not in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2, done.stderr


def ask(path: str, target: str) -> Any:
    """What the engine whose socket is at `path` answers to GET `target`. Raises OSError, also for another answer than 200."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: pyke\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: client.recv(65536), b""))
    if not reply.startswith(b"HTTP/1.1 200"):
        raise OSError(f"the engine answered {reply[:100]!r} to {target}")
    return json.loads(reply.partition(b"\r\n\r\n")[2])


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _has_few_descriptors(pid: int, limit: int) -> bool:
    return _descriptors(pid) <= limit


def _descriptors(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
