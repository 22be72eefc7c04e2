"""Completion in real shells: bash, zsh and fish offer commands, flags, and the names that the engine has."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pyke.testing.engine import TestEngine

PATIENCE = 90.0  # seconds: a shell starts pyke several times for one answer
NAMES = {
    "pyke rm we": "web-one",
    "pyke container stop we": "web-one",
    "pyke exec we": "web-one",
    "pyke logs -f we": "web-one",
    "pyke rmi busyb": "busybox:latest",
    "pyke image inspect busyb": "busybox:latest",
    "pyke network rm net-f": "net-four",
    "pyke volume inspect vol-f": "vol-five",
}
WORDS = {
    "pyke attac": "attach",
    "pyke netwo": "network",
    "pyke network conn": "connect",
    "pyke system d": "df",
    "pyke run --memory-swapp": "--memory-swappiness",
    "pyke container create --cpu-sh": "--cpu-shares",
}


def _needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"no {shell} on this machine: apt-get install {shell}")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An engine with one object of each kind, and what makes the word `pyke` speak to it."""
    engine = TestEngine(tmp_path_factory.mktemp("completion") / "root")
    try:
        engine.load_busybox()
        for words in (
            ["create", "--name", "web-one", "busybox", "true"],
            ["network", "create", "net-four"],
            ["volume", "create", "vol-five"],
        ):
            done = subprocess.run(engine.argv(*words), capture_output=True, text=True, timeout=PATIENCE, check=False)
            assert done.returncode == 0, done.stderr
        programs = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
        yield {**os.environ, "PYKE_ROOT": engine.layout.root, "PATH": programs, "HOME": engine.layout.root, "LC_ALL": "C.UTF-8"}
    finally:
        assert engine.close() == []


BASH = """
source <(pyke completion bash)
for line in "$@"; do
    COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _pyke
    echo "$line: ${COMPREPLY[*]}"
done
"""
FISH = """
pyke completion fish | source
for line in $argv
    echo "$line: "(complete -C "$line" | string split -f 1 \\t | string join " ")
end
"""


@_needs("bash")
def test_bash(environment: dict[str, str]) -> None:
    _check(["bash", "--norc", "-c", BASH, "bash"], environment)


@_needs("fish")
def test_fish(environment: dict[str, str]) -> None:
    _check(["fish", "--no-config", "-c", FISH], environment)


def _check(shell: list[str], environment: dict[str, str]) -> None:
    """Have a shell complete each line, and look for what has to be among its answers."""
    lines = NAMES | WORDS
    done = subprocess.run([*shell, *lines], env=environment, capture_output=True, text=True, timeout=3 * PATIENCE, check=True)
    answers = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert not {line: answers[line] for line, expected in lines.items() if expected not in answers[line].split()}


@_needs("zsh")
def test_zsh(environment: dict[str, str]) -> None:
    """zsh completes on a terminal alone."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "dumb", "PS1": "% "},
        start_new_session=True,
    )
    os.close(slave)
    try:
        os.write(master, b"autoload -U compinit && compinit -u -D; source <(pyke completion zsh); echo rea''dy\n")
        _await(master, b"ready")
        for line, expected in (NAMES | WORDS).items():
            os.write(master, line.encode() + b"\t")
            _await(master, expected.encode())
            os.write(master, b"\x15")  # Ctrl-U: forget the line
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


def _await(master: int, expected: bytes) -> None:
    """Read from a terminal until it shows `expected`."""
    shown, deadline = b"", time.monotonic() + PATIENCE
    while expected not in shown:
        ready, _, _ = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{expected!r} does not come: {shown!r}"
        shown += os.read(master, 65536)
