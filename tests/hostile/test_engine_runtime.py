"""Images and programs that try to get out, through the whole engine: each tries, and `siege` looks at what it reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pyke.testing import images
from pyke.testing.engine import TestEngine
from pyke.testing.images import Node, executable, symbolic_link
from pyke.testing.patience import eventually
from pyke.testing.witness import TEXT, Witness, refused

X86_64 = pytest.mark.skipif(not shutil.which("gcc") or os.uname().machine != "x86_64", reason="needs gcc on x86-64")


# --- the host's programs ---------------------------------------------------------------------------------------------

WRITE_TO_ALL = "while :; do for p in /proc/[0-9]*; do (echo x >> $p/exe) 2>/dev/null && echo wrote $p; done; done"


def test_nobody_writes_to_the_program_that_enters_a_container(siege: Witness) -> None:
    """CVE-2019-5736: a container lies in wait for the process that an exec brings into it, and opens its executable for writing."""
    engine = siege.engine
    name = siege.image({"entry": symbolic_link("/proc/self/exe"), "script": executable(b"#!/proc/self/exe\n")})
    engine.ok("run", "-d", "--name", "lurker", "--cap-add", "SYS_PTRACE", "--cap-add", "DAC_OVERRIDE", name, "sh", "-c", WRITE_TO_ALL)
    for command in ("/entry", "/script", "/proc/self/exe", "true") * 2:
        done = engine.pyke("exec", "lurker", command)
        assert done.status == (0 if command == "true" else done.status) and "Traceback" not in done.stderr
    assert engine.pyke("run", "--rm", "--entrypoint", "/entry", name).status in (126, 127)
    assert engine.pyke("run", "--rm", "--entrypoint", "/script", name).status in (126, 127)
    assert engine.ok("logs", "lurker") == ""


def test_variables_of_an_image_reach_no_helper(siege: Witness, tmp_path: Path) -> None:
    """CVE-2025-23266: LD_PRELOAD and Python's variables point at what would leave a trace on the host."""
    trap = tmp_path
    for module in ("sitecustomize", "encodings", "json", "traceback"):
        (trap / f"{module}.py").write_text(f"open({str(trap / 'sprung')!r}, 'w')\n")
    if shutil.which("gcc"):
        source = f'int creat(const char *, int); __attribute__((constructor)) void f(void) {{ creat("{trap}/sprung", 6); }}'
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", trap / "evil.so"], input=source.encode(), check=True)
    names = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYKE_ROOT", "PYKE_DISABLE_PLUGINS")
    variables = [f"{name}={trap}{'/evil.so' if name in ('LD_PRELOAD', 'LD_AUDIT') else ''}" for name in names]
    health = {"Test": ["CMD", "true"], "Interval": 1_000_000_000}
    evil = siege.image(Env=[images.PATH, *variables, "PATH=/bin"], Labels={"io.pyke.root": str(trap)}, Healthcheck=health)
    engine = siege.engine
    engine.ok("run", "-d", "--name", "cell", "-p", "127.0.0.1::80", evil, "sleep", "60")
    assert f"LD_PRELOAD={trap}/evil.so" in engine.ok("exec", "cell", "env")
    engine.ok("exec", "-t", "cell", "true")
    for command in (
        ("top", "cell"),
        ("logs", "cell"),
        ("inspect", "cell"),
        ("restart", "-t", "0", "cell"),
        ("stop", "-t", "0", "cell"),
        ("rm", "cell"),
    ):
        engine.ok(*command)
    assert not (trap / "sprung").exists()


def test_nothing_is_loaded_from_an_image_in_place_of_the_hosts_libraries(siege: Witness) -> None:
    """CVE-2019-14271: the host's NSS modules and Python's modules, as an image would have them."""
    directory = os.path.dirname(os.__file__).lstrip("/")
    modules: dict[str, Node | bytes | None] = {
        f"{directory}/{name}.py": b"open('/pwned', 'w')\n" for name in ("traceback", "resource", "linecache", "pwd", "grp", "json")
    }
    libraries: dict[str, Node | bytes | None] = {
        f"lib/x86_64-linux-gnu/libnss_{name}.so.2": executable(b"\x7fELF") for name in ("files", "dns")
    }
    name = siege.image({**modules, **libraries, "etc/nsswitch.conf": b"passwd: evil\ngroup: evil\n"})
    engine = siege.engine
    refused(engine.pyke("run", "--rm", "-u", "nosuch", name, "true"), 125, "nosuch")
    refused(engine.pyke("run", "--rm", name, "nosuch"), 127, "nosuch")
    engine.ok("run", "-d", "--name", "cell", "-u", "daemon", name, "sleep", "60")
    assert engine.ok("exec", "-u", "mail", "cell", "id", "-un") == "mail"
    assert engine.pyke("exec", "cell", "ls", "/pwned").status != 0


# --- descriptors and working directories -----------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("-i",), ("-t",)], ids=["plain", "-i", "-t"])
def test_no_descriptor_is_left_open(siege: Witness, flags: tuple[str, ...]) -> None:
    engine = siege.engine
    list_all = "for fd in /proc/self/fd/*; do echo $fd $(readlink $fd); done"
    engine.ok("create", "--name", "cell", *flags, "busybox", "sh", "-c", f"{list_all}; exec sleep 60")
    engine.ok("start", "cell")
    of_exec = engine.ok("exec", *(flag for flag in flags if flag == "-i"), "cell", "sh", "-c", list_all)
    for listing in (engine.ok("logs", "cell"), of_exec):
        numbers = {line.split()[0].rpartition("/")[2] for line in listing.splitlines()}
        assert {"0", "1", "2"} <= numbers and len(numbers) <= 4, listing
        assert siege.engine.layout.root not in listing


def test_a_working_directory_on_a_descriptor_leads_nowhere(siege: Witness) -> None:
    """CVE-2024-21626: WORKDIR /proc/self/fd/N, in an image, of a container, of an exec."""
    engine = siege.engine
    look = f"cat canary ../../../../../../../..{siege.canary}"
    name = siege.image({"link": symbolic_link("/proc/self/fd/7")}, WorkingDir="/proc/self/fd/7")
    done = [engine.pyke("run", "--rm", name, "sh", "-c", look), engine.pyke("run", "--rm", "-w", "/link", name, "sh", "-c", look)]
    done += [engine.pyke("run", "--rm", "--network", "none", "-w", f"/proc/self/fd/{n}", "busybox", "sh", "-c", look) for n in (3, 5, 8)]
    engine.ok("run", "-d", "--name", "cell", "-w", "/", name, "sleep", "60")
    done += [engine.pyke("exec", "-w", f"/proc/self/fd/{n}", "cell", "sh", "-c", look) for n in range(3, 12)]
    done += [
        engine.pyke("exec", "-w", place, "cell", "sh", "-c", look) for place in ("/link", "/proc/1/cwd", "/proc/1/root", "/proc/self/cwd")
    ]
    for each in done:
        assert each.status != 0 and TEXT not in each.stdout and "Traceback" not in each.stderr, each


# --- users and capabilities ------------------------------------------------------------------------------------------

DOCKERS_CAPABILITIES = "00000000a80425fb"
NONE = "0" * 16


@pytest.mark.parametrize(("user", "effective"), [("0", DOCKERS_CAPABILITIES), ("1000:0", NONE)])
def test_capabilities_are_dockers_and_nothing_is_inherited(siege: Witness, user: str, effective: str) -> None:
    """CVE-2022-24769, -29162."""
    siege.engine.ok("run", "-d", "--name", "cell", "-u", user, "busybox", "sleep", "60")
    own = siege.engine.ok("exec", "cell", "cat", "/proc/1/status")
    further = siege.engine.ok("exec", "-u", user, "cell", "cat", "/proc/self/status")
    for status in (own, further):
        found = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("Cap", "NoNewPrivs", "Seccomp:")))
        assert found == {
            "CapInh": NONE, "CapPrm": effective, "CapEff": effective, "CapBnd": DOCKERS_CAPABILITIES, "CapAmb": NONE,
            "NoNewPrivs": "0", "Seccomp": "2",
        }  # fmt: skip


def test_a_set_user_id_program_gains_no_more_than_docker_gives(siege: Witness) -> None:
    busybox = Path(images.find_busybox()).read_bytes()
    name = siege.image({"suid/cat": executable(busybox, 0o4755)})
    command = ("--entrypoint", "/suid/cat", name, "/proc/self/status")
    told = siege.engine.ok("run", "--rm", "-u", "1000", "--security-opt", "no-new-privileges", *command)
    assert f"CapEff:\t{NONE}" in told and "NoNewPrivs:\t1" in told


def test_groups_are_the_images_and_not_the_engines(siege: Witness) -> None:
    """CVE-2022-36109: the primary group is among the supplementary ones, and no group of the engine's."""
    engine = siege.engine
    assert engine.ok("run", "--rm", "-u", "1000:77", "busybox", "id", "-G") == "77"
    name = siege.image({"etc/group": b"root:x:0:\nwheel:x:10:mail\nextra:x:4242:mail,daemon\nbroken:x:99999999999:mail\n:::\nmail:x:8\n"})
    assert engine.ok("run", "--rm", "-u", "mail", name, "id", "-G") == "8 10 4242"


def test_a_number_is_a_number_whatever_the_image_calls_it(siege: Witness) -> None:
    """CVE-2016-3697."""
    name = siege.image({"etc/passwd": b"1000:x:0:0::/:/bin/sh\n-1:x:0:0::/:/bin/sh\n"}, User="1000")
    engine = siege.engine
    engine.ok("run", "-d", "--name", "cell", name, "sleep", "60")
    assert engine.ok("exec", "cell", "id", "-u") == "1000" and engine.ok("exec", "-u", "1000", "cell", "id", "-u") == "1000"


OUT_OF_RANGE = ("4294967296", "2147483648", "18446744073709551616", "-1", "4294967295:0", "0:4294967296", "\x1b[31m", "a:b:c")


def test_users_out_of_range(siege: Witness) -> None:
    """CVE-2024-40635: an ID that overflows to 0."""
    engine = siege.engine
    refused(engine.pyke("run", "--rm", siege.image(User="4294967296"), "true"), 125, "4294967296")
    engine.ok("run", "-d", "--name", "cell", "busybox", "sleep", "60")
    for user in OUT_OF_RANGE:
        done = engine.pyke("exec", "-u", user, "cell", "echo", "ran")
        assert done.status in (125, 126) and "ran" not in done.stdout.split() and "Traceback" not in done.stdout, done


def test_passwd_becomes_a_fifo_a_device_or_endless(siege: Witness) -> None:
    engine = siege.engine
    engine.ok("run", "-d", "--name", "cell", "--cap-add", "MKNOD", "--memory", "256m", "busybox", "sleep", "60")
    makers = ("mkfifo /etc/passwd /etc/group", "mknod /etc/passwd c 1 5; ln -s passwd /etc/group", "truncate -s 20G /etc/passwd /etc/group")
    for maker in (*makers, "ln -s /proc/self/fd/0 /etc/passwd; ln -s /dev/zero /etc/group", "mkdir /etc/passwd /etc/group"):
        engine.ok("exec", "-u", "0:0", "cell", "sh", "-c", f"rm -rf /etc/passwd /etc/group; {maker}")
        begin = time.monotonic()
        assert engine.pyke("exec", "-u", "daemon", "cell", "true").status != 0, maker
        assert engine.pyke("exec", "-u", "0:daemon", "cell", "true").status != 0, maker
        assert "Uid:\t5\t" in engine.ok("exec", "-u", "5:6", "cell", "cat", "/proc/self/status"), maker
        assert time.monotonic() - begin < 10, maker


# --- the kernel ------------------------------------------------------------------------------------------------------


def test_no_release_agent_is_within_reach(siege: Witness) -> None:
    """CVE-2022-0492, and the mounts and namespaces that lead there."""
    script = (
        "find /sys/fs/cgroup -name release_agent; mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x; unshare -Urm mount -t cgroup c /mnt;"
        "mount -t cgroup -o memory c /tmp; mount -t proc p /tmp; mount -o remount,rw /sys; echo 1 > /proc/sys/kernel/core_pattern;"
        "echo x > /sys/kernel/uevent_helper; echo b > /proc/sysrq-trigger; mknod /tmp/disk b 8 0 && cat /tmp/disk; true"
    )
    done = siege.engine.pyke("run", "--rm", "busybox", "sh", "-c", script)
    assert done.stdout == ""
    assert len([line for line in done.stderr.splitlines() if line]) >= 8, done.stderr


SMUGGLED = (
    "kernel.core_pattern=|/evil",
    "kernel.shm_rmid_forced=1+kernel.core_pattern=x",
    "net/../kernel/core_pattern=x",
    "kernel/../../x=1",
)


@pytest.mark.parametrize("sysctl", SMUGGLED)
def test_sysctls_are_neither_paths_nor_lists(siege: Witness, sysctl: str) -> None:
    """CVE-2022-0811."""
    done = siege.engine.pyke("run", "--rm", "--sysctl", sysctl, "busybox", "true")
    assert done.status == 125 and "sysctl" in done.stderr


def test_no_socket_of_the_engine_has_an_abstract_name(siege: Witness) -> None:
    """CVE-2020-15257: whoever shares the host's network reaches abstract sockets; sockets with a path stay behind the mount namespace."""
    engine = siege.engine
    engine.ok("run", "-dit", "--name", "cell", "--network", "host", "busybox", "sh")
    listed = engine.ok("exec", "cell", "cat", "/proc/net/unix").splitlines()
    abstract = [line.split()[-1] for line in listed if line.split()[-1].startswith("@")]
    assert not [name for name in abstract if "pyke" in name or engine.layout.root in name]
    for path in (engine.layout.socket, engine.layout.spawner_socket):
        assert engine.pyke("exec", "cell", "ls", path).status != 0


PROBES = r"""
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static const char *word(void) { return errno == EPERM ? "EPERM" : errno == ENOSYS ? "ENOSYS" : "other"; }
static void tell(const char *name, long result) { printf("%s %s\n", name, result < 0 ? word() : "works"); }
int main(void) {
    tell("inet", syscall(SYS_socket, 2, 1, 0));
    tell("alg", syscall(SYS_socket, 38, 5, 0));
    tell("vsock", syscall(SYS_socket, 40, 1, 0));
    tell("io_uring", syscall(425, 1, 0));
    tell("x32", syscall(0x40000000 | SYS_getpid));
    tell("keyctl", syscall(SYS_keyctl, 0, 0, 0));
    tell("unshare", syscall(SYS_unshare, 0x10000000));
    tell("clone3", syscall(435, 0, 0));
    tell("bpf", syscall(SYS_bpf, 0, 0, 0));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, 0, 0));
    tell("newest", syscall(1000, 0));
    return 0;
}
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _compiled(tmp_path_factory.mktemp("probe"), PROBES)


def _compiled(directory: Path, source: str) -> bytes:
    (directory / "program.c").write_text(source)
    subprocess.run(["gcc", "-static", "-O1", "-w", "-o", directory / "program", directory / "program.c"], check=True)
    return (directory / "program").read_bytes()


@X86_64
def test_the_profile_holds_for_the_container_and_for_what_is_executed_in_it(siege: Witness, probe: bytes) -> None:
    engine = siege.engine
    engine.ok("run", "-d", "--name", "cell", siege.image({"probe": executable(probe)}), "sh", "-c", "/probe; exec sleep 60")
    eventually_logs(engine, "cell", "newest")
    refused_calls = ("alg", "vsock", "io_uring", "keyctl", "unshare", "bpf", "userfaultfd", "open_by_handle_at")
    expected = {"inet": "works", **dict.fromkeys(refused_calls, "EPERM"), "x32": "ENOSYS", "clone3": "ENOSYS", "newest": "ENOSYS"}
    for told in (engine.ok("logs", "cell"), engine.ok("exec", "cell", "/probe"), engine.ok("exec", "-u", "1000", "cell", "/probe")):
        assert dict(line.split() for line in told.splitlines()) == expected
    unconfined = engine.ok("run", "--rm", "--security-opt", "seccomp=unconfined", "evil", "/probe")
    assert "unshare works" in unconfined, "the profile can be switched off, so it was the profile that refused"


def eventually_logs(engine: TestEngine, name: str, words: str) -> None:
    eventually(lambda: words in engine.ok("logs", name))


# --- exhaustion ------------------------------------------------------------------------------------------------------


def test_a_fork_bomb_stays_within_its_limit(siege: Witness) -> None:
    engine = siege.engine
    bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 0.2; done"
    engine.ok("run", "-d", "--name", "bomb", "--pids-limit", "60", "--cpus", "0.5", "busybox", "sh", "-c", bomb)
    time.sleep(1)
    begin = time.monotonic()
    assert engine.ok("run", "--rm", "busybox", "echo", "unharmed") == "unharmed"
    engine.pyke("exec", "bomb", "true", timeout=20)
    engine.ok("rm", "-f", "bomb")
    assert time.monotonic() - begin < 15


@X86_64
def test_descriptors_run_out_in_the_container_alone(siege: Witness, tmp_path: Path) -> None:
    source = (
        '#include <fcntl.h>\n#include <unistd.h>\nint main(void) { while (open("/dev/null", 0) >= 0); write(1, "full\\n", 5); pause(); }'
    )
    name = siege.image({"greedy": executable(_compiled(tmp_path, source))})
    engine = siege.engine
    engine.ok("run", "-d", "--name", "greedy", "--ulimit", "nofile=4000", name, "/greedy")
    eventually_logs(engine, "greedy", "full")
    assert engine.ok("exec", "greedy", "echo", "room") == "room"
    assert engine.ok("run", "--rm", "busybox", "echo", "room") == "room"


@pytest.mark.parametrize(
    "printer",
    ["yes 0123456789012345678901234567890123456789 | head -c 8000000", "head -c 8000000 /dev/zero"],
    ids=["lines", "one endless line"],
)
def test_a_log_takes_no_more_than_it_may(siege: Witness, printer: str) -> None:
    engine = siege.engine
    options = ("--log-opt", "max-size=1m", "--log-opt", "max-file=2")
    engine.ok("run", "-d", "--name", "loud", *options, "--network", "none", "busybox", "sh", "-c", f"{printer}; {printer} >&2")
    assert engine.ok("wait", "loud", timeout=60) == "0"
    directory = Path(engine.layout.container_directory(engine.ok("inspect", "-f", "{{.Id}}", "loud")))
    logs = [path.stat().st_size for path in directory.glob("*.log*")]
    assert len(logs) == 2 and sum(logs) < 3 << 20, logs


def test_a_disk_of_the_containers_own_fills_up(siege: Witness) -> None:
    done = siege.engine.pyke(
        "run", "--rm", "--tmpfs", "/full:size=1m", "--shm-size", "1m", "busybox", "sh", "-c", "cat /dev/zero > /full/x; yes > /dev/shm/x"
    )
    assert done.status != 0 and "No space left" in done.stderr


# --- a container that has prepared itself for what the engine does to it ---------------------------------------------


def test_an_exec_into_a_container_that_forged_its_proc(siege: Witness) -> None:
    """CVE-2025-52881: with the right to mount, a container puts another file system where the engine's process will look."""
    engine = siege.engine
    forge = (
        "mount -t tmpfs t /proc && mkdir -p /proc/self/fd /proc/self/attr /proc/1 && ln -s /proc/sysrq-trigger /proc/self/attr/exec &&"
        "ln -s / /proc/self/cwd; exec sleep 60"
    )
    engine.ok(
        "run", "-d", "--name", "forger", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "busybox", "sh", "-c", forge
    )
    for flags in ((), ("-t",), ("-u", "1000"), ("-w", "/proc/self/cwd"), ("--privileged",)):
        done = engine.pyke("exec", *flags, "forger", "echo", "inside")
        assert done.stdout.strip() in ("inside", "") and "Traceback" not in done.stderr, (flags, done)
    engine.ok("top", "forger")
    engine.ok("stop", "-t", "0", "forger")
