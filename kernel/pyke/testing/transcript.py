"""A script of commands, run on one engine, and what it left, made comparable with what it left on another.

A script is a text that reads like a shell session:

    docker run --rm busybox echo hello
    docker inspect -f '{{.Id}}' nosuch
      differs: a reason, for a reader, why the outputs need not be equal
      status differs: a reason why the exit statuses need not be

Lines that begin with `#` are comments, other lines a command for sh(1), in which `docker` is the client under test. Below a command
stand its notes, indented. A note may be narrowed to one comparison: `cli differs:`, `engine differs:`.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

PATIENCE = 60.0  # seconds for one command


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a script with its notes."""

    command: str
    notes: Mapping[str, str] = field(default_factory=dict)

    def allowed(self, what: str, comparison: str) -> str:
        """The reason why `what` ("differs", "status differs") may happen in this comparison ("cli", "engine"), or ""."""
        return self.notes.get(what) or self.notes.get(f"{comparison} {what}", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: its exit status and both streams."""

    status: int
    stdout: str
    stderr: str


def read(text: str) -> list[Step]:
    """The steps of a script."""
    steps: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            name, _, reason = line.strip().partition(": ")
            assert reason, f"a note without a reason: {line.strip()}"
            steps[-1][1][name] = reason
        else:
            steps.append((line, {}))
    return [Step(command, notes) for command, notes in steps]


class Terminal:
    """Where a script is run: a folder of its own, in which the word `docker` runs `client`, inside of `entered` (a fake host's command)."""

    def __init__(self, directory: str, client: Sequence[str], entered: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.folder = os.path.join(directory, "folder")
        self._entered = list(entered)
        programs = os.path.join(directory, "bin")
        for each in (self.folder, programs):
            os.makedirs(each, exist_ok=True)
        program = os.path.join(programs, "docker")
        with open(program, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nexec {} "$@"\n'.format(" ".join(client)))
        os.chmod(program, stat.S_IRWXU)
        path = f"{programs}:{os.environ['PATH']}"
        self._environment = {
            **os.environ,
            "PATH": path,
            "HOME": directory,
            "DOCKER_CLI_HINTS": "false",
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        }

    def run(self, command: str) -> Outcome:
        """Run one command line and wait for it."""
        done = subprocess.run(
            [*self._entered, "sh", "-c", f'cd "$0" || exit\n{command}', self.folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env=self._environment,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def run_all(self, steps: Sequence[Step]) -> list[Outcome]:
        """Run a script, and leave no container, network or volume of it."""
        outcomes = [self.run(step.command) for step in steps]
        self.run("docker rm -fv $(docker ps -aq); docker network prune -f; docker volume rm $(docker volume ls -q)")
        return outcomes


@dataclass(frozen=True, slots=True)
class Words:
    """What an engine's output has of its own, as patterns and what stands for them; applied in this order."""

    patterns: Sequence[tuple[str, str]]

    def comparable(self, outcome: Outcome) -> Outcome:
        """The same outcome with everything replaced that differs from run to run."""
        return Outcome(outcome.status, self._replaced(outcome.stdout), self._replaced(outcome.stderr))

    def _replaced(self, text: str) -> str:
        for pattern, replacement in (*self.patterns, *PASSING):
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        return text


AGO = r"(?:Less than a second|About a minute|\d+ (?:seconds?|minutes?))"
PASSING = (
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b[0-9a-f]{12}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)", "<time>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \+0000 UTC", "<time>"),
    (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d\b", "<time>"),
    (rf"\b{AGO} ago\b", "<ago>"),
    (rf"\bUp {AGO}", "Up <ago>"),
    (r"\b02:42(?::[0-9a-f]{2}){4}\b", "<mac>"),
    (r"\b(?:172\.(?:1[6-9]|2\d|3[01])|192\.168|10\.2\d\d)\.\d+\.\d+\b", "<address>"),
    (r"(?<=\S) {2,}(?=\S)", "  "),  # columns are as wide as what stands in them
    (r"[ \t]+$", ""),
)


def differences(
    steps: Sequence[Step], expected: Sequence[Outcome], found: Sequence[Outcome], comparison: str, *, checks_notes: bool = True
) -> Iterator[str]:
    """A text for each command whose outcome differs without a note that says why, and, if wanted, for each note that is in vain."""
    for step, left, right in zip(steps, expected, found, strict=True):
        pairs = {"status differs": (left.status, right.status), "differs": ((left.stdout, left.stderr), (right.stdout, right.stderr))}
        for what, (one, other) in pairs.items():
            allowed = step.allowed(what, comparison)
            if one == other and allowed and checks_notes:
                yield f"$ {step.command}\nis noted as different, and is not: {allowed}\n"
            elif one != other and not allowed:
                yield f"$ {step.command}\n{_told('expected', left)}{_told('found', right)}"


def _told(name: str, outcome: Outcome) -> str:
    streams = [f"  {stream}| {line}\n" for stream, text in (("out", outcome.stdout), ("err", outcome.stderr)) for line in text.splitlines()]
    return f" {name}, exit status {outcome.status}:\n" + "".join(streams)
