"""Stories of ends, told from recorded facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyke.engine.containers.endings import reason, size
from pyke.engine.containers.exit_records import ExitRecord
from pyke.engine.containers.why import signal_name, tell
from pyke.model import Container, ContainerSpec, ContainerState, Ending, Health, ImageConfig, Limits, Probe, Request

SECOND = 1_000_000_000
CONTAINER = Container(
    id="a" * 64, name="web", created=0, spec=ContainerSpec("i"), image_id="i", image_name="i", image_config=ImageConfig(), argv=("true",),
    storage_driver="overlay", hostname="c",
)  # fmt: skip


def ended(status: str = "exited", **facts: object) -> Container:
    ending = Ending(**({"started_at": SECOND, "finished_at": 4 * SECOND} | facts))  # type: ignore[arg-type]
    return replace(CONTAINER, state=ContainerState(status=status, ending=ending, finished_at=ending.finished_at))


@pytest.mark.parametrize(
    ("container", "words", "command"),
    [
        (CONTAINER, "has never run", "pyke start web"),
        (
            replace(CONTAINER, state=ContainerState(status="running", health=Health("unhealthy", 2, (Probe(1, 2, 7, "no answer"),)))),
            "It is unhealthy: 2 checks in a row have failed, the last one with status 7: no answer.",
            "pyke inspect -f '{{json .State.Health}}' web",
        ),
        (ended(exit_code=3), "exited by itself, after 3.0 s, with status 3.", "pyke logs --tail 20 web"),
        (ended(exit_code=143), "with status 143, as a shell says it of signal 15 (SIGTERM)", "pyke logs --tail 20 web"),
        (ended(exit_code=139, signal=11), "ended by signal 11 (SIGSEGV)", "pyke logs --tail 20 web"),
        (ended(exit_code=137, signal=9), "Nobody asked the engine for it", "pyke logs --tail 20 web"),
        (
            ended(exit_code=137, signal=9, oom_killed=True, memory_limit=64 << 20),
            "it had reached its memory limit of 64 MB",
            "pyke update --memory 128m --memory-swap 256m web",
        ),
        (ended(exit_code=137, signal=9, oom_killed=True), "the end of the host's memory", "pyke logs --tail 20 web"),
        (
            ended(exit_code=143, signal=15, request=Request("stop", 15, uid=1000, pid=77, program="bash")),
            "User 1000 had asked for it: `stop`, with SIGTERM (bash, process 77).",
            "pyke logs --tail 20 web",
        ),
        (
            ended(exit_code=137, signal=9, request=Request("stop", 15, time=SECOND)),
            "It did not end of SIGTERM in 3.0 s, so that SIGKILL followed.",
            "pyke logs --tail 20 web",
        ),
        (ended(exit_code=255, is_lost=True, error="the machine went down"), "Nobody saw its end: the machine went down.", "pyke start web"),
        (
            ended(started_at=0, exit_code=127, error="exec: not found", hint="pyke run --rm -it --entrypoint sh i"),
            "It could not be started: exec: not found",
            "pyke run --rm -it --entrypoint sh i",
        ),
        (
            ended(exit_code=0, health=Health("unhealthy", 3, (Probe(0, 1, 7, "no\nanswer"),))),
            "It was unhealthy: 3 checks in a row had failed, the last one with status 7: no answer.",
            "pyke inspect -f '{{json .State.Health}}' web",
        ),
        (
            ended(verdict="its restart policy is always", is_restarted=True),
            "It is started again, because its restart policy is always.",
            "",
        ),
        (ended("running", exit_code=3), "Before that, its process exited by itself", "pyke logs --tail 20 web"),
    ],
)
def test_the_story_tells_what_is_on_record(container: Container, words: str, command: str) -> None:
    story = tell(container)
    assert words in " ".join(story.sentences)
    assert not command or command in story.commands
    assert all(sentence == sentence.strip() for sentence in story.sentences)


def test_a_running_container_is_not_told_to_start() -> None:
    assert "pyke start web" not in tell(ended("running", exit_code=3)).commands


def test_signals_have_their_names() -> None:
    assert [signal_name(number) for number in (9, 15, 37, 300, 0)] == ["SIGKILL", "SIGTERM", "SIGRTMIN+3", "", ""]


@pytest.mark.parametrize(
    ("record", "limit", "words"),
    [
        (ExitRecord(137, oom_killed=True), 64 << 20, "killed by its 64 MB memory limit"),
        (ExitRecord(137, oom_killed=True), 0, "killed because the host's memory was exhausted"),
        (ExitRecord(1, oom_killed=True), 64 << 20, ""),  # a child was killed, and the program went its own way
        (ExitRecord(137), 64 << 20, ""),
        (ExitRecord(255, error="lost"), 0, "lost"),
    ],
)
def test_inspect_says_why_where_the_status_does_not(record: ExitRecord, limit: int, words: str) -> None:
    assert reason(replace(CONTAINER, spec=replace(CONTAINER.spec, limits=Limits(memory=limit))), record) == words


def test_sizes_are_said_as_they_were_given() -> None:
    assert [size(count) for count in (8 << 20, 1 << 30, 3 << 29, 512 << 10, 100)] == ["8 MB", "1 GB", "1.5 GB", "512 kB", "100 B"]
