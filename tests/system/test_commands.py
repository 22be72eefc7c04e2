"""The commands at a shell, on a real engine: what they print, what they return, and what is true inside."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.patience import eventually

# --- run and what is true inside -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "command", "expected"),
    [
        ((), "echo hello", "hello"),
        ((), "grep ^overlay /proc/mounts | grep -o volatile", "volatile"),  # --rm: what goes is not synced
        (("-e", "A=1", "-e", "B=two words"), 'echo "$A $B"', "1 two words"),
        (("-w", "/tmp"), "pwd", "/tmp"),
        (("-w", "/new/dir"), "pwd", "/new/dir"),
        (("-u", "1000:1001"), "id -u; id -g; id -G", "1000\n1001\n1001"),
        (("-u", "nobody"), "id -un", "nobody"),
        (("--hostname", "box"), "hostname; cat /etc/hostname", "box\nbox"),
        (("--entrypoint", "echo"), None, "sh -c from entrypoint"),
        (("--memory", "64m"), "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true", "67108864"),
        (("--pids-limit", "20"), "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true", "20"),
        (("--read-only",), "touch /x 2>&1; true", "touch: /x: Read-only file system"),
        (("--cap-drop", "ALL"), "grep CapEff /proc/self/status", "CapEff:\t0000000000000000"),
        (("--cap-drop", "ALL", "--cap-add", "NET_ADMIN"), "grep CapEff /proc/self/status", "CapEff:\t0000000000001000"),
        ((), "grep -E 'Cap(Inh|Eff|Amb)|Seccomp:' /proc/self/status", None),
        (("--security-opt", "no-new-privileges"), "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
        (("--security-opt", "seccomp=unconfined"), "grep Seccomp: /proc/self/status", "Seccomp:\t0"),
        (("--ulimit", "nofile=100:200"), "ulimit -n; ulimit -Hn", "100\n200"),
        (("--sysctl", "net.ipv4.ip_forward=0"), "cat /proc/sys/net/ipv4/ip_forward", "0"),
        (("--tmpfs", "/t:size=1m"), "df -k /t | awk 'END {print $2}'", "1024"),
        (("--shm-size", "1m"), "df -k /dev/shm | awk 'END {print $2}'", "1024"),
        (("--network", "none"), "ls /sys/class/net", "lo"),
        (("--init",), "ps | awk '$1 == 1 {print $1}'", "1"),
        (("--add-host", "peer:10.1.2.3"), "grep peer /etc/hosts", "10.1.2.3\tpeer"),
        (("--dns", "1.2.3.4", "--dns-search", "example.com"), "cat /etc/resolv.conf", "search example.com\nnameserver 1.2.3.4"),
        (("--privileged",), "grep Seccomp: /proc/self/status; ls /dev/vda >/dev/null 2>&1 || ls -d /dev/mem", None),
    ],
)
def test_run_makes_it_true_inside(shared: TestEngine, flags: tuple[str, ...], command: str | None, expected: str | None) -> None:
    words = ("sh", "-c", command) if command is not None else ("sh", "-c", "from", "entrypoint")
    output = shared.ok("run", "--rm", *flags, "busybox", *words)
    if expected is not None:
        assert output == expected


def test_the_default_capabilities_are_docker_s(shared: TestEngine) -> None:
    status = shared.ok("run", "--rm", "busybox", "cat", "/proc/self/status")
    facts = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("Cap", "Seccomp", "NoNewPrivs")))
    assert facts["CapEff"] == facts["CapPrm"] == facts["CapBnd"] == "00000000a80425fb"
    assert facts["CapInh"] == facts["CapAmb"] == "0000000000000000"
    assert facts["Seccomp"] == "2"


@pytest.mark.parametrize(("command", "status"), [("exit 3", 3), ("sh -c 'kill -9 $$'; exit $?", 137), ("true", 0), ("exit 255", 255)])
def test_the_exit_status_is_the_command_s(shared: TestEngine, command: str, status: int) -> None:
    assert shared.pyke("run", "--rm", "busybox", "sh", "-c", command).status == status


def test_stdout_and_stderr_stay_apart(shared: TestEngine) -> None:
    done = shared.pyke("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_stdin_reaches_the_container_and_ends_there(shared: TestEngine) -> None:
    assert shared.pyke("run", "--rm", "-i", "busybox", "cat", input="one\ntwo\n").stdout == "one\ntwo\n"
    assert shared.pyke("run", "--rm", "busybox", "cat", input="not asked for\n").stdout == ""


def test_an_environment_file(shared: TestEngine, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\nA=1\nB=x y\n")
    assert shared.ok("run", "--rm", "--env-file", str(file), "busybox", "sh", "-c", "echo $A-$B") == "1-x y"


def test_ctrl_c_ends_an_attached_container(shared: TestEngine) -> None:
    client = shared.start("run", "--rm", "busybox", "sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done")
    assert client.stdout is not None
    assert client.stdout.readline() == b"ready\n"
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=20)
    assert client.returncode == 9


# --- a life ----------------------------------------------------------------------------------------------------------


def test_create_start_stop_remove(shared: TestEngine) -> None:
    id = shared.ok("create", "--name", "life", "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    assert len(id) == 64
    assert shared.ok("ps", "-a", "--format", "{{.Names}} {{.Status}}") == "life Created"
    assert shared.ok("start", "life") == "life"
    assert shared.ok("ps", "-q") == id[:12]
    time.sleep(0.2)  # for the trap to be set
    assert shared.ok("stop", id[:6]) == id[:6]
    assert shared.ok("ps", "-a", "--format", "{{.Status}}").startswith("Exited (5)")
    assert shared.ok("rm", "life") == "life"
    assert shared.ok("ps", "-aq") == ""


def test_start_attached_brings_output_and_status(shared: TestEngine) -> None:
    shared.ok("create", "--name", "job", "-i", "busybox", "sh", "-c", "read line; echo got $line; exit 4")
    done = shared.pyke("start", "-a", "-i", "job", input="it\n")
    assert (done.status, done.stdout) == (4, "got it\n")


def test_several_arguments_are_done_as_far_as_they_can_be(shared: TestEngine) -> None:
    shared.ok("create", "--name", "one", "busybox")
    shared.ok("create", "--name", "two", "busybox")
    done = shared.pyke("rm", "one", "nosuch", "two")
    assert done.status == 1
    assert done.stdout == "one\ntwo\n"
    assert "No such container: nosuch" in done.stderr


def test_a_running_container_is_removed_only_by_force(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "busy", "busybox", "sleep", "60")
    done = shared.pyke("rm", "busy")
    assert done.status == 1
    assert "cannot remove a running container" in done.stderr
    assert shared.ok("rm", "-f", "busy") == "busy"


def test_kill_sends_the_signal_that_is_asked_for(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "deaf", "busybox", "sh", "-c", "trap 'echo heard; exit 6' USR1; while :; do sleep 0.05; done")
    time.sleep(0.2)
    shared.ok("kill", "-s", "USR1", "deaf")
    assert shared.ok("wait", "deaf") == "6"
    assert shared.ok("logs", "deaf") == "heard"
    assert shared.pyke("kill", "deaf").status == 1


def test_pause_and_unpause(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "frozen", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    shared.ok("pause", "frozen")
    assert "(Paused)" in shared.ok("ps", "--format", "{{.Status}}")
    before = shared.ok("logs", "frozen")
    time.sleep(0.4)
    assert shared.ok("logs", "frozen") == before
    shared.ok("unpause", "frozen")
    time.sleep(0.4)
    assert len(shared.ok("logs", "frozen")) > len(before)
    shared.ok("pause", "frozen")
    shared.ok("rm", "-f", "frozen")


def test_a_container_can_be_renamed_and_the_old_name_is_free(shared: TestEngine) -> None:
    shared.ok("create", "--name", "before", "busybox")
    shared.ok("rename", "before", "after")
    shared.ok("create", "--name", "before", "busybox")
    assert sorted(shared.ok("ps", "-a", "--format", "{{.Names}}").split()) == ["after", "before"]


def test_a_restart_policy_starts_it_again_and_gives_up(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo try; exit 1")
    eventually(lambda: shared.ok("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "again") == "2 exited")
    assert shared.ok("logs", "again").split() == ["try"] * 3


def test_names_are_given_where_none_is_asked_for(shared: TestEngine) -> None:
    shared.ok("create", "busybox")
    name = shared.ok("ps", "-a", "--format", "{{.Names}}")
    adjective, underscore, noun = name.partition("_")
    assert adjective and underscore and noun


# --- looking ---------------------------------------------------------------------------------------------------------


def test_ps_filters(shared: TestEngine) -> None:
    shared.ok("create", "--name", "first", "-l", "tier=web", "busybox")
    shared.ok("run", "-d", "--name", "second", "-l", "tier=db", "busybox", "sleep", "60")

    def names(*filters: str) -> list[str]:
        return sorted(shared.ok("ps", "-a", "--format", "{{.Names}}", *(word for each in filters for word in ("-f", each))).split())

    assert names("name=fir") == ["first"]
    assert names("label=tier=db") == ["second"]
    assert names("label=tier") == ["first", "second"]
    assert names("status=running") == ["second"]
    assert names("status=created", "label=tier=db") == []
    assert names("ancestor=busybox") == ["first", "second"]
    assert shared.pyke("ps", "-f", "bogus=1").status == 1


def test_logs_tail_and_follow(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "talker", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done; echo err >&2")
    followed = shared.pyke("logs", "-f", "talker")
    assert followed.stdout.splitlines() == [f"line {number}" for number in range(1, 6)]
    assert followed.stderr == "err\n"
    assert shared.pyke("logs", "--tail", "2", "talker").stdout == "line 5\n"
    stamped = shared.pyke("logs", "-t", "--tail", "1", "talker").stderr
    assert stamped.partition("T")[0].count("-") == 2 and stamped.endswith("Z err\n")


def test_inspect_tells_what_was_asked_for(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "seen", "-e", "A=1", "-l", "k=v", "--memory", "64m", "-w", "/tmp", "busybox", "sleep", "60")
    (container,) = json.loads(shared.ok("inspect", "seen"))
    assert container["Name"] == "/seen"
    assert container["Config"]["Env"][0] == "A=1"
    assert container["Config"]["Labels"] == {"k": "v"}
    assert container["Config"]["WorkingDir"] == "/tmp"
    assert container["HostConfig"]["Memory"] == 64 << 20
    assert container["State"]["Running"] is True
    assert os.path.exists(f"/proc/{container['State']['Pid']}")
    assert shared.ok("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}{{.State.Status | upper}}", "seen").startswith("A=1\n")
    done = shared.pyke("inspect", "nosuch")
    assert (done.status, done.stdout) == (1, "[]\n")


def test_version_info_and_plugins(shared: TestEngine) -> None:
    assert "API version" in shared.ok("version")
    assert "Storage Driver: overlay" in shared.ok("info")
    assert shared.ok("info", "--format", "{{.OSType}}") == "linux"
    listed = shared.ok("plugin", "ls")
    for name in ("network-bridge", "network-host", "network-none", "storage-overlay"):
        assert name in listed


@pytest.mark.parametrize("command", ["run", "ps", "container", "network create", "images", "logs", ""])
def test_every_command_explains_itself(shared: TestEngine, command: str) -> None:
    assert shared.ok(*command.split(), "--help").lstrip().startswith("Usage:  pyke")


@pytest.mark.parametrize("words", [("container", "ls", "-a"), ("container", "ps"), ("image", "ls"), ("network", "ls"), ("volume", "ls")])
def test_groups(shared: TestEngine, words: tuple[str, ...]) -> None:
    assert shared.pyke(*words).status == 0


# --- images ----------------------------------------------------------------------------------------------------------


def test_images_are_tagged_saved_removed_and_loaded(shared: TestEngine, tmp_path: Path) -> None:
    shared.ok("tag", "busybox", "example/bb:1.0")
    assert shared.ok("images", "-q", "example/bb") == shared.ok("images", "-q", "busybox")
    archive = str(tmp_path / "saved.tar")
    shared.ok("save", "-o", archive, "example/bb:1.0")
    assert shared.ok("rmi", "example/bb:1.0") == "Untagged: example/bb:1.0"
    assert shared.ok("load", "-i", archive) == "Loaded image: example/bb:1.0"
    assert shared.ok("run", "--rm", "example/bb:1.0", "echo", "again") == "again"
    shared.ok("rmi", "example/bb:1.0")


def test_an_imported_file_system_runs(shared: TestEngine, tmp_path: Path) -> None:
    import shutil
    import tarfile

    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add(shutil.which("busybox") or "/bin/busybox", "bin/sh")
    id = shared.ok("import", "-c", 'CMD ["sh", "-c", "echo imported"]', "-m", "by hand", str(tmp_path / "root.tar"), "mine:1")
    assert id.startswith("sha256:")
    assert shared.ok("run", "--rm", "mine:1") == "imported"
    shared.ok("rmi", "mine:1")


def test_an_image_in_use_is_kept(shared: TestEngine) -> None:
    shared.ok("tag", "busybox", "kept:1")
    shared.ok("run", "-d", "--name", "user", "kept:1", "sleep", "60")
    image = shared.ok("images", "-q", "kept")
    done = shared.pyke("rmi", image)
    assert done.status == 1
    assert "conflict" in done.stderr
    shared.ok("rm", "-f", "user")
    shared.ok("rmi", "kept:1")


# --- networks --------------------------------------------------------------------------------------------------------


def _address(engine: TestEngine, name: str) -> str:
    return engine.ok("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)


def test_a_network_of_one_s_own(shared: TestEngine) -> None:
    """Containers reach each other by address and name, the host reaches them, and other networks do not."""
    shared.ok("network", "create", "mybridge")
    page = "mkdir /www; hostname > /www/index.html; exec httpd -f -h /www"
    for name in ("one", "two"):
        shared.ok("run", "-d", "--name", name, "--hostname", name, "--network", "mybridge", "busybox", "sh", "-c", page)
    time.sleep(0.2)
    get = "echo -e 'GET / HTTP/1.0\n' | nc -w 5 {} 80"  # a busybox that is linked against glibc has a wget that crashes without NSS
    assert shared.ok("exec", "one", "sh", "-c", get.format(_address(shared, "two"))).endswith("two")
    assert shared.ok("exec", "two", "sh", "-c", get.format("one")).endswith("one")
    with socket.create_connection((_address(shared, "one"), 80), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in client.recv(4096)
    stranger = shared.pyke("run", "--rm", "busybox", "nc", "-w", "1", _address(shared, "one"), "80", input="GET / HTTP/1.0\n\n")
    assert (stranger.status, stranger.stdout) == (1, "")
    done = shared.pyke("network", "rm", "mybridge")
    assert done.status == 1
    assert "active endpoints" in done.stderr


def test_a_published_port_is_reached_from_the_host(shared: TestEngine) -> None:
    shared.ok(
        "run", "-d", "--name", "web", "-p", "127.0.0.1:18473:80", "busybox", "sh", "-c", "echo hello > /index.html; exec httpd -f -h /"
    )
    time.sleep(0.2)
    with socket.create_connection(("127.0.0.1", 18473), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in client.recv(4096)
    assert shared.ok("port", "web") == "80/tcp -> 127.0.0.1:18473"
    assert "127.0.0.1:18473->80/tcp" in shared.ok("ps", "--format", "{{.Ports}}")


def test_the_host_s_network_and_another_container_s(shared: TestEngine) -> None:
    assert shared.ok("run", "--rm", "--network", "host", "busybox", "hostname") == os.uname().nodename
    shared.ok("run", "-d", "--name", "first", "--hostname", "first", "busybox", "sleep", "60")
    assert shared.ok("run", "--rm", "--network", "container:first", "busybox", "hostname") == "first"


# --- data ------------------------------------------------------------------------------------------------------------


def test_a_bound_directory_and_a_volume(shared: TestEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    assert shared.ok("run", "--rm", "-v", f"{tmp_path}:/data:ro", "busybox", "cat", "/data/file") == "from the host"
    assert shared.pyke("run", "--rm", "-v", f"{tmp_path}:/data:ro", "busybox", "touch", "/data/x").status == 1
    shared.ok("run", "--rm", "-v", "kept:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    assert shared.ok("run", "--rm", "-v", "kept:/data", "busybox", "cat", "/data/file") == "kept"
    assert shared.ok("volume", "ls", "-q") == "kept"
    shared.ok("volume", "rm", "kept")


def test_an_anonymous_volume_goes_with_its_container(shared: TestEngine) -> None:
    shared.ok("run", "--rm", "-v", "/data", "busybox", "touch", "/data/x")
    assert shared.ok("volume", "ls", "-q") == ""
