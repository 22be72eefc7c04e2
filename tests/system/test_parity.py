"""The same commands on Docker and on pyke: they print the same, on both streams, and end the same.

The scripts are in `parity/`, one for each part of the command line. Each is run by Docker's client on Docker's engine, by `pyke` on
pyke's, and by Docker's clients on pyke's. What differs has a note with the reason below the command in its script; a note that has
become untrue fails as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyke.testing import images, transcript
from pyke.testing.docker import DockerEngine, missing
from pyke.testing.engine import TestEngine
from pyke.testing.fakehost import FakeHost
from pyke.testing.transcript import Outcome, Terminal, Words

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.timeout(1800)]

SCRIPTS = {path.stem: transcript.read(path.read_text()) for path in sorted((Path(__file__).parent / "parity").glob("*.txt"))}
# What Docker's clients are tried with on pyke.
THROUGH_CLIENTS = ("engine", "images", "knobs", "life", "limits", "listing", "lists", "logs", "networks")
QUICK = ("engine", "listing", "logs")  # and the older of two
NOTED_FOR = 28  # the version of Docker's client whose outputs the notes tell of
# Docker's engine tells errors through containerd and runc, which pyke has not, and names each on the way.
CHAIN = r"(?:failed to create shim task: )?OCI runtime (?:create|exec) failed: (?:runc create|exec) failed: "
OF_DOCKER = ((CHAIN + r"(?:unable to start container process: )?(.*): unknown(?=\s|$)", r"\1"),)
# How a command says that it failed: Docker's "docker: Error response from daemon: X", pyke's "pyke: X" with a hint.
WRAPPER = (
    (r"^(?:docker: |pyke: )?(?:Error response from daemon: |Error: )?(?=.)", ""),
    (r"\n\n(?:Run|See) '\w+ .*\n\Z", "\n"),
    (r"^exit status 1\n", ""),
)
OF_PYKE = ((r"^  hint: .*\n", ""), (r"\bpyke\b", "docker"))
# What Docker's clients say or do not say as requests happen to end that they make at once.
RACES = (
    (r'^time="<time>" level=error msg="error waiting for container: context canceled"\n', ""),
    (r"^See 'docker run --help'\.\n", ""),
    (r"^time=\"<time>\" level=error msg=\"Can't (?:add file .* to tar|close tar writer): io: read/write on closed pipe\"\n", ""),
)


def client_version(program: str) -> int:
    """The major version of a client of Docker's."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", told)[0])


CLIENTS = (
    {}
    if missing()
    else {client_version(path): path for path in ("/usr/bin/docker", str(shutil.which("docker"))) if os.access(path, os.X_OK)}
)
NEWEST = max(CLIENTS, default=0)


class Engines:
    """Docker's engine and two of pyke's, each on a host of its own, with the same image, and whoever speaks to them."""

    def __init__(self, directory: Path, cleanup: ExitStack) -> None:
        self._cleanup = cleanup
        docker = cleanup.enter_context(DockerEngine(directory / "docker"))
        docker.load_busybox()
        self._roots = {"docker": docker.root}
        self.terminals = {"docker": self._clients(directory / "docker", docker.address, docker.host)}
        host, own = self._pyke(directory / "own")
        self.terminals["pyke"] = {0: Terminal(f"{directory}/pyke", own.argv(), host.command())}
        host, other = self._pyke(directory / "other")
        self.terminals["docker on pyke"] = self._clients(directory / "other", f"unix://{other.layout.socket}", host)
        self._roots |= {"pyke": own.layout.root, "docker on pyke": other.layout.root}

    def _clients(self, directory: Path, address: str, host: FakeHost) -> dict[int, Terminal]:
        return {version: Terminal(f"{directory}/{version}", [path, "--host", address], host.command()) for version, path in CLIENTS.items()}

    def _pyke(self, directory: Path) -> tuple[FakeHost, TestEngine]:
        host = self._cleanup.enter_context(FakeHost())
        engine = TestEngine(directory / "root")
        self._cleanup.callback(close, engine)
        archive = directory / "busybox.tar"
        archive.parent.mkdir()
        archive.write_bytes(images.busybox_image())
        host.run(*engine.argv("load", "-i", str(archive)))
        return host, engine

    def run(self, name: str, sections: Collection[str]) -> dict[tuple[str, int, str], list[Outcome]]:
        """Run scripts on one engine, one after the other; the older of two clients runs the quick ones alone."""
        done = {}
        for version, terminal in self.terminals[name].items():
            own = ((re.escape(self._roots[name]), "<root>"), (re.escape(terminal.folder), "<folder>"))
            for section in [each for each in sections if _concerns(name, version, each)]:
                outcomes = terminal.run_all(SCRIPTS[section])
                done[name, version, section] = [Words(own).comparable(outcome) for outcome in outcomes]
        return done


def _concerns(name: str, version: int, section: str) -> bool:
    if version not in (0, NEWEST):
        return section in QUICK
    return name != "docker on pyke" or section in THROUGH_CLIENTS


def close(engine: TestEngine) -> None:
    """End it. The other engines, which live on, are not what it left behind."""
    left = [line for line in engine.close() if engine.layout.root in line]
    assert not left, left


Transcripts = dict[tuple[str, int, str], list[Outcome]]


@pytest.fixture(scope="module")
def transcripts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Transcripts:
    """What the scripts of the tests that are to run left on each engine. All engines work at once, and are gone when the tests compare."""
    chosen = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    sections = [str(item.callspec.params["section"]) for item in chosen if hasattr(item, "callspec")]
    with ExitStack() as cleanup, ThreadPoolExecutor() as pool:
        engines = Engines(tmp_path_factory.mktemp("parity"), cleanup)
        done: Transcripts = {}
        for part in pool.map(lambda name: engines.run(name, dict.fromkeys(sections)), engines.terminals):
            done |= part
        return done


def compare(section: str, expected: list[Outcome], found: list[Outcome], comparison: str, *, checks: bool) -> None:
    """Fail with every difference that has no reason, and with every reason without a difference if `checks`."""
    told = list(transcript.differences(SCRIPTS[section], expected, found, comparison, checks_notes=checks))
    assert not told, "\n" + "\n".join(told)


def comparable(outcomes: list[Outcome], words: Sequence[tuple[str, str]]) -> list[Outcome]:
    return [Words(words).comparable(outcome) for outcome in outcomes]


def test_the_scripts_are_long_enough() -> None:
    assert sum(map(len, SCRIPTS.values())) >= 1200


@pytest.mark.skipif(NEWEST < NOTED_FOR, reason="pyke's words are those of Docker's client 28, which is not installed")
@pytest.mark.parametrize("section", SCRIPTS)
def test_pyke_prints_what_docker_prints(transcripts: Transcripts, section: str) -> None:
    expected = comparable(transcripts["docker", NEWEST, section], (*OF_DOCKER, *RACES, *WRAPPER))
    found = comparable(transcripts["pyke", 0, section], (*OF_PYKE, *WRAPPER))
    compare(section, expected, found, "cli", checks=True)


@pytest.mark.parametrize("section", THROUGH_CLIENTS)
def test_dockers_client_prints_on_pyke_what_it_prints_on_docker(transcripts: Transcripts, section: str) -> None:
    words = (*OF_DOCKER, *RACES)
    expected, found = (comparable(transcripts[name, NEWEST, section], words) for name in ("docker", "docker on pyke"))
    compare(section, expected, found, "engine", checks=NEWEST == NOTED_FOR)


@pytest.mark.skipif(len(CLIENTS) < 2, reason="only one client of Docker's is installed")
@pytest.mark.parametrize("section", QUICK)
def test_dockers_older_client_prints_on_pyke_what_it_prints_on_docker(transcripts: Transcripts, section: str) -> None:
    words = (*OF_DOCKER, *RACES)
    expected, found = (comparable(transcripts[name, min(CLIENTS), section], words) for name in ("docker", "docker on pyke"))
    compare(section, expected, found, "engine", checks=False)
