"""Monitors, with real containers: from birth to exit status, attached clients, and everybody's sudden death."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyke import sockets
from pyke.engine.containers.exit_records import ExitRecord, read_exit_record
from pyke.engine.containers.monitors import AttachRequest, Monitor, Monitors
from pyke.errors import PykeError, StartFailed
from pyke.paths import Layout

BUSYBOX = shutil.which("busybox") or "/bin/busybox"
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
PATIENCE = 20.0


class House:
    """An engine's room for monitors, and what it takes to run a busybox in them."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(str(directory))
        self.root = directory / "busybox"
        (self.root / "bin").mkdir(parents=True)
        for name in ("proc", "sys", "dev", "tmp"):
            (self.root / name).mkdir()
        shutil.copy(BUSYBOX, self.root / "bin/busybox")
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
            with contextlib.suppress(FileExistsError):
                (self.root / "bin" / applet).symlink_to("busybox")
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


DEVICES = [
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"]},
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "root")
    yield house
    house.close()


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


class Terminal:
    """A client: the user's end of an attached connection."""

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


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 3", 3), ("kill -9 $$", 0), ("exit 255", 255)])
def test_exit_codes(house: House, script: str, code: int) -> None:
    # As process 1 of its namespace it cannot kill itself: the kernel shields it, as everywhere.
    record = house.run(script)
    assert (record.code, record.oom_killed, record.lost) == (code, False, False)
    assert read_exit_record(house.exit_record("a")) == record
    assert not os.path.exists(os.path.join(house.layout.container_run_directory("a"), "monitor.sock"))


def test_a_signal_counts_as_at_a_shell(house: House) -> None:
    monitor = house.start(house.bundle("a", "trap 'echo caught; exit 9' USR1; echo armed; while :; do sleep 0.05; done"))
    eventually(lambda: "armed" in house.output())
    monitor.signal(signal.SIGUSR1)
    assert house.ended("a").code == 9
    assert house.output() == "armed\ncaught\n"
    monitor = house.start(house.bundle("b", "sleep 1000"))
    monitor.signal(signal.SIGKILL)
    assert house.ended("b").code == 137


@pytest.mark.parametrize(
    ("args", "status", "word"),
    [(["/bin/nosuch"], 127, "no such file"), (["nosuch"], 127, "not found"), (["/tmp"], 126, "denied")],
)
def test_a_command_that_cannot_run_is_a_failure(house: House, args: list[str], status: int, word: str) -> None:
    monitor = house.monitors.launch(house.bundle("a", "", args=args))
    with pytest.raises(StartFailed) as failure:
        monitor.wait_ready()
        monitor.go()
        monitor.wait_started()
    assert failure.value.exit_status == status and word in failure.value.message.lower()
    monitor.abort()
    assert not os.path.exists(house.exit_record("a"))


def test_an_abort_leaves_nothing(house: House) -> None:
    monitor = house.monitors.launch(house.bundle("a", "true"))
    pid = monitor.wait_created()
    monitor.abort()
    monitor.abort()
    assert not is_alive(pid)
    assert not list(Path("/sys/fs/cgroup").glob(f"*{house.cgroup('a')}"))


def test_an_engine_that_dies_before_go_takes_the_start_with_it(house: House) -> None:
    monitor = house.monitors.launch(house.bundle("a", "true"))
    pid = monitor.wait_created()
    monitor.wait_ready()
    monitor.close()
    eventually(lambda: not is_alive(pid))
    eventually(lambda: not os.path.exists(os.path.join(house.layout.container_run_directory("a"), "monitor.sock")))


def test_sigpipe_and_blocked_signals_are_a_programs_default(house: House) -> None:
    house.run("", args=["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])
    internal = 3 << 31  # glibc's posix_spawn(3) ignores the two signals that it keeps for itself, 32 and 33
    assert {int(line.split()[1], 16) & ~internal for line in house.output().splitlines()} == {0}


def test_no_descriptor_leaks(house: House) -> None:
    house.run("ls /proc/self/fd")
    assert house.output().split() == ["0", "1", "2", "3"]  # the last one is the listing's own


def test_all_that_was_printed_is_in_the_log(house: House) -> None:
    house.run("seq 200000; echo error >&2")
    lines = house.output().splitlines()
    assert len(lines) == 200_001 and sorted(lines[:-1] + lines[-1:], key=len)[0] == "1"


def test_leftovers_of_a_shared_pid_namespace_are_ended(house: House) -> None:
    begin = time.monotonic()
    record = house.run("sleep 777 & echo $!", host=("pid",))
    assert record.code == 0 and time.monotonic() - begin < 10
    assert not is_alive(int(house.output()))


def test_the_oom_killer_is_recognised(house: House) -> None:
    bundle = house.bundle("a", "x=0123456789abcdef; while :; do x=$x$x; done")
    bundle["oci"]["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    house.start(bundle)
    record = house.ended("a")
    assert (record.code, record.oom_killed) == (137, True)


# --- terminals and clients -------------------------------------------------------------------------------------------


def test_a_client_that_came_before_the_start_misses_nothing(house: House) -> None:
    client = Terminal(early=b"early\n")
    house.start(house.bundle("a", "read a; read b; echo $a-$b; echo error >&2", stdin=True, stdin_once=True), client.request)
    client.connection.sendall(b"late\n")
    assert frames(client.read_all()) == [(1, b"early-late\n"), (2, b"error\n")]
    assert house.ended("a").code == 0


def test_a_half_closed_client_ends_stdin_and_hears_the_rest(house: House) -> None:
    client = Terminal(early=b"one\n")
    house.start(house.bundle("a", "cat; echo done", stdin=True, stdin_once=True), client.request)
    client.connection.sendall(b"two\n")
    client.connection.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in frames(client.read_all())) == b"one\ntwo\ndone\n"


def test_without_stdin_once_the_next_client_goes_on(house: House) -> None:
    first = Terminal()
    monitor = house.start(house.bundle("a", "read a; echo $a; read b; echo $b", stdin=True), first.request)
    first.connection.sendall(b"one\n")
    assert frames(first.read_until(b"one")) == [(1, b"one\n")]
    first.connection.shutdown(socket.SHUT_WR)
    assert first.read_all() == b""
    second = Terminal(framed=False)
    monitor.attach(second.request)
    second.request.client.close()
    second.connection.sendall(b"two\n")
    assert second.read_all() == b"two\n"


def test_two_clients_see_the_same_and_choose_their_streams(house: House) -> None:
    both, errors = Terminal(framed=False), Terminal(streams=("stderr",), framed=False)
    house.start(house.bundle("a", "echo out; echo err >&2"), both.request, errors.request)
    assert sorted(both.read_all().split()) == [b"err", b"out"]
    assert errors.read_all() == b"err\n"


def test_a_terminal_has_its_size_before_the_start_and_after(house: House) -> None:
    client = Terminal(framed=False)
    script = "trap 'stty size' WINCH; stty size; tty; while :; do sleep 0.05; done"
    monitor = house.start(house.bundle("a", script, tty=True, stdin=True, rows=33, columns=99), client.request)
    seen = client.read_until(b"/dev/pts/0")
    assert b"33 99\r\n" in seen
    monitor.resize(44, 111)
    assert b"44 111\r\n" in client.read_until(b"44 111\r\n")
    monitor.signal(signal.SIGKILL)
    client.read_all()
    assert house.ended("a").code == 137


def test_a_resize_before_the_start_counts(house: House) -> None:
    monitor = house.monitors.launch(house.bundle("a", "stty size", tty=True, rows=10, columns=20))
    monitor.wait_ready()
    monitor.resize(55, 66)
    monitor.go()
    monitor.wait_started()
    house.monitors.watch("a", monitor)
    house.ended("a")
    assert house.output() == "55 66\r\n"


def test_detach_keys_end_the_client_and_not_the_container(house: House) -> None:
    client = Terminal(framed=False)
    monitor = house.start(house.bundle("a", "stty raw -echo; echo go; cat", tty=True, stdin=True), client.request)
    client.read_until(b"go")
    for typed in (b"a\x10", b"b\x10\x10", b"\x11never"):
        client.connection.sendall(typed)
        time.sleep(0.05)
    assert client.read_all().strip() == b"a\x10b\x10"
    assert monitor.state()["phase"] == "running"
    again = Terminal(framed=False, detach_keys="q")
    monitor.attach(again.request)
    again.request.client.close()
    again.connection.sendall(b"xq")
    assert b"q" not in again.read_all()
    monitor.signal(signal.SIGKILL)
    house.ended("a")


def test_without_a_terminal_control_characters_are_data(house: House) -> None:
    client = Terminal(framed=False)
    house.start(house.bundle("a", "cat", stdin=True, stdin_once=True), client.request)
    client.connection.sendall(b"\x10\x11data")
    client.connection.shutdown(socket.SHUT_WR)
    assert client.read_all() == b"\x10\x11data"


def test_200_megabytes_through_a_client_that_reads_slowly_at_times(house: House) -> None:
    size, digest, client = 200 << 20, hashlib.sha256(), Terminal(framed=False, streams=("stdout",))
    script = f"head -c {size} /dev/zero | tr '\\000' 'x' | tee /dev/stderr 2>/dev/null | cat"
    house.start(house.bundle("a", script, log={"driver": "none"}), client.request)
    received = 0
    while data := client.connection.recv(1 << 20):
        digest.update(data)
        received += len(data)
        if received % (50 << 20) < len(data):
            time.sleep(0.5)
    assert received == size and digest.hexdigest() == hashlib.sha256(b"x" * size).hexdigest()
    assert house.ended("a").code == 0


def test_a_client_that_stops_reading_loses_nothing_and_stalls_nobody(house: House) -> None:
    stopped, other = Terminal(framed=False, streams=("stdout",)), Terminal(framed=False, streams=("stdout",))
    house.start(house.bundle("a", "seq 3000000; echo end", log={"driver": "none"}), stopped.request, other.request)
    begin = time.monotonic()
    seen = other.read_all()
    assert seen.endswith(b"3000000\nend\n")
    assert house.ended("a").code == 0
    assert time.monotonic() - begin < 15
    assert stopped.read_all() == seen
    assert not list(Path(house.layout.container_directory("a")).glob("spool*"))


def test_stdin_that_nobody_reads_blocks_nobody(house: House) -> None:
    client = Terminal(framed=False)
    monitor = house.start(house.bundle("a", "sleep 1; echo awake; sleep 1000", stdin=True), client.request)
    client.connection.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.connection.send(b"x" * 65536)
    assert sent > 100_000
    client.connection.settimeout(PATIENCE)
    assert client.read_until(b"awake\n") == b"awake\n"
    monitor.signal(signal.SIGKILL)
    assert house.ended("a").code == 137


def test_a_program_that_closes_its_stdin_is_left_in_peace(house: House) -> None:
    client = Terminal(framed=False)
    house.start(house.bundle("a", "exec <&-; echo closed; sleep 0.3; echo alive", stdin=True, stdin_once=True), client.request)
    client.read_until(b"closed\n")
    for _ in range(5):
        client.connection.sendall(b"to nobody\n")
        time.sleep(0.02)
    assert client.read_all() == b"alive\n"


def test_what_a_client_left_unread_is_still_sent_after_the_end(house: House) -> None:
    client = Terminal(framed=False)
    house.start(house.bundle("a", "seq 100000"), client.request)
    assert house.ended("a").code == 0
    assert client.read_all().endswith(b"99999\n100000\n")


# --- exec ------------------------------------------------------------------------------------------------------------


def exec_bundle(house: House, target: dict[str, Any], pid: int, id: str, script: str, **stdio: Any) -> dict[str, Any]:
    bundle = house.bundle(id, script, **stdio)
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        start_time = int(file.read().rsplit(")", 1)[1].split()[19])
    return {
        **{key: bundle[key] for key in ("id", "seccomp", "stdio")},
        "oci": {"process": bundle["oci"]["process"], "linux": {}},
        "exec": {"pid": pid, "start_time": start_time, "cgroup": target["oci"]["linux"]["cgroupsPath"]},
        "directory": os.path.join(target["directory"], "exec", id),
        "exit_record": os.path.join(target["directory"], "exec", id, "exit.json"),
    }


def test_exec_runs_beside_the_first_process(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    pid = container.state()["pid"]
    client = Terminal(framed=False)
    house.start(exec_bundle(house, target, pid, "e1", "cat; ps -o args; exit 7", stdin=True), client.request)
    client.connection.sendall(b"typed\n")
    client.connection.shutdown(socket.SHUT_WR)
    seen = client.read_all()
    assert seen.startswith(b"typed\n") and b"sleep 1000" in seen
    assert house.ended("e1").code == 7
    house.start(exec_bundle(house, target, pid, "e2", "sleep 1000"))
    container.signal(signal.SIGKILL)
    assert house.ended("a").code == house.ended("e2").code == 137


def test_exec_has_a_terminal_of_its_own(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    client = Terminal(framed=False)
    bundle = exec_bundle(house, target, container.state()["pid"], "e", "stty size; tty", tty=True, stdin=True, rows=7, columns=70)
    house.start(bundle, client.request)
    assert client.read_all() == b"7 70\r\n/dev/pts/0\r\n"
    assert house.ended("e").code == 0
    container.signal(signal.SIGKILL)
    house.ended("a")


def test_exec_of_a_command_that_is_missing(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    bundle = exec_bundle(house, target, container.state()["pid"], "e", "", args=["nosuch"])
    monitor = house.monitors.launch(bundle)
    monitor.wait_ready()
    with pytest.raises(StartFailed) as failure:
        monitor.go()
        monitor.wait_started()
    assert failure.value.exit_status == 127
    monitor.abort()
    record = read_exit_record(bundle["exit_record"])
    assert record is not None and record.code == 127
    container.signal(signal.SIGKILL)
    house.ended("a")


# --- sudden deaths ---------------------------------------------------------------------------------------------------


def test_the_next_engine_adopts(house: House) -> None:
    client = Terminal(framed=False)
    first = house.start(house.bundle("a", "read a; echo $a; exit 5", stdin=True), client.request)
    pid = first.state()["pid"]
    house.monitors.close()
    house.monitors = house.new_engine()
    monitor = house.monitors.adopt("a", house.layout.container_run_directory("a"))
    assert monitor is not None and monitor.state()["pid"] == pid and monitor.state()["phase"] == "running"
    house.monitors.watch("a", monitor)
    client.connection.sendall(b"still here\n")
    assert client.read_all() == b"still here\n"
    assert house.ended("a").code == 5


def test_an_end_that_nobody_heard_is_found_and_wakes_an_engine(house: House, tmp_path: Path) -> None:
    woken = tmp_path / "woken"
    bundle = house.bundle("a", "read a; exit 6", stdin=True, wake=["/bin/sh", "-c", f"echo woken > {woken}"])
    client = Terminal()
    monitor = house.monitors.launch(bundle, [client.request])
    monitor.wait_ready()
    monitor.go()
    monitor.wait_started()
    monitor.close()
    client.connection.sendall(b"\n")
    client.read_all()
    eventually(woken.exists)
    record = read_exit_record(house.exit_record("a"))
    assert record is not None and record.code == 6
    assert house.monitors.adopt("a", house.layout.container_run_directory("a")) is None


def test_an_engine_that_dies_after_it_was_told_of_an_end_is_replaced(house: House, tmp_path: Path) -> None:
    """It has heard of the end, and is killed before it has done anything about it."""
    woken = tmp_path / "woken"
    bundle = house.bundle("a", "exit 6", wake=["/bin/sh", "-c", f"echo woken > {woken}"])
    monitor = house.monitors.launch(bundle)
    monitor.wait_ready()
    monitor.go()
    eventually(lambda: monitor.listen() and monitor.end() is not None)
    assert not woken.exists()
    monitor.close()
    eventually(woken.exists)


def test_an_end_that_an_engine_has_seen_to_wakes_no_other(house: House, tmp_path: Path) -> None:
    woken = tmp_path / "woken"
    monitor = house.start(house.bundle("a", "read a; exit 6", stdin=True, wake=["/bin/sh", "-c", f"echo woken > {woken}"]))
    keeper = parent_of(monitor.state()["pid"])
    monitor.signal(signal.SIGKILL)
    house.ended("a")
    eventually(lambda: not is_alive(keeper))
    assert not woken.exists()


def test_a_container_outlives_an_engine_that_dies_as_it_starts_and_the_next(house: House) -> None:
    bundle = house.bundle("a", "sleep 1000")
    first = house.monitors.launch(bundle)
    first.wait_ready()
    first.go()
    first.close()  # before the monitor can say that it has started
    for _ in range(2):
        next_engine = adopted(house, "a")
        assert next_engine.state()["phase"] == "running"
        next_engine.close()
    last = adopted(house, "a")
    house.monitors.watch("a", last)
    last.signal(signal.SIGTERM)
    last.signal(signal.SIGKILL)
    assert house.ended("a").signal == signal.SIGKILL


def test_a_command_in_a_container_goes_on_when_its_engine_dies_as_it_starts(house: House) -> None:
    target = house.bundle("a", "sleep 1000")
    container = house.start(target)
    bundle = exec_bundle(house, target, container.state()["pid"], "e", "exit 7")
    monitor = house.monitors.launch(bundle)
    monitor.wait_ready()
    monitor.go()
    monitor.close()
    eventually(lambda: read_exit_record(bundle["exit_record"]) is not None)
    record = read_exit_record(bundle["exit_record"])
    assert record is not None and record.code == 7
    container.signal(signal.SIGKILL)
    house.ended("a")


def adopted(house: House, id: str) -> Monitor:
    """The monitor of a container, taken over by another engine, once its container runs."""
    monitor = house.monitors.adopt(id, house.layout.container_run_directory(id))
    assert monitor is not None
    eventually(lambda: monitor.state()["phase"] == "running")
    return monitor


def test_a_monitor_that_is_killed_takes_its_container_along(house: House) -> None:
    pid = house.start(house.bundle("a", "sleep 1000")).state()["pid"]
    os.kill(parent_of(pid), signal.SIGKILL)
    record = house.ended("a")
    assert record.lost and record.code == 137
    eventually(lambda: not is_alive(pid))
    assert not list(Path("/sys/fs/cgroup").glob(f"*{house.cgroup('a')}"))


def test_a_detached_container_that_is_silent_costs_little_memory(house: House) -> None:
    """Its monitor has nothing of its own but what it has touched; what it is asked makes it a whole one."""
    monitor = house.start(house.bundle("a", "read x; echo heard $x", stdin=True))
    resting = parent_of(pid := int(monitor.wait_created()))
    eventually(lambda: private_memory(resting) < 1 << 20)
    before = private_memory(resting)
    assert monitor.state()["pid"] == pid
    assert private_memory(resting) > before
    monitor.signal(signal.SIGKILL)
    assert house.ended("a").code == 137


def test_nobody_is_attached_to_a_detached_container_before_it_runs(house: House) -> None:
    client = Terminal()
    monitor = house.monitors.launch(house.bundle("a", "sleep 1000"))
    monitor.wait_ready()
    with pytest.raises(PykeError, match="before it runs"):
        monitor.attach(client.request)
    monitor.go()
    monitor.wait_started()
    monitor.attach(client.request)
    monitor.abort()


def private_memory(pid: int) -> int:
    """Bytes that a process has to itself; 0 when it is gone."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Private_"))


def test_a_spawner_that_is_killed_is_replaced(house: House) -> None:
    monitor = house.start(house.bundle("a", "sleep 1000"))
    old = house.spawner()
    os.kill(old, signal.SIGKILL)
    eventually(lambda: not is_alive(old))
    assert house.run("echo hello", id="b").code == 0
    assert house.spawner() != old
    monitor.signal(signal.SIGKILL)
    assert house.ended("a").code == 137


def test_a_monitor_that_is_gone_says_so(house: House) -> None:
    monitor = house.start(house.bundle("a", "true"))
    house.ended("a")
    with pytest.raises(PykeError, match="gone"):
        monitor.resize(1, 2)


def test_a_full_disk_does_not_stop_a_container_and_keeps_its_status(house: House) -> None:
    kept = house.layout.container_directory("a")
    bundle = house.bundle("a", "seq 100000; exit 4")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", kept], check=True)
    try:
        with open(os.path.join(kept, "ballast"), "wb") as file, contextlib.suppress(OSError):
            file.write(bytes(1 << 20))
        house.start(bundle)
        assert house.ended("a").code == 4
        fallback = os.path.join(house.layout.container_run_directory("a"), "exit.json")
        found = read_exit_record(house.exit_record("a")) or read_exit_record(fallback)
        assert found is not None and found.code == 4
    finally:
        subprocess.run(["umount", kept], check=True)


def test_thirty_at_once(house: House) -> None:
    ids = [f"c{number}" for number in range(30)]
    threads = [threading.Thread(target=lambda id=id: house.start(house.bundle(id, "read x; exit 3", stdin=True))) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for id in ids:
        monitor = house.monitors.adopt(id, house.layout.container_run_directory(id))
        assert monitor is not None
        client = Terminal(early=b"\n")
        monitor.attach(client.request)
        client.request.client.close()
    assert {house.ended(id).code for id in ids} == {3}
