"""docs/docker-parity.md against pyke's command line, and against those of Docker's clients, 20.10 and 28, where they are installed."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pyke.cli import commands
from pyke.cli.main import GLOBAL
from pyke.testing import helptext

PAGE = (Path(__file__).parents[1] / "docs" / "docker-parity.md").read_text()
ROW = re.compile(r"^\| `([a-z -]+)` \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
ABSENT = re.compile(r"^\| ((?:`[a-z -]+` ?)+) \| ([^|]+) \|$", re.MULTILINE)
CLIENTS = sorted({found for each in ("/usr/bin/docker", "docker") if (found := shutil.which(each))})
GROUPS = ("builder", "checkpoint", "config", "container", "context", "image", "manifest", "network", "node", "plugin", "secret", "service",
          "stack", "swarm", "system", "trust", "volume")  # fmt: skip
GLOBALS = "pyke"  # the row of what stands before a command

Cells = tuple[set[str], set[str], set[str]]  # what works, what differs, what is not there


@functools.cache
def rows() -> dict[str, Cells]:
    found: dict[str, Cells] = {}
    for command, *cells in ROW.findall(PAGE):
        works, differs, absent = (set(re.findall(r"`([a-z0-9-]+)`", cell)) for cell in cells)
        if works & {"create"}:  # "all that `create` has, and ..."
            base = found["container create"]
            works, differs, absent = works - {"create"} | base[0], base[1], base[2]
        if same := re.search(r"as `([a-z]+ [a-z]+)`", cells[0]):
            works, differs, absent = found[same[1]]
        found[command] = (works, differs, absent)
    return found


def absent_commands() -> set[str]:
    return {command for names, _ in ABSENT.findall(PAGE) for command in re.findall(r"`([a-z -]+)`", names)}


def flags_of_pyke(command: str) -> set[str]:
    if command == GLOBALS:
        return {flag.name for flag in GLOBAL.flags}
    name, rest = commands.find(command.split())
    assert not rest and name not in commands.GROUPS, f"pyke has no command {command}"
    return {flag.name for flag in commands.load(name).flags}


@functools.cache
def help_of(client: str, command: str) -> str:
    words = [] if command == GLOBALS else command.split()
    done = subprocess.run([client, *words, "--help"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def flags_of(client: str, command: str) -> set[str]:
    text = help_of(client, command)
    if f"docker {command}" not in text and f"docker-{command}" not in text and command != GLOBALS:
        return set()  # a command that this version does not have
    return set(helptext.read(text).flags)


def commands_of(client: str, group: str) -> set[str]:
    """What a group's help lists, plugins of the client (with a star) and groups left out; of the client itself where `group` is ""."""
    names = helptext.read(help_of(client, group or GLOBALS)).commands
    return {f"{group} {name}".strip() for name in names} - set(GROUPS)


def has_row(command: str) -> bool:
    """Whether the page tells of a command: by a row of its own, as its group's, or because it is another spelling of one of a group."""
    group = command.split()[0]
    of_group = {f"{each} {command}" for each in ("container", "image", "system")}
    return bool({command, group, *of_group} & (absent_commands() | set(rows())))


@pytest.mark.parametrize("command", rows())
def test_the_tables_are_true_of_pyke(command: str) -> None:
    works, differs, absent = rows()[command]
    mine = flags_of_pyke(command)
    assert works | differs <= mine
    assert not mine & absent


def test_what_the_page_says_is_not_there_is_not() -> None:
    for command in absent_commands():
        name, _ = commands.find(command.split())
        assert not name or name in commands.GROUPS, command


def test_what_differs_or_is_absent_is_explained() -> None:
    differing = PAGE.partition("## What differs")[2].partition("\n## ")[0]
    absent_ones = PAGE.partition("## What is not there, and why")[2].partition("\n## ")[0]
    for command, (_, differs, absent) in rows().items():
        assert all(f"--{flag}" in differing for flag in differs), command
        assert all(f"--{flag}`" in absent_ones for flag in absent), command


@pytest.mark.skipif(len(CLIENTS) < 2, reason="needs Docker's clients 20.10 and 28")
def test_what_pyke_has_beyond_docker_is_listed() -> None:
    beyond = PAGE.partition("## What pyke has beyond Docker")[2].partition("\n## ")[0]
    for command in rows():
        theirs = set().union(*(flags_of(client, command) for client in CLIENTS))
        assert all(f"--{flag}`" in beyond for flag in flags_of_pyke(command) - theirs), command


@pytest.mark.skipif(not CLIENTS, reason="no client of Docker's is installed")
@pytest.mark.parametrize("client", CLIENTS)
def test_the_page_leaves_out_no_command_that_docker_has(client: str) -> None:
    listed = {command for group in ("", *GROUPS) for command in commands_of(client, group)}
    assert listed
    assert not {command for command in listed if not has_row(command)}


@pytest.mark.skipif(not CLIENTS, reason="no client of Docker's is installed")
@pytest.mark.parametrize("command", rows())
def test_the_page_leaves_out_no_flag_that_docker_has(command: str) -> None:
    works, differs, absent = rows()[command]
    theirs = set().union(*(flags_of(client, command) for client in CLIENTS))
    assert theirs <= works | differs | absent
