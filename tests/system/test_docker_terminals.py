"""Docker's own clients at a keyboard, as far as they are installed: what they show, send and say, with pyke's engine at the other end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.keyboard import COLUMNS, DETACH, PROMPT, REDRAWN, ROWS, Keyboard

CLIENTS: list[Any] = [path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if shutil.which(path)]
NO_CLIENT = [pytest.param("", marks=pytest.mark.skip(reason="no docker client is installed"))]


class Docker:
    """One of Docker's clients, with an engine of pyke's behind its socket."""

    def __init__(self, program: str, engine: TestEngine, home: Path) -> None:
        self.program, self.engine = program, engine
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{engine.layout.socket}", "DOCKER_CONFIG": str(home), "HOME": str(home)}

    def at(self, *arguments: str, size: tuple[int, int] = (ROWS, COLUMNS)) -> Keyboard:
        """A terminal with `docker ARGUMENTS` in it."""
        return Keyboard([self.program, *arguments], self.environment, size)

    def ok(self, *arguments: str, input: bytes = b"") -> str:
        done = subprocess.run([self.program, *arguments], input=input, capture_output=True, env=self.environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


@pytest.fixture(params=CLIENTS or NO_CLIENT)
def docker(request: pytest.FixtureRequest, shared: TestEngine, tmp_path: Path) -> Docker:
    shared.ok("ps")  # a client of Docker's starts no engine
    return Docker(request.param, shared, tmp_path)


@pytest.fixture
def shell(docker: Docker) -> Keyboard:
    """`docker run -it busybox`, at its first prompt; the container is called `shell`."""
    keyboard = docker.at("run", "-it", "--name", "shell", "busybox", "sh", size=(33, 99))
    keyboard.sees(PROMPT)
    return keyboard


def test_a_session_at_a_shell(shell: Keyboard) -> None:
    shell.runs_until("stty size", "33 99")
    assert shell.runs("tty") == "/dev/pts/0"
    assert shell.is_raw()
    shell.child.setwinsize(44, 111)
    shell.runs_until("stty size", "44 111")
    shell.types("exit 3\r")
    assert shell.ends() == 3


def test_interrupt_and_suspend_reach_the_program(shell: Keyboard) -> None:
    shell.types("trap 'echo caught' INT; echo now; read line; echo went on; trap - INT\r")
    shell.sees("now\r\n")
    shell.types("\x03")
    shell.sees("caught")
    shell.types("\r")
    shell.sees(PROMPT)
    shell.types("sh -c 'echo be$((1 + 1))gun; exec sleep 778'\r")
    shell.sees("be2gun")
    shell.types("\x1a")
    shell.sees("Stopped")
    shell.runs("true")
    assert "sleep 778" in shell.runs("jobs")
    shell.types("kill %1; exit 4\r")
    shell.sees("exit 4")
    shell.sees(PROMPT)  # "There are stopped jobs"
    shell.types("exit 4\r")
    assert shell.ends() == 4


def test_an_editor_that_fills_the_screen(shell: Keyboard) -> None:
    shell.types("vi /tmp/story\r")
    shell.sees(r"/tmp/story.*\[No file\]|- /tmp/story")
    shell.types("ionce upon a time\rthere was a container\x1b")
    shell.sees("container")
    shell.types(":wq\r")
    shell.sees(PROMPT)
    assert shell.runs("cat /tmp/story") == "once upon a time\r\nthere was a container"
    shell.types("exit\r")
    assert shell.ends() == 0


def test_detach_and_come_back(docker: Docker, shell: Keyboard) -> None:
    shell.runs("place=here")
    shell.types(DETACH)
    assert shell.ends() == 0
    assert docker.ok("ps", "--format", "{{.Names}} {{.State}}").split() == ["shell", "running"]
    again = docker.at("attach", "shell", size=(20, 50))
    again.sees(REDRAWN)  # the window's size is told anew
    again.runs_until("stty size", "20 50")
    assert again.runs("echo $place") == "here"
    again.types("\x10")
    again.types("\x11")
    again.sees("read escape sequence")
    again.ends()
    last = docker.at("attach", "--detach-keys", "ctrl-a,x", "shell", size=(21, 51))
    last.sees(REDRAWN)
    last.types("\x15exit 9\r")
    assert last.ends() == 9


def test_exec_has_a_terminal_of_its_own(docker: Docker) -> None:
    docker.ok("run", "-d", "--name", "house", "busybox", "sleep", "1000")
    keyboard = docker.at("exec", "-it", "-e", "PLACE=attic", "house", "sh", size=(21, 61))
    keyboard.sees(PROMPT)
    keyboard.runs_until("stty size", "21 61")
    assert keyboard.runs("echo $PLACE") == "attic"
    keyboard.child.setwinsize(22, 62)
    keyboard.runs_until("stty size", "22 62")
    keyboard.types("exit 8\r")
    assert keyboard.ends() == 8
    left = docker.at("exec", "-it", "--detach-keys", "ctrl-b", "house", "sh")
    left.sees(PROMPT)
    left.types("\x02")
    left.sees("read escape sequence")
    left.ends()
    assert docker.ok("top", "house", "-eo", "pid,comm").split().count("sh") == 1, "what was left runs on"


def test_files_are_copied_and_committed(docker: Docker, tmp_path: Path) -> None:
    docker.ok("run", "-d", "--name", "house", "busybox", "sleep", "1000")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "large").write_bytes(os.urandom(3_000_000))
    (tmp_path / "here" / "small").write_text("a few words")
    docker.ok("cp", str(tmp_path / "here"), "house:/there")
    docker.ok("cp", "house:/there", str(tmp_path / "back"))
    for name in ("large", "small"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    docker.ok("commit", "-m", "with files", "-c", 'CMD ["cat", "/there/small"]', "house", "filled")
    assert docker.ok("run", "--rm", "filled") == "a few words"
    docker.ok("rmi", "filled")


def test_limits_are_updated_and_use_is_shown(docker: Docker) -> None:
    docker.ok("run", "-d", "--name", "house", "busybox", "sleep", "1000")
    docker.ok("update", "--memory", "64m", "--memory-swap", "64m", "--restart", "on-failure:3", "house")
    host = json.loads(docker.ok("inspect", "house"))[0]["HostConfig"]
    assert (host["Memory"], host["RestartPolicy"]) == (64 << 20, {"Name": "on-failure", "MaximumRetryCount": 3})
    name, limit, pids = docker.ok("stats", "--no-stream", "--format", "{{.Name}}|{{.MemUsage}}|{{.PIDs}}").strip().split("|")
    assert (name, limit.rpartition(" / ")[2], pids) == ("house", "64MiB", "1")
    watching = docker.at("stats", "house")
    watching.sees("house")
    watching.sees("64MiB")
    watching.child.close(force=True)  # client 28 shows "--" after a ^C, and goes on
    assert docker.ok("top", "house").splitlines()[1].endswith("sleep 1000")


@pytest.fixture
def told(docker: Docker) -> Iterator[Any]:
    """`docker events`, and a function that waits for a line of it that holds a word."""
    format = "{{.Action}} {{.Actor.Attributes.name}}"
    began = str(int(time.time()))
    events = subprocess.Popen(
        [docker.program, "events", "--since", began, "--format", format, "--filter", "type=container"],
        stdout=subprocess.PIPE,
        env=docker.environment,
        text=True,
    )
    assert events.stdout is not None
    yield lambda word: next(line for line in events.stdout or () if word in line)
    events.terminate()
    events.wait()
    events.stdout.close()


def test_events_are_told_as_they_happen(docker: Docker, told: Any) -> None:
    docker.ok("run", "--name", "house", "busybox", "true")
    for action in ("create", "attach", "start", "die"):
        assert told(action).split() == [action, "house"]
    docker.ok("rm", "house")
    assert told("destroy").split() == ["destroy", "house"]
