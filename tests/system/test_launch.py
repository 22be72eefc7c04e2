"""Starting engines on demand: one for each root, however many ask at once, and an honest word when there is none."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyke import launch, sockets
from pyke.errors import EngineUnavailable
from pyke.paths import Layout
from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually


def answers(connection: sockets.Socket) -> bool:
    connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: pyke\r\nConnection: close\r\n\r\n")
    return connection.recv(4096).startswith(b"HTTP/1.1 200")


def wait_until_nobody_listens(layout: Layout) -> None:
    """A process that was killed closes its sockets some time after it has lost its memory and its command line."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            sockets.connect(layout.socket).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return
        time.sleep(0.01)
    raise AssertionError("the engine still listens")


def test_the_first_command_starts_an_engine_and_the_next_finds_it(engine: TestEngine) -> None:
    assert answers(launch.connect_or_start(engine.layout))
    pid = engine.engine_pid()
    assert answers(launch.connect_or_start(engine.layout)) and engine.engine_pid() == pid
    engine.stop(signal.SIGKILL)
    wait_until_nobody_listens(engine.layout)
    assert answers(launch.connect_or_start(engine.layout)) and engine.engine_pid() not in (0, pid)


def test_many_at_once_end_with_one_engine(engine: TestEngine) -> None:
    answered: list[bool] = []
    threads = [threading.Thread(target=lambda: answered.append(answers(launch.connect_or_start(engine.layout)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered == [True] * 4
    listing = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    assert listing.count(f"-m pyke.engine --root {engine.layout.root}") == 1


def test_an_engine_holds_nothing_of_the_shell_that_started_it(engine: TestEngine) -> None:
    reading, writing = os.pipe()
    code = f"from pyke import launch, paths; launch.connect_or_start(paths.Layout({engine.layout.root!r}))"
    subprocess.run([sys.executable, "-c", code], pass_fds=[writing], check=True, timeout=60)
    os.close(writing)
    assert os.read(reading, 1) == b""  # the end: nobody has it any more
    os.close(reading)
    environment = Path(f"/proc/{engine.engine_pid()}/environ").read_bytes().split(b"\0")
    assert {entry.split(b"=")[0] for entry in environment if entry} <= {b"PATH", b"LANG", b"PYKE_READY_FD"} | {
        name for name in map(os.fsencode, os.environ) if name.startswith(b"PYKE_")
    }


def test_containers_ignore_no_signal_because_the_shell_did(engine: TestEngine) -> None:
    """A command in the background of a script ignores SIGINT and SIGQUIT, one of nohup SIGHUP, and all that it starts inherits it."""
    ignoring = ["sh", "-c", 'trap "" HUP INT QUIT USR1 TSTP WINCH; exec "$@"', "sh"]
    subprocess.run([*ignoring, *engine.argv("ps")], check=True, timeout=60, stdout=subprocess.DEVNULL)
    engine.load_busybox()
    engine.ok("run", "--name", "house", "-d", "busybox", "sleep", "1000")
    ignored = next(line for line in Path(f"/proc/{engine.spawner_pid()}/status").read_text().splitlines() if line.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) & 1 << signal.SIGQUIT - 1, "the spawner itself was not started by such a shell"
    show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    internal = 3 << 31  # glibc's posix_spawn(3) ignores the two signals that it keeps for itself, 32 and 33

    def kept(lines: str) -> set[int]:
        return {int(line.split()[1], 16) & ~internal for line in lines.splitlines()}

    assert kept(engine.ok("exec", "house", *show)) == {0}
    for options in ([], ["--init"], ["-d"]):
        name = f"show{len(''.join(options))}"
        engine.ok("run", "--name", name, *options, "busybox", *show)
        engine.ok("wait", name)
        assert kept(engine.ok("logs", name)) == {0}, options


def test_roots_may_have_long_names(tmp_path: Path) -> None:
    with TestEngine(tmp_path / ("long" * 40)) as engine:
        assert answers(launch.connect_or_start(engine.layout))


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / "root"))
    os.makedirs(layout.root)
    Path(layout.config).write_text("nonsense: 1\n", encoding="utf-8")
    with pytest.raises(EngineUnavailable, match="nonsense"):
        launch.connect_or_start(layout)


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EngineUnavailable, match=r"file/root"):
        launch.connect_or_start(Layout(str(tmp_path / "file/root")))


def test_the_lock_is_for_one(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.run)
    here = Path.cwd()
    try:
        lock = launch.take_lock(layout)
        assert lock is not None and Path(layout.run, "engine.pid").read_text(encoding="ascii") == f"{os.getpid()}\n"
        assert launch.take_lock(layout) is None
        os.close(lock)
        again = launch.take_lock(layout)
        assert again is not None
        os.close(again)
    finally:
        os.chdir(here)


def test_a_listener_is_taken_over_from_systemd(tmp_path: Path) -> None:
    listener = sockets.listen(str(tmp_path / "sock"))
    code = (
        "import os; os.environ['LISTEN_PID'] = str(os.getpid());"
        "from pyke import launch; s = launch.inherited_listener();"
        "print(s.getsockname(), os.get_inheritable(3), 'LISTEN_FDS' in os.environ)"
    )
    high = fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD, 10)
    done = subprocess.run(
        ["bash", "-c", f"exec {sys.executable} -c \"$1\" 3<&{high}", "bash", code],
        env={**os.environ, "LISTEN_FDS": "1"}, pass_fds=[high], capture_output=True, text=True, check=True,
    )  # fmt: skip
    os.close(high)
    assert done.stdout == f"{tmp_path / 'sock'} False False\n"
    assert launch.inherited_listener() is None


def test_waiting_for_a_silent_engine_ends(tmp_path: Path) -> None:
    hearing, saying = os.pipe()
    begin = time.monotonic()
    assert launch._hear(hearing, time.monotonic() + 0.2) == ""
    assert time.monotonic() - begin < 2
    os.close(saying)
    os.close(hearing)


@pytest.mark.parametrize(("agent", "stays"), [("pyke", False), ("Docker-Client/28.2.2 (linux)", True)])
def test_an_idle_engine_leaves_unless_a_client_came_that_cannot_start_another(engine: TestEngine, agent: str, stays: bool) -> None:
    os.makedirs(engine.layout.root, exist_ok=True)
    Path(engine.layout.root, "config.yaml").write_text("idle_timeout: 0.1\n")
    connection = launch.connect_or_start(engine.layout)
    connection.sendall(f"GET /_ping HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    connection.close()
    if stays:
        time.sleep(1)  # in which an engine looks ten times whether it is idle
        assert answers(sockets.connect(engine.layout.socket))
    else:
        eventually(lambda: not engine.engine_pid(), "the engine leaves")  # to connect would keep it


def test_an_engine_that_may_not_look_whether_it_is_in_a_chroot_answers(engine: TestEngine) -> None:
    """Without CAP_SYS_ADMIN it can run nothing; but it tells what there is."""
    command = ["setpriv", "--bounding-set=-sys_admin", *engine.argv("ps", "-q")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=engine.environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
