"""Clients who do to containers, at random, all that one does to them at a shell, and write down how each command went.

    crowd = Crowd(engine, clients=8, containers=500)
    crowd.run(until=time.monotonic() + 300)
    assert not crowd.complaints(deaths)

Each client has containers of its own, so that it knows what is to become of each command; what a command that was broken off has done,
it does not know, and looks.
"""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pyke.testing.engine import Finished, TestEngine

NETWORK = "crowd"
SLOW = 45.0  # seconds that no command may take, whatever dies beside it
BROKEN_OFF = re.compile(r"the engine (broke the connection off|went away)|engines went away|was not run to its end")
#: What a command may be told of a container that ends, restarts or is removed by itself meanwhile.
MEANWHILE = re.compile(
    r"No such (container|object)|is not running|is not paused|already paused|is already in use|is paused|has ended|is already in progress"
    r"|is restarting|could not be removed|cannot remove a running|marked for removal"
)
STAY = ("sh", "-c", "trap 'exit 7' TERM; sleep 10000 & wait")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of container: how it is made, and whether it may end or go away by itself."""

    flags: tuple[str, ...]
    command: tuple[str, ...]
    is_fickle: bool = False


KINDS = (
    Kind(("--network", "none"), ("sleep", "10000")),
    Kind(("--network", "none"), STAY),
    Kind(("--network", NETWORK, "-p", "80", "-p", "53/udp"), ("sleep", "10000")),
    Kind(("-p", "127.0.0.1::8080"), STAY),
    Kind(("--network", NETWORK, "-v", "{name}:/named", "-v", "/anonymous"), ("sh", "-c", "date >/named/mark; exec sleep 10000")),
    Kind(("--network", "none", "--restart", "always"), ("sleep", "10000"), is_fickle=True),
    Kind(("--network", NETWORK, "--restart", "on-failure:2"), ("sh", "-c", "sleep 3; exit 5"), is_fickle=True),
    Kind(("--network", NETWORK, "-p", "81", "--rm"), ("sleep", "{seconds}"), is_fickle=True),
    Kind(("--network", "none"), ("sh", "-c", "echo hello; exit 3"), is_fickle=True),
)


@dataclass(frozen=True, slots=True)
class Told:
    """A command that has ended: when it ran (time.monotonic), and what it left. `is_fickle`: nobody could know what it would be told."""

    argv: tuple[str, ...]
    begun: float
    ended: float
    finished: Finished
    is_fickle: bool

    def __str__(self) -> str:
        words = " | ".join(self.finished.stderr.strip().splitlines())
        return f"`pyke {' '.join(self.argv)}` ended with {self.finished.status} after {self.ended - self.begun:.1f} s: {words}"


@dataclass(slots=True)
class Member:
    """One container as its client knows it. `state` is "created", "running", "paused", "ended", or "" where that is not known."""

    name: str
    kind: Kind
    state: str = ""

    @property
    def is_fickle(self) -> bool:
        return self.kind.is_fickle or not self.state


@dataclass
class Client:
    """One client, with dice of its own."""

    engine: TestEngine
    number: int
    limit: int  # containers
    told: list[Told] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # names of what it has removed for certain
    count: int = 0
    patience: float = 90.0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.number)

    def run(self, until: float) -> None:
        while time.monotonic() < until:
            is_growing = len(self.members) < self.limit * 0.9
            if not self.members or (len(self.members) < self.limit and self.dice.random() < (0.8 if is_growing else 0.3)):
                self._make()
            else:
                self._act(self.dice.choice(self.members))

    def do(self, *argv: str, is_fickle: bool = False) -> Finished:
        """Run a command, and write down how it went."""
        begun = time.monotonic()
        try:
            finished = self.engine.pyke(*argv, timeout=self.patience)
        except subprocess.TimeoutExpired:
            finished = Finished(-1, "", "it hangs")
        self.told.append(Told(argv, begun, time.monotonic(), finished, is_fickle))
        return finished

    def _make(self) -> None:
        self.count += 1
        kind = self.dice.choice(KINDS)
        member = Member(f"c{self.number}-{self.count}", kind)
        words = {"name": member.name, "seconds": str(self.dice.randint(2, 40))}
        flags = [word.format(**words) for word in kind.flags]
        command = [word.format(**words) for word in kind.command]
        how = ["create"] if self.dice.random() < 0.3 else ["run", "-d"]
        finished = self.do(*how, "--name", member.name, *flags, "busybox", *command)
        self.members.append(member)
        if finished.status == 0:
            member.state = "created" if how == ["create"] else "running"

    def _act(self, member: Member) -> None:
        acts: dict[str, Sequence[Callable[[Member], None]]] = {
            "created": (self._start, self._start, self._remove, self._rename),
            "ended": (self._start, self._start, self._restart, self._remove, self._look),
            "paused": (self._unpause, self._unpause, self._remove, self._stop),
            "running": (self._stop, self._kill, self._restart, self._pause, self._exec, self._exec, self._rename, self._remove, self._look),
            "": (self._see,),
        }
        self.dice.choice(acts[member.state])(member)

    def _change(self, member: Member, state: str, *argv: str) -> bool:
        """Do what brings a container into another state; whether it did."""
        finished = self.do(*argv, is_fickle=member.is_fickle)
        member.state = state if finished.status == 0 else ""
        return finished.status == 0

    def _start(self, member: Member) -> None:
        self._change(member, "running", "start", member.name)

    def _stop(self, member: Member) -> None:
        self._change(member, "ended", "stop", "-t", self.dice.choice("01"), member.name)

    def _kill(self, member: Member) -> None:
        self._change(member, "ended", "kill", member.name)

    def _restart(self, member: Member) -> None:
        self._change(member, "running", "restart", "-t", "0", member.name)

    def _pause(self, member: Member) -> None:
        self._change(member, "paused", "pause", member.name)

    def _unpause(self, member: Member) -> None:
        self._change(member, "running", "unpause", member.name)

    def _exec(self, member: Member) -> None:
        finished = self.do("exec", member.name, "echo", "inside", is_fickle=member.is_fickle)
        assert finished.status or finished.stdout == "inside\n", f"exec in {member.name} lost what it printed: {finished}"

    def _rename(self, member: Member) -> None:
        """Those that have a volume of their name keep it: it is found by it at the end."""
        self.count += 1
        old, new, state = member.name, f"c{self.number}-{self.count}", member.state
        if self.do("rename", old, new, is_fickle=member.is_fickle).status == 0:
            member.name = new
        elif self.do("inspect", "-f", "{{.Name}}", new, is_fickle=True).status == 0:
            member.name, member.state = new, state

    def _look(self, member: Member) -> None:
        argv = self.dice.choice((("ps", "-q"), ("logs", member.name), ("inspect", member.name), ("ps", "-a"), ("top", member.name)))
        self.do(*argv, is_fickle=member.is_fickle or argv[0] == "top")

    def _remove(self, member: Member) -> None:
        if self.do("rm", "-f", "-v", member.name, is_fickle=member.is_fickle).status == 0:
            self.members.remove(member)
            self.gone.append(member.name)
        else:
            member.state = ""

    def _see(self, member: Member) -> None:
        """Find out what became of one whose state is not known."""
        finished = self.do("inspect", "-f", "{{.State.Status}}", member.name, is_fickle=True)
        if finished.status:
            if "No such" in finished.stderr:
                self.members.remove(member)
        else:
            member.state = {"exited": "ended", "restarting": "running"}.get(finished.stdout.strip(), finished.stdout.strip())


class Crowd:
    """Several clients at once, with so many containers among them."""

    def __init__(self, engine: TestEngine, clients: int, containers: int) -> None:
        self.engine = engine
        self.clients = [Client(engine, number, containers // clients) for number in range(clients)]

    def run(self, until: float) -> None:
        """Have all of them act until a moment of time.monotonic."""
        with ThreadPoolExecutor(len(self.clients)) as pool:
            for done in [pool.submit(client.run, until) for client in self.clients]:
                done.result()

    @property
    def told(self) -> list[Told]:
        """All commands, in the order in which they began."""
        return sorted((each for client in self.clients for each in client.told), key=lambda each: each.begun)

    def has_been_served(self, since: float) -> bool:
        """Whether a command that began after a moment of time.monotonic has succeeded."""
        latest = (client.told[-1] for client in self.clients if client.told)
        return any(told.begun > since and told.finished.status == 0 for told in latest)

    def complaints(self, deaths: Sequence[float]) -> list[str]:
        """What no user would accept, a line each. `deaths`: the moments at which an engine was killed."""
        return [f"{reason}: {told}" for told in self.told if (reason := _complaint(told, deaths))]

    def broken_promises(self, states: dict[str, str]) -> list[str]:
        """What was acknowledged and is not so; `states` is the state that `ps` shows, by name."""
        wrong = []
        for client in self.clients:
            wrong += [f"{name} was removed and is {states[name]}" for name in client.gone if name in states]
            for member in client.members:
                expected = {"ended": "exited"}.get(member.state, member.state)
                if not member.is_fickle and states.get(member.name) != expected:
                    past = "\n    ".join(str(told) for told in client.told if member.name in told.argv)
                    wrong.append(f"{member.name} is to be {expected} and is {states.get(member.name, 'not there')}:\n    {past}")
        return wrong


def _complaint(told: Told, deaths: Sequence[float]) -> str:
    words = told.finished.stderr
    if told.ended - told.begun > SLOW:
        return "too slow"
    if told.finished.status == 0:
        return ""
    if "hint: " not in words and not _is_of_the_container(told) and "No such object" not in words:
        return "no hint"
    if "Traceback" in words or "defect" in words:
        return "a defect"
    if BROKEN_OFF.search(words):
        return "" if any(told.begun - 1 < death < told.ended + 1 for death in deaths) else "broken off, although no engine died"
    if told.is_fickle and (MEANWHILE.search(words) or _is_of_the_container(told)):
        return ""
    return "an unexpected failure"


def _is_of_the_container(told: Told) -> bool:
    """Whether it is the command inside that failed: it was killed with its container."""
    return told.argv[0] == "exec" and told.finished.status in (137, 143) and told.is_fickle
