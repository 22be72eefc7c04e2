"""Why a container is as it is: the story of its last end, told from the facts that were recorded then, and what to type next."""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from pyke.engine.containers import endings
from pyke.model import Container, Ending, Health, Request

SHELL_OFFSET = 128  # a shell, and --init, say 128 + N of a process that signal N ended
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Story:
    """Sentences, in the order of what happened, and commands that help, the best one first."""

    sentences: tuple[str, ...]
    commands: tuple[str, ...] = ()


def tell(container: Container) -> Story:
    """The story of a container's last end, or that there was none. The same facts give the same story: nothing is looked up now."""
    return Story(tuple(_sentences(container)), tuple(dict.fromkeys(_commands(container))))


def _sentences(container: Container) -> Iterator[str]:
    state, ending = container.state, container.state.ending
    yield f"{container.name} ({container.short_id}) {_condition(container)}."
    if state.is_running:
        yield from _health(state.health, "is", "have")
    if ending is None:
        return
    again = " Before that," if state.is_running else ""
    if not ending.started_at:
        yield f"{again} It could not be started: {ending.error}".strip()
    else:
        yield _end(ending) if not again else f"{again} {_end(ending)[0].lower()}{_end(ending)[1:]}".strip()
        yield from _causes(ending)
    yield from _health(ending.health, "was", "had")
    if ending.verdict and ending.started_at:
        yield f"It is {'' if ending.is_restarted else 'not '}started again, because {ending.verdict}."


def _condition(container: Container) -> str:
    state = container.state
    if state.status == "created":
        return "has never run"
    if state.status == "restarting":
        return f"has ended and waits {_span(state.backoff)} to be started again"
    if state.is_running:
        times = f"; its restart policy has started it {_times(state.restart_count)} again" if state.restart_count else ""
        return f"is {state.status}{times}"
    return "has ended" if state.status == "exited" else f"is {state.status}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _end(ending: Ending) -> str:
    ran = f", after {_span((ending.finished_at - ending.started_at) / SECOND)}"
    if ending.is_lost:
        return f"Nobody saw its end: {ending.error or 'its monitor was killed'}."
    if ending.signal:
        return f"Its process was ended by signal {ending.signal} ({signal_name(ending.signal)}){ran}: exit status {ending.exit_code}."
    number = ending.exit_code - SHELL_OFFSET
    meaning = f", as a shell says it of signal {number} ({signal_name(number)})" if signal_name(number) else ""
    return f"Its process exited by itself{ran}, with status {ending.exit_code}{meaning}."


def signal_name(number: int) -> str:
    """SIGTERM for 15; "" for what is no signal."""
    if number in signals.Signals.__members__.values():
        return signals.Signals(number).name
    return f"SIGRTMIN+{number - signals.SIGRTMIN}" if signals.SIGRTMIN < number < signals.SIGRTMAX else ""


def _causes(ending: Ending) -> Iterator[str]:
    if ending.oom_killed:
        limit = f"its memory limit of {endings.size(ending.memory_limit)}" if ending.memory_limit else "the end of the host's memory"
        yield f"The kernel killed a process of it, because it had reached {limit}."
    if ending.request is not None:
        yield from _request(ending.request, ending)
    elif (ending.signal or ending.exit_code > SHELL_OFFSET) and not (ending.oom_killed or ending.is_lost):
        yield "Nobody asked the engine for it: a process inside, somebody on the host or the kernel sent the signal."


def _request(request: Request, ending: Ending) -> Iterator[str]:
    name = signal_name(request.signal)
    if request.action == "unhealthy":
        yield f"Its label pyke.health-on-failure had it ended for being unhealthy, with {name}."
    else:
        program = f"{request.program}, " if request.program else ""
        yield f"User {request.uid} had asked for it: `{request.action}`, with {name} ({program}process {request.pid})."
    if ending.signal == signals.SIGKILL and request.signal != signals.SIGKILL and request.action != "kill" and not ending.oom_killed:
        yield f"It did not end of {name} in {_span((ending.finished_at - request.time) / SECOND)}, so that SIGKILL followed."


def _health(health: Health | None, is_or_was: str, have_or_had: str) -> Iterator[str]:
    if not _is_unhealthy(health):
        return
    last = health.log[-1] if health.log else None
    found = f", the last one with status {last.exit_code}: {' '.join(last.output.split())[:200] or 'no output'}" if last else ""
    checks = "1 check" if health.failing_streak == 1 else f"{health.failing_streak} checks in a row"
    yield f"It {is_or_was} unhealthy: {checks} {have_or_had} failed{found}."


def _is_unhealthy(health: Health | None) -> TypeGuard[Health]:
    return health is not None and health.status == "unhealthy"


def _span(seconds: float) -> str:
    """Roughly how long: "0.4 s", "12 s", "5 min", "3 h", "12 days"."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def _commands(container: Container) -> Iterator[str]:
    ending, name = container.state.ending, container.name
    if container.state.is_running and _is_unhealthy(container.state.health):
        yield f"pyke inspect -f '{{{{json .State.Health}}}}' {name}"
    if ending is None:
        yield f"pyke logs {name}" if container.state.is_running else f"pyke start {name}"
        return
    if ending.oom_killed and ending.memory_limit:
        more = ending.memory_limit * 2 // 2**20
        yield f"pyke update --memory {more}m --memory-swap {more * 2}m {name}"
    if not ending.started_at and ending.hint:
        yield ending.hint
    if _is_unhealthy(ending.health):
        yield f"pyke inspect -f '{{{{json .State.Health}}}}' {name}"
    if ending.started_at:
        yield f"pyke logs --tail 20 {name}"
    if not container.state.is_running:
        yield f"pyke start {name}"
