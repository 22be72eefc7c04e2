"""What a help text of the command line says, read back: pyke's and those of Docker's clients are compared by it.

    text = helptext.read(output_of("docker", "run", "--help"))
    text.usage == "docker run [OPTIONS] IMAGE [COMMAND] [ARG...]"
    text.flags["memory"] == FlagText("m", "bytes", "")

The sentences themselves are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

USAGE = re.compile(r"^Usage:\s+(.+)$", re.MULTILINE)
FLAG = re.compile(r"^ +(?:-(\S), |    )--([\w-]+)(?: (\S+))?(?:  +(.*))?$")
CONTINUED = " " * 8  # a summary's second line stands below the first
COMMANDS = re.compile(r"^(?:Common |Swarm |Management )?Commands:\n((?:  .*\n)+)", re.MULTILINE)
SAYS_NOTHING = ("0", "0s", "[]", "map[]")  # how Go prints that there is no default


@dataclass(frozen=True, slots=True)
class FlagText:
    """A flag: its one letter, the word for its value ("" for a switch), and its default as it is printed, "" for none."""

    short: str
    word: str
    default: str


@dataclass(frozen=True, slots=True)
class HelpText:
    """One command's help. `usage` is the line after "Usage:", `commands` are those it lists."""

    usage: str
    flags: Mapping[str, FlagText]
    commands: frozenset[str]


def read(text: str) -> HelpText:
    """Read a help text; `--help` itself, which only some list, is left out."""
    usage = USAGE.search(text)
    commands = re.findall(r"^  ([a-z-]+) ", "".join(COMMANDS.findall(text)), re.MULTILINE)
    flags = {name: flag for name, flag in _flags(text) if name != "help"}
    return HelpText(usage[1] if usage else "", flags, frozenset(commands))


def _flags(text: str) -> list[tuple[str, FlagText]]:
    heads: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        if head := FLAG.match(line):
            heads.append((head, [head[4] or ""]))
        elif heads and line.startswith(CONTINUED):
            heads[-1][1].append(line.strip())
    return [(head[2], FlagText(head[1] or "", head[3] or "", _default(" ".join(summary)))) for head, summary in heads]


def _default(summary: str) -> str:
    told = re.findall(r"\(default ([^)]*)\)", summary)
    return told[-1] if told and told[-1] not in SAYS_NOTHING else ""
