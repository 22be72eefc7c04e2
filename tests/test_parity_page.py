"""docs/docker-parity.md against pyke's command line, and against Docker's own where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pyke.cli import commands

PAGE = (Path(__file__).parents[1] / "docs" / "docker-parity.md").read_text()
ROW = re.compile(r"^\| `([a-z]+)` \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
OTHER_NAMES = {"ls": "ps", "inspect": "container inspect", "prune": "container prune"}
DOCKER = "/usr/bin/docker"  # Debian's, 20.10


def flags(text: str, of_create: list[str]) -> list[str]:
    return [*re.findall(r"`([a-z0-9-]+)`", text.replace("`create`", "")), *(of_create if "`create`" in text else [])]


def rows() -> dict[str, tuple[list[str], list[str], list[str]]]:
    found: dict[str, tuple[list[str], list[str], list[str]]] = {}
    for command, *cells in ROW.findall(PAGE):
        base = found.get("create", ([], [], []))
        works, differs, absent = (flags(cell, base[column]) for column, cell in enumerate(cells))
        found[command] = (works, differs, absent)
    return found


@pytest.mark.parametrize("command", rows())
def test_the_table_is_true_of_pyke(command: str) -> None:
    works, differs, absent = rows()[command]
    mine = {flag.name for flag in commands.load(OTHER_NAMES.get(command, command)).flags}
    assert {*works, *differs} <= mine
    assert not mine & set(absent)


def test_what_differs_or_is_absent_is_explained() -> None:
    explained = PAGE.partition("## What differs")[2]
    for _, differs, absent in rows().values():
        assert all(f"--{flag}" in explained for flag in differs + absent)


@pytest.mark.skipif(not shutil.which(DOCKER), reason="Debian's docker.io is not installed")
def test_the_table_leaves_out_nothing_that_docker_has() -> None:
    listed = rows()
    text = subprocess.run([DOCKER, "container", "--help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  ([a-z]+) ", text, re.MULTILINE)) == set(listed)
    for command, (works, differs, absent) in listed.items():
        help = subprocess.run([DOCKER, "container", command, "--help"], capture_output=True, text=True, check=True).stdout
        theirs = set(re.findall(r"^\s+(?:-\w, |    )--([\w-]+)", help, re.MULTILINE)) - {"help"}
        assert theirs == {*works, *differs, *absent}, command
