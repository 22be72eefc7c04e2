"""pyke's command line held against those of Docker's clients by what a script or a habit would trip over: the order of arguments, the
letters and the kinds of flags, what is the default, and what is said of a line that makes no sense.

The sentences of the help are pyke's own. Where 20.10 and 28 differ, pyke may do as either; words of errors are those of 28.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess

import pytest

from pyke.cli import commands
from pyke.cli.main import main
from pyke.testing import helptext
from pyke.testing.helptext import HelpText

CLIENTS = sorted({found for each in ("/usr/bin/docker", "docker") if (found := shutil.which(each))})
NAMES = sorted(name for name in [*commands.HOMES, *commands.ALIASES] if name not in ("engine", "why"))
USAGES = {
    "completion": "Docker's has a command for each shell, which is the same to whoever types it",
    "network rm": "Docker's has flags and does not say so",
    "network remove": "as network rm",
    "manifest inspect": "makes sense of one name",
}
# What has another form in 28 than in 20.10, for a machine that has one of them alone; pyke has the newer form, but for `kill --signal`.
CHANGED = {"limit", "signal", "stop-signal"}
HIDDEN = {"time"}  # `--timeout` since 28, which owns the letter
NEWEST_WORDS = 28
Spoken = tuple[int, str, str]  # status, stdout, stderr

pytestmark = pytest.mark.skipif(not CLIENTS, reason="no client of Docker's is installed")


@functools.cache
def docker(client: str, *words: str) -> Spoken:
    """What a client says without an engine: none is asked by these lines."""
    environment = {**os.environ, "DOCKER_CLI_HINTS": "false", "COLUMNS": "200"}
    done = subprocess.run([client, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


@functools.cache
def version(client: str) -> int:
    return int(re.findall(r"\d+", docker(client, "--version")[1])[0])


def help_of(client: str, name: str) -> HelpText | None:
    """A command's help, or None where this version has no such command."""
    status, out, _ = docker(client, *name.split(), "--help")
    text = helptext.read(out)
    return text if status == 0 and not text.commands - {"bash", "fish", "powershell", "zsh"} else None


class Pyke:
    """pyke's command line, run in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> Spoken:
        self._capture.readouterr()
        status = main(words)
        return (status, *self._capture.readouterr())


@pytest.fixture
def pyke(capfd: pytest.CaptureFixture[str]) -> Pyke:
    return Pyke(capfd)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_flags_have_docker_s_form(name: str, pyke: Pyke) -> None:
    theirs = [text for client in CLIENTS if (text := help_of(client, name))]
    if not theirs:
        assert name in ("container remove", "image remove", "network remove", "volume remove"), "a command that Docker has nowhere"
        return
    mine = helptext.read(pyke(*name.split(), "--help")[1])
    if name not in USAGES:
        assert mine.usage.removeprefix("pyke ") in [text.usage.removeprefix("docker ") for text in theirs]
    for flag in mine.flags:
        forms = [text.flags[flag] for text in theirs if flag in text.flags and flag not in HIDDEN]
        assert not forms or mine.flags[flag] in forms or (len(theirs) == 1 and flag in CHANGED), flag


def lines_that_make_no_sense(name: str) -> list[list[str]]:
    """A flag that nobody has, one without its value, one argument too few and one too many; for another spelling the first alone."""
    command, words = commands.load(name), name.split()
    if name in commands.ALIASES:
        return [[*words, "--bogus"]]
    lines = [[*words, "--bogus"], [*words, "-%"]]
    lines += [[*words, f"--{flag.name}"] for flag in command.flags if flag.kind.word][:1]
    lines += [[*words, *["x"] * (command.minimum - 1)]] if command.minimum else []
    lines += [[*words, *["x"] * (command.maximum + 1)]] if command.maximum is not None else []
    return lines


def plain(text: str) -> str:
    """What is said, whoever says it and in which words one is sent to the help."""
    text = re.sub(r"^(?:See|S?Run) '(.*) --help'.*$", r"Run '\1 --help'", text, flags=re.MULTILINE)
    return re.sub(r"\[OPTIONS\] |\bpyke\b", lambda found: "docker" if found[0] == "pyke" else "", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_line_that_makes_no_sense_is_refused_alike(name: str, pyke: Pyke) -> None:
    known = [client for client in CLIENTS if help_of(client, name)]
    for words in lines_that_make_no_sense(name) if known and name not in USAGES else []:
        mine = pyke(*words)
        for client in known:
            theirs = docker(client, *words)
            assert mine[:2] == theirs[:2], words
            if version(client) >= NEWEST_WORDS:
                assert plain(mine[2]) == plain(theirs[2]), words


@pytest.mark.parametrize(
    "line",
    [
        *("", "--help", "bogus", "--bogus", "-%", "-H", "-v", "--version"),
        *("container", "container bogus", "container --help", "network bogus --help"),
        *("help", "help bogus", "help run", "help network", "help network create", "help network create x"),
    ],
)
def test_what_stands_before_a_command_is_taken_alike(line: str, pyke: Pyke) -> None:
    status, out, err = pyke(*line.split())
    for client in CLIENTS:
        theirs = docker(client, *line.split())
        if version(client) >= NEWEST_WORDS:
            assert (status, bool(out), bool(err)) == (theirs[0], bool(theirs[1]), bool(theirs[2]))
            if line and not out:
                assert plain(err) == plain(theirs[2])
        elif "bogus" not in line:
            assert status == theirs[0]
