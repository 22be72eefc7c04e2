"""A container's life beside its commands: health, restarts, limits and their story, on a real engine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually

GROW = "x=a; while :; do x=$x$x; done"  # until the memory is at its end


def state(engine: TestEngine, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(engine.ok("inspect", "-f", "{{json .State}}", name))
    return found


def pid(engine: TestEngine, name: str) -> int:
    return int(str(state(engine, name)["Pid"]))


def status(engine: TestEngine, name: str) -> str:
    return engine.ok("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}")


def checked(engine: TestEngine, name: str, command: str, *flags: str) -> None:
    """Run a container whose health is checked five times a second."""
    check = ("--health-cmd", command, "--health-interval", "200ms", "--health-retries", "2")
    engine.ok("run", "-d", "--name", name, "--stop-timeout", "0", *check, *flags, "busybox", "sleep", "300")


def actions(engine: TestEngine, name: str, *wanted: str) -> list[str]:
    chosen = [word for each in wanted for word in ("--filter", f"event={each}")]
    past = ("--since", "5m", "--until", "0s", "--filter", f"container={name}")
    return engine.ok("events", *past, *chosen, "--format", "{{.Action}}").splitlines()


# --- health ----------------------------------------------------------------------------------------------------------


def test_a_check_is_told_by_ps_inspect_filters_and_events(shared: TestEngine) -> None:
    checked(shared, "new", "true", "--health-interval", "1h")
    assert status(shared, "new").endswith("(health: starting)")
    checked(shared, "hh", "echo looked; test -f /tmp/ok")
    eventually(lambda: status(shared, "hh").endswith("(unhealthy)"), "two probes have failed")
    health = json.loads(shared.ok("inspect", "-f", "{{json .State.Health}}", "hh"))
    assert health["FailingStreak"] >= 2
    assert {(each["ExitCode"], each["Output"]) for each in health["Log"]} == {(1, "looked\n")}
    assert shared.ok("ps", "-q", "--filter", "health=unhealthy") and not shared.ok("ps", "-q", "--filter", "health=healthy")
    shared.ok("exec", "hh", "touch", "/tmp/ok")
    eventually(lambda: status(shared, "hh").endswith("(healthy)"), "one probe has succeeded")
    assert actions(shared, "hh", "health_status") == ["health_status: unhealthy", "health_status: healthy"]


def test_a_probe_that_hangs_is_ended(shared: TestEngine) -> None:
    checked(shared, "hh", "echo begun; exec sleep 200", "--health-timeout", "300ms")
    eventually(lambda: status(shared, "hh").endswith("(unhealthy)"), "two probes have taken too long")
    last = json.loads(shared.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh"))[-1]
    assert (last["ExitCode"], last["Output"]) == (-1, "Health check exceeded timeout (0.3s): begun\n")
    assert len(shared.ok("top", "hh", "-o", "pid,args").splitlines()) <= 3  # the titles, the container's own sleep and at most one probe


def test_a_probe_that_cannot_run_is_a_failure_that_says_why(shared: TestEngine) -> None:
    shared.ok("create", "--name", "source", "busybox", "sleep", "300")
    shared.ok("commit", "-c", 'HEALTHCHECK --interval=200ms --retries=1 CMD ["/nosuch"]', "source", "checked")
    shared.ok("run", "-d", "--name", "hh", "checked")
    eventually(lambda: status(shared, "hh").endswith("(unhealthy)"), "the probe has failed")
    assert "/nosuch" in shared.ok("inspect", "-f", "{{(index .State.Health.Log 0).Output}}", "hh")
    shared.ok("run", "-d", "--name", "unchecked", "--no-healthcheck", "checked")
    assert "Health" not in state(shared, "unchecked")
    assert "(" not in status(shared, "unchecked")
    shared.empty()
    shared.ok("rmi", "checked")


def test_the_next_engine_goes_on_with_checks(busybox: TestEngine) -> None:
    checked(busybox, "hh", "true")
    eventually(lambda: status(busybox, "hh").endswith("(healthy)"), "it is healthy")
    busybox.stop(signal.SIGKILL)
    assert status(busybox, "hh").endswith("(healthy)")
    before = busybox.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh")
    eventually(lambda: busybox.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh") != before, "there is a further probe")


def test_a_paused_container_is_not_checked(shared: TestEngine) -> None:
    checked(shared, "hh", "true")
    eventually(lambda: status(shared, "hh").endswith("(healthy)"), "it is healthy")
    shared.ok("pause", "hh")
    before = shared.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh")
    time.sleep(0.5)
    assert shared.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh") == before
    shared.ok("unpause", "hh")
    eventually(lambda: shared.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh") != before, "it is checked again")


def test_a_probe_that_is_frozen_with_its_container_does_not_count(shared: TestEngine) -> None:
    checked(shared, "hh", "[ ! -e /slow ] || exec sleep 1", "--health-timeout", "1500ms", "--health-retries", "1")
    eventually(lambda: status(shared, "hh").endswith("(healthy)"), "it is healthy")
    shared.ok("exec", "hh", "touch", "/slow")
    eventually(lambda: "sleep 1\n" in shared.ok("top", "hh", "-o", "pid,args") + "\n", "a probe is under way")
    shared.ok("pause", "hh")
    time.sleep(2)  # longer than a probe may take
    assert shared.ok("inspect", "-f", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "hh") == "healthy 0"
    shared.ok("unpause", "hh")
    before = shared.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh")
    eventually(lambda: shared.ok("inspect", "-f", "{{json .State.Health.Log}}", "hh") != before, "it is checked again")
    assert status(shared, "hh").endswith("(healthy)")


@pytest.mark.parametrize(("wish", "running"), [("restart", True), ("stop", False), ("kill", False)])
def test_the_unhealthy_are_dealt_with_as_their_label_says(shared: TestEngine, wish: str, running: bool) -> None:
    checked(shared, "hh", "false", "--label", f"pyke.health-on-failure={wish}")
    first = pid(shared, "hh")
    eventually(lambda: pid(shared, "hh") != first if running else status(shared, "hh").startswith("Exited (137)"), f"it ended: {wish}")
    eventually(lambda: "being unhealthy" in shared.ok("why", "hh"), "the story is told")
    assert status(shared, "hh").startswith(("Up", "Restarting") if running else "Exited")


# --- restarts --------------------------------------------------------------------------------------------------------


def test_on_failure_gives_up_after_its_retries(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "rr", "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 3")
    eventually(lambda: len(actions(shared, "rr", "die")) == 3 and status(shared, "rr").startswith("Exited (3)"), "it has run three times")
    assert shared.ok("inspect", "-f", "{{.RestartCount}} {{.State.ExitCode}}", "rr") == "2 3"
    assert "it has been restarted 2 times" in shared.ok("why", "rr")


def is_gone(process: int) -> bool:
    """Whether a process has given back all that it had; it may not be buried yet."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("is_updated", [False, True])
def test_a_restart_needs_no_engine_that_is_there(busybox: TestEngine, is_updated: bool) -> None:
    """The monitor starts an engine, also where an update gave the running container its policy."""
    busybox.ok("run", "-d", "--name", "rr", *(() if is_updated else ("--restart", "always")), "busybox", "sleep", "300")
    if is_updated:
        busybox.ok("update", "--restart", "always", "rr")
    first, engine_pid = pid(busybox, "rr"), busybox.engine_pid()
    busybox.stop(signal.SIGKILL)
    eventually(lambda: is_gone(engine_pid), "the engine's connections are closed")
    os.kill(first, signal.SIGKILL)
    eventually(busybox.engine_pid, "an engine was started")
    eventually(lambda: pid(busybox, "rr") not in (0, first), "it runs again")
    assert busybox.ok("inspect", "-f", "{{.RestartCount}}", "rr") == "1"


def test_what_was_stopped_stays_down_when_the_engine_comes_back(busybox: TestEngine) -> None:
    busybox.ok("run", "-d", "--name", "rr", "--restart", "always", "--stop-timeout", "0", "busybox", "sleep", "300")
    busybox.ok("stop", "rr")
    busybox.stop()
    assert status(busybox, "rr").startswith("Exited (137)")


@contextlib.contextmanager
def after_a_reboot(engine: TestEngine) -> Iterator[None]:
    """The engine is away in the block, and the next one thinks that the machine has been down since."""
    engine.stop()
    yield
    with contextlib.closing(sqlite3.connect(engine.layout.database)) as database, database:
        database.execute("UPDATE facts SET value = 'of an earlier boot' WHERE name = 'boot-id'")


def test_a_reboot_starts_what_the_policies_say(busybox: TestEngine) -> None:
    for name, policy in (("aa", "always"), ("uu", "unless-stopped"), ("down", "unless-stopped"), ("nn", "no")):
        busybox.ok("run", "-d", "--name", name, "--restart", policy, "--stop-timeout", "0", "busybox", "sleep", "300")
    busybox.ok("create", "--name", "never", "--restart", "always", "busybox", "sleep", "300")
    busybox.ok("stop", "aa", "down")
    running = {name: pid(busybox, name) for name in ("uu", "nn")}
    monitors = [int(open(f"/proc/{each}/stat").read().split()[3]) for each in running.values()]
    with after_a_reboot(busybox):
        for monitor in monitors:
            os.kill(monitor, signal.SIGKILL)  # a machine that goes down leaves no record of any end
    eventually(lambda: pid(busybox, "aa") and pid(busybox, "uu") not in (0, running["uu"]), "both run again")
    assert status(busybox, "down").startswith("Exited (137)")
    assert status(busybox, "nn").startswith(("Exited (255)", "Exited (137)"))
    assert status(busybox, "never") == "Created"
    assert "Nobody saw its end" in busybox.ok("why", "nn")


# --- limits and what is used -----------------------------------------------------------------------------------------


def test_an_update_is_effective_at_once(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "uu", "-m", "64m", "--pids-limit", "9", "busybox", "sleep", "300")
    shared.ok("update", "-m", "100m", "--pids-limit", "20", "--cpus", "0.5", "uu")
    assert shared.ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}}", "uu") == (
        f"{100 << 20} {128 << 20} 20"
    )
    read = "cat /sys/fs/cgroup/{} /sys/fs/cgroup/{} 2>/dev/null; true"
    assert shared.ok("exec", "uu", "sh", "-c", read.format("memory/memory.limit_in_bytes", "memory.max")) == str(100 << 20)
    assert shared.ok("exec", "uu", "sh", "-c", read.format("pids/pids.max", "pids.max")) == "20"
    shared.ok("update", "--pids-limit", "-1", "uu")
    assert shared.ok("exec", "uu", "sh", "-c", read.format("pids/pids.max", "pids.max")) == "max"
    assert actions(shared, "uu", "update") == ["update", "update"]


def test_what_cannot_be_updated_changes_nothing(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--rm", "--name", "uu", "-m", "64m", "--cpus", "0.5", "busybox", "sleep", "300")
    for flags, words in (
        (("--memory", "1k"), "Minimum memory limit allowed is 6MB"),
        (("--memory", "200m"), "update the memoryswap at the same time"),
        (("--cpu-quota", "20000"), "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (("--restart", "always"), "Restart policy cannot be updated because AutoRemove is enabled"),
        ((), "you must provide one or more flags when using this command"),
    ):
        done = shared.pyke("update", *flags, "uu")
        assert done.status == 1 and words in done.stderr
    assert shared.ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.CpuQuota}}", "uu") == f"{64 << 20} 0"


def test_stats_tell_what_is_used(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "busy", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done")
    shared.ok("create", "--name", "idle", "busybox")
    title, row = shared.ok("stats", "--no-stream").splitlines()
    assert re.fullmatch(r"CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O +BLOCK I/O   PIDS", title)
    assert " busy " in row and " / 64MiB " in row and row.rstrip().endswith(" 1")
    found = json.loads(shared.ok("stats", "--no-stream", "--format", "json", "busy"))
    assert float(found["CPUPerc"].removesuffix("%")) > 5
    assert shared.ok("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", "idle") == "idle 0.00% 0B / 0B 0"
    assert shared.pyke("stats", "--no-stream", "nosuch").status == 1


def test_a_memory_limit_is_told_from_a_kill(shared: TestEngine) -> None:
    done = shared.pyke("run", "--name", "oom", "-m", "8m", "busybox", "sh", "-c", GROW)
    assert (done.status, done.stderr) == (137, "pyke: killed by its 8 MB memory limit\n")
    found = state(shared, "oom")
    assert (found["OOMKilled"], found["Error"]) == (True, "killed by its 8 MB memory limit")
    assert "pyke update --memory 16m --memory-swap 32m oom" in shared.ok("why", "oom")
    assert actions(shared, "oom", "oom", "die") == ["oom", "die"]
    shared.ok("run", "-d", "--name", "killed", "-m", "8m", "busybox", "sleep", "300")
    shared.ok("kill", "killed")
    assert (state(shared, "killed")["OOMKilled"], state(shared, "killed")["Error"]) == (False, "")


# --- the story of an end ---------------------------------------------------------------------------------------------


def test_why_names_who_asked_and_how_it_died(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "stopped", "busybox", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done")
    shared.ok("stop", "stopped")
    assert "User 0 had asked for it: `stop`, with SIGTERM (pyke, process" in shared.ok("why", "stopped")
    shared.ok("run", "-d", "--name", "shot", "busybox", "sleep", "300")
    os.kill(pid(shared, "shot"), signal.SIGKILL)
    shared.ok("wait", "shot")
    assert "ended by signal 9 (SIGKILL)" in shared.ok("why", "shot") and "Nobody asked the engine for it" in shared.ok("why", "shot")
    shared.pyke("run", "--name", "missing", "busybox", "/nosuch")
    assert (
        shared.ok("why", "missing").splitlines()[1] == 'It could not be started: exec: "/nosuch": stat /nosuch: no such file or directory'
    )


def test_why_tells_a_missing_interpreter_and_a_foreign_program(shared: TestEngine) -> None:
    shared.ok("create", "--name", "source", "busybox")
    for name, content in (
        ("script", b"#!/no/interpreter\n"),
        ("foreign", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44)),
    ):
        path = os.path.join(shared.layout.root, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o755)
        shared.pyke("run", "--name", name, "-v", f"{path}:/{name}", "busybox", f"/{name}")
    assert "its interpreter /no/interpreter is missing in the container" in shared.ok("why", "script")
    assert "exec format error: it is built for arm64" in shared.ok("why", "foreign")
    assert "pyke image inspect -f '{{.Os}}/{{.Architecture}}' busybox" in shared.ok("why", "foreign")


# --- ends and what is left -------------------------------------------------------------------------------------------


def test_a_container_is_stopped_with_its_own_signal_in_its_own_time(shared: TestEngine) -> None:
    trap = "trap 'echo INT; exit 0' INT; while :; do sleep 0.05; done"
    shared.ok("run", "-d", "--name", "ss", "--init", "--stop-signal", "INT", "busybox", "sh", "-c", trap)
    eventually(lambda: "pyke-init" in shared.ok("top", "ss", "-o", "pid,comm"), "the first process is the reaper")
    time.sleep(0.2)
    shared.ok("stop", "ss")
    assert shared.ok("logs", "ss") == "INT"
    assert actions(shared, "ss", "kill", "die", "stop") == ["kill", "die", "stop"]
    shared.ok("run", "-d", "--name", "deaf", "--stop-timeout", "1", "busybox", "sleep", "300")
    before = time.monotonic()
    shared.ok("stop", "deaf")
    assert 0.9 < time.monotonic() - before < 5
    assert actions(shared, "deaf", "kill") == ["kill", "kill"]


def test_orphans_are_buried_by_init(shared: TestEngine) -> None:
    script = "sh -c 'sleep 0.1 & sleep 0.2 &'; sleep 0.6; cat /proc/[0-9]*/stat | grep -c ' Z '"
    assert shared.pyke("run", "--rm", "--init", "busybox", "sh", "-c", script).stdout == "0\n"


def test_wait_prints_each_status_in_order(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "late", "busybox", "sh", "-c", "sleep 0.4; exit 3")
    shared.ok("run", "-d", "--name", "soon", "busybox", "sh", "-c", "exit 4")
    assert shared.ok("wait", "late", "soon") == "3\n4"


def test_events_outlive_their_engine(busybox: TestEngine) -> None:
    busybox.ok("run", "--name", "ev", "--label", "who=me", "busybox", "true")
    busybox.stop(signal.SIGKILL)
    assert actions(busybox, "ev", "create", "start", "die") == ["create", "start", "die"]
    past = ("events", "--since", "5m", "--until", "0s", "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}")
    assert busybox.ok(*past, "--filter", "label=who=me", "--filter", "event=die") == "die 0"
    assert busybox.ok("events", "--since", "0", "--until", "1") == ""


def test_prunes_take_what_is_unused_and_count_it(shared: TestEngine) -> None:
    shared.ok("run", "--name", "gone", "-v", "/data", "busybox", "sh", "-c", "echo 12345 > /data/x; echo 123 > /y")
    shared.ok("run", "-d", "--name", "stays", "busybox", "sleep", "300")
    id = shared.ok("inspect", "-f", "{{.Id}}", "gone")
    assert shared.ok("container", "prune", "-f", "--filter", "label=nosuch") == "Total reclaimed space: 0B"
    lines = shared.ok("system", "prune", "-f", "--volumes").splitlines()
    assert lines[:2] == ["Deleted Containers:", id] and lines[-1] == "Total reclaimed space: 10B"
    assert shared.ok("ps", "-a", "--format", "{{.Names}}") == "stays" and shared.ok("volume", "ls", "-q") == ""
    rows = shared.ok("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").splitlines()
    assert rows == ["Images 1 1", "Containers 1 1", "Local Volumes 0 0", "Build Cache 0 0"]


def test_rm_v_takes_anonymous_volumes_alone(shared: TestEngine) -> None:
    shared.ok("create", "--name", "cc", "-v", "/anonymous", "-v", "kept:/named", "busybox")
    shared.ok("rm", "-v", "cc")
    assert shared.ok("volume", "ls", "-q") == "kept"
    shared.ok("volume", "rm", "kept")
