"""Somebody at a keyboard: real terminals on both sides, driven as a user would."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from pyke.testing import keyboard
from pyke.testing.engine import TestEngine
from pyke.testing.keyboard import COLUMNS, DETACH, PROMPT, REDRAWN, ROWS


class Keyboard(keyboard.Keyboard):
    """A terminal with `pyke ARGUMENTS` in it."""

    def __init__(self, engine: TestEngine, *arguments: str, size: tuple[int, int] = (ROWS, COLUMNS)) -> None:
        super().__init__(engine.argv(*arguments), engine.environment, size)


@pytest.fixture
def shell(shared: TestEngine) -> Keyboard:
    """`pyke run -it busybox`, at its first prompt; the container is called `shell`."""
    keyboard = Keyboard(shared, "run", "-it", "--name", "shell", "busybox", "sh", size=(33, 99))
    keyboard.sees(PROMPT)
    return keyboard


def test_a_session_at_a_shell(shell: Keyboard) -> None:
    assert shell.runs("stty size") == "33 99"
    assert shell.runs("tty") == "/dev/pts/0"
    assert shell.is_raw()
    shell.child.setwinsize(44, 111)
    shell.runs_until("stty size", "44 111")
    shell.types("exit 3\r")
    assert shell.ends() == 3


def test_the_size_is_there_before_the_program_starts(shared: TestEngine) -> None:
    for columns in (71, 132):
        keyboard = Keyboard(shared, "run", "--rm", "-it", "busybox", "stty", "size", size=(10, columns))
        keyboard.sees(f"10 {columns}\r\n")
        assert keyboard.ends() == 0


def test_interrupt_and_suspend_reach_the_program(shell: Keyboard) -> None:
    shell.types("sleep 777\r")
    time.sleep(0.3)
    shell.types("\x03")
    shell.sees(PROMPT)
    assert shell.runs("echo $?") == "130"
    shell.types("sleep 778\r")
    time.sleep(0.3)
    shell.types("\x1a")
    assert "Stopped" in shell.sees("sleep 778") + shell.runs("")
    assert "sleep 778" in shell.runs("jobs")
    shell.types("exit\r")
    shell.sees(PROMPT)  # "There are stopped jobs"
    shell.types("exit 4\r")
    assert shell.ends() == 4


def test_an_editor_that_fills_the_screen(shell: Keyboard) -> None:
    shell.types("vi /tmp/story\r")
    shell.sees(r"/tmp/story.*\[No file\]|- /tmp/story")
    shell.types("ionce upon a time\rthere was a container\x1b")
    shell.sees("container")
    shell.child.setwinsize(12, 60)
    time.sleep(0.3)
    shell.types(":wq\r")
    shell.sees(PROMPT)
    assert shell.runs("cat /tmp/story") == "once upon a time\r\nthere was a container"
    assert shell.runs("stty size") == "12 60"
    shell.types("exit\r")
    assert shell.ends() == 0


def test_detach_and_come_back(shared: TestEngine, shell: Keyboard) -> None:
    shell.runs("place=here")
    shell.types(DETACH)
    assert shell.ends() == 0
    assert shared.ok("ps", "--format", "{{.Names}} {{.State}}") == "shell running"
    again = Keyboard(shared, "attach", "shell", size=(20, 50))
    again.sees(REDRAWN)  # without a key: the window's size is told anew
    assert again.runs("echo $place; stty size") == "here\r\n20 50"
    again.types("\x10")
    again.types("\x11")
    again.sees("read escape sequence")
    assert again.ends() == 1
    last = Keyboard(shared, "attach", "--detach-keys", "ctrl-a,x", "shell")
    last.sees(REDRAWN)
    last.types("\x10\x11")  # are keys as others now
    last.types("\x01x")
    last.sees("read escape sequence")
    assert last.ends() == 1
    end = Keyboard(shared, "attach", "shell")
    end.sees(r"\x1b\[J.*\x1b\[J")  # the keys above are still on its line
    end.types("\x15")
    end.types("exit 9\r")
    assert end.ends() == 9


def test_two_terminals_on_one_container(shared: TestEngine, shell: Keyboard) -> None:
    other = Keyboard(shared, "attach", "shell")
    other.sees(REDRAWN)
    shell.types("echo both of $((1 + 1))\r")
    shell.sees("both of 2\r\n")
    other.sees("both of 2\r\n")
    other.types("exit 5\r")
    assert (shell.ends(), other.ends()) == (5, 5)


def test_start_attached(shared: TestEngine) -> None:
    shared.ok("create", "-it", "--name", "shell", "busybox", "sh")
    for status, rows in ((6, 30), (7, 40)):
        keyboard = Keyboard(shared, "start", "-ai", "shell", size=(rows, 70))
        keyboard.sees(PROMPT)
        assert keyboard.runs("stty size") == f"{rows} 70"
        keyboard.types(f"exit {status}\r")
        assert keyboard.ends() == status


def test_exec_has_a_terminal_of_its_own(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "house", "busybox", "sleep", "1000")
    keyboard = Keyboard(shared, "exec", "-it", "-e", "PLACE=attic", "-w", "/tmp", "house", "sh", size=(21, 61))
    keyboard.sees(r"/tmp # \x1b\[6n")
    keyboard.types("cd /\r")
    keyboard.sees(PROMPT)
    assert keyboard.runs("stty size; echo $PLACE") == "21 61\r\nattic"
    keyboard.child.setwinsize(22, 62)
    keyboard.runs_until("stty size", "22 62")
    keyboard.types("exit 8\r")
    assert keyboard.ends() == 8
    left = Keyboard(shared, "exec", "-it", "--detach-keys", "ctrl-b", "house", "sh")
    left.sees(PROMPT)
    left.types("\x02")
    left.sees("read escape sequence")
    assert left.ends() == 1
    assert shared.ok("top", "house", "-eo", "pid,comm").split().count("sh") == 1, "what was left runs on"


def test_a_terminal_that_is_none(shared: TestEngine) -> None:
    shared.ok("run", "-dit", "--name", "shell", "busybox", "sh")
    for words in (("run", "--rm", "-it", "busybox", "sh"), ("exec", "-it", "shell", "sh"), ("attach", "shell")):
        done = shared.pyke(*words)
        assert (done.status, done.stderr) == (1, "pyke: the input device is not a TTY\n"), words
    with shared.start("run", "--rm", "-t", "busybox", "echo", "x") as alone:
        assert alone.communicate(timeout=15) == (b"x\r\n", b""), "-t alone needs no terminal of ours"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_gets_its_mode_back_from_one_that_is_ended(shared: TestEngine, number: signal.Signals) -> None:
    with host_shell(shared) as host:
        host.sendline(f"{' '.join(shared.argv('run', '-it', '--name', 'shell', 'busybox', 'sh'))}; echo ended with $?")
        host.expect(PROMPT)
        assert is_raw(host)
        client = next(pid for pid in children(host.pid) if b"run" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(client, number)
        host.expect(f"ended with {128 + number}")
        assert not is_raw(host)


def test_a_client_that_is_suspended_lends_the_terminal_to_the_shell(shared: TestEngine) -> None:
    with host_shell(shared) as host:
        host.sendline(f"{' '.join(shared.argv('run', '-it', '--name', 'shell', 'busybox', 'sh'))}; echo ended with $?")
        host.expect(PROMPT)
        client = next(pid for pid in children(host.pid) if b"run" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(client, signal.SIGTSTP)
        eventually(lambda: not is_raw(host))
        host.setwinsize(31, 91)
        os.kill(client, signal.SIGCONT)
        eventually(lambda: is_raw(host))
        host.send("stty size\r")
        host.expect("31 91\r\n")
        host.send("exit 3\r")
        host.expect("ended with 3")
        assert not is_raw(host)


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_terminal_gets_its_mode_back_from_a_container_that_is_killed(shared: TestEngine) -> None:
    with host_shell(shared) as host:
        host.sendline(f"{' '.join(shared.argv('run', '--rm', '-it', '--name', 'shell', 'busybox', 'sh'))}; echo ended with $?")
        host.expect(PROMPT)
        shared.ok("kill", "shell")
        host.expect("ended with 137")
        assert not is_raw(host)


def test_the_window_may_go_before_the_container(shared: TestEngine, shell: Keyboard) -> None:
    shell.child.close(force=True)  # a terminal window that is closed: SIGHUP, then no terminal
    assert shared.ok("ps", "--format", "{{.Names}} {{.State}}") == "shell running"


def test_sessions_survive_the_engine(busybox: TestEngine) -> None:
    engine = busybox
    keyboard = Keyboard(engine, "run", "-it", "--name", "shell", "busybox", "sh", size=(25, 75))
    keyboard.sees(PROMPT)
    inside = Keyboard(engine, "exec", "-it", "shell", "sh")
    inside.sees(PROMPT)
    engine.stop(signal.SIGKILL)
    assert keyboard.runs("echo still here") == "still here"
    assert inside.runs("echo so am I") == "so am I"
    keyboard.child.setwinsize(26, 76)
    time.sleep(1.5)  # the resize is told to a new engine
    assert keyboard.runs("stty size") == "26 76"
    inside.types("exit 6\r")
    assert inside.ends() == 6
    engine.stop(signal.SIGKILL)
    again = Keyboard(engine, "attach", "shell")
    again.sees(REDRAWN)
    again.types("exit 7\r")
    assert (keyboard.ends(), again.ends()) == (7, 7)


@contextlib.contextmanager
def host_shell(shared: TestEngine) -> Iterator[pexpect.spawn]:
    """A shell of the host in a terminal, which sees what a command leaves of it."""
    shell = pexpect.spawn(
        "/bin/sh", ["-c", 'while read -r line; do eval "$line"; done'], timeout=15, env={**shared.environment, "TERM": "xterm"}
    )
    try:
        yield shell
    finally:
        shell.close(force=True)


def is_raw(terminal: pexpect.spawn) -> bool:
    return not termios.tcgetattr(terminal.child_fd)[3] & (termios.ECHO | termios.ICANON)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
