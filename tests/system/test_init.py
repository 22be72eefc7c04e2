"""Containers as init makes them, in fresh namespaces, compared with what Docker shows."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyke.engine.containers import oci_runtime
from pyke.model import Container, ContainerSpec, DeviceSpec, ExecSpec, ImageConfig, Limits, Mount, Security
from pyke.runtime import cgroups, linux, rootfs
from pyke.testing import bundles


def run(directory: Path, *command: str, **options: object) -> bundles.Outcome:
    outcome = bundles.run(bundles.make(directory, *command, **options))  # type: ignore[arg-type]
    return outcome


def text(directory: Path, script: str, **options: object) -> str:
    outcome = run(directory, "sh", "-c", script, **options)
    assert outcome.failure == {} and outcome.status == 0, (outcome.failure, outcome.stderr)
    return outcome.stdout.decode()


INODES = ",inode64"  # what Debian's kernel says of every tmpfs, and others do not

DOCKERS_MOUNTS = """\
proc /proc proc rw,nosuid,nodev,noexec,relatime
tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755
devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666
sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime"""
DOCKERS_LAST_MOUNTS = """\
proc /proc/bus proc ro,nosuid,nodev,noexec,relatime
proc /proc/fs proc ro,nosuid,nodev,noexec,relatime
proc /proc/irq proc ro,nosuid,nodev,noexec,relatime
proc /proc/sys proc ro,nosuid,nodev,noexec,relatime"""


def test_the_mounts_are_dockers_in_dockers_order(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    mounted = text(tmp_path, "cat /proc/mounts", files={"/etc/hosts": f"{tmp_path}/hosts"}).replace(INODES, "")
    lines = [line.rsplit(" ", 2)[0] for line in mounted.splitlines()]
    assert lines[0].startswith("overlay / overlay rw,")
    assert "\n".join(lines[1:5]) == DOCKERS_MOUNTS
    assert "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime" in lines
    assert "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k" in lines
    names = [line.split()[1] for line in lines]
    assert names.index("/dev/mqueue") < names.index("/dev/shm") < names.index("/etc/hosts") < names.index("/proc/bus")
    assert DOCKERS_LAST_MOUNTS in "\n".join(lines)
    assert "tmpfs /proc/keys tmpfs rw,nosuid,size=65536k,mode=755" in lines
    assert "tmpfs /sys/firmware tmpfs ro,relatime" in lines


def test_dev_has_what_dockers_has(tmp_path: Path) -> None:
    found = text(tmp_path, "ls -l /dev | awk 'NR>1 {print $1, $NF}'").splitlines()
    assert found == [
        "lrwxrwxrwx /proc/self/fd", "crw-rw-rw- full", "drwxrwxrwt mqueue", "crw-rw-rw- null", "lrwxrwxrwx pts/ptmx", "drwxr-xr-x pts",
        "crw-rw-rw- random", "drwxrwxrwt shm", "lrwxrwxrwx /proc/self/fd/2", "lrwxrwxrwx /proc/self/fd/0", "lrwxrwxrwx /proc/self/fd/1",
        "crw-rw-rw- tty", "crw-rw-rw- urandom", "crw-rw-rw- zero",
    ]  # fmt: skip


def test_the_process_is_what_dockers_is(tmp_path: Path) -> None:
    status = dict(line.split(":\t", 1) for line in run(tmp_path, "cat", "/proc/self/status").stdout.decode().splitlines() if ":\t" in line)
    assert (status["Pid"], status["PPid"], status["Umask"], status["Groups"].strip()) == ("1", "0", "0022", "0 10")
    assert (status["NSpid"], status["NSsid"], status["NoNewPrivs"], status["Seccomp"]) == ("1", "1", "0", "2")
    assert (status["CapInh"], status["CapAmb"]) == ("0000000000000000", "0000000000000000")
    assert status["CapPrm"] == status["CapEff"] == status["CapBnd"] == "00000000a80425fb"
    assert {status[key] for key in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")} == {"0000000000000000"}


def test_the_environment_is_in_dockers_order(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", environment=("A=1",))
    assert run(tmp_path, "env", spec=spec).stdout.decode().splitlines() == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=test", "A=1", "HOME=/root",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (("nosuch",), 127, 'exec: "nosuch": executable file not found in $PATH'),
        (("/nosuch",), 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        (("/etc",), 126, 'exec: "/etc": permission denied'),
        (("/etc/passwd",), 126, 'exec: "/etc/passwd": permission denied'),
        (("/orphan",), 127, "exec /orphan: no such file or directory: its interpreter /no/shell is missing in the container"),
        (("/noise",), 126, "exec /noise: exec format error: it is neither an ELF file nor a script with an interpreter (#!)"),
        (("/foreign",), 126, "exec /foreign: exec format error: it is built for arm64, this is x86_64"),
    ],
)
def test_a_command_that_cannot_run_is_explained(tmp_path: Path, command: tuple[str, ...], status: int, message: str) -> None:
    if command == ("/foreign",) and os.uname().machine != "x86_64":
        pytest.skip("says what machine it is run on")
    bundle = bundles.make(tmp_path, *command)
    foreign = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(100)
    for name, content in (("orphan", b"#!/no/shell -x\n"), ("noise", b"\x01\x02\x03\x04\x05"), ("foreign", foreign)):
        (tmp_path / "lower" / name).write_bytes(content)
        (tmp_path / "lower" / name).chmod(0o755)
    outcome = bundles.run(bundle)
    assert (outcome.failure["message"], outcome.failure["exit_status"]) == (message, status)


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("", (), "0 0 0 10"),
        ("nobody", (), "65534 65534 65534"),
        ("1000:1000", (), "1000 1000 1000"),
        ("1000", ("1234", "wheel"), "1000 0 0 10 1234"),
        ("daemon:wheel", (), "1 10 10"),
    ],
)
def test_users_and_groups(tmp_path: Path, user: str, groups: tuple[str, ...], expected: str) -> None:
    spec = ContainerSpec(image="busybox", user=user, security=Security(group_add=groups))
    script = "echo $(awk '/^Uid|^Gid/ {print $2} /^Groups/ {$1=\"\"; print}' /proc/self/status)"
    assert text(tmp_path, script, spec=spec).strip() == expected


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("nosuchuser", "unable to find user nosuchuser: no matching entries in passwd file"),
        ("1000:nosuchgroup", "unable to find group nosuchgroup: no matching entries in group file"),
        ("99999999999", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_unknown_users_are_refused_in_dockers_words(tmp_path: Path, user: str, message: str) -> None:
    outcome = run(tmp_path, "true", spec=ContainerSpec(image="busybox", user=user))
    assert outcome.failure["message"].startswith(message) and outcome.failure["exit_status"] == 125


def test_another_user_keeps_no_capability_but_can_open_its_output(tmp_path: Path) -> None:
    script = "echo open > /dev/stdout; grep -E 'Cap(Prm|Eff)' /proc/self/status"
    found = text(tmp_path, script, spec=ContainerSpec(image="busybox", user="1000"))
    assert found.split() == ["open", "CapPrm:", "0" * 16, "CapEff:", "0" * 16]


def test_a_terminal_is_the_containers_own(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", tty=True, console_size=(33, 99))
    found = text(tmp_path, "tty; stty size; test -c /dev/console && echo console; echo $TERM", spec=spec)
    assert found.split() == ["/dev/pts/0", "33", "99", "console", "xterm"]


def test_a_working_directory_is_made(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", working_directory="/new/dir", security=Security(read_only_root=True))
    assert text(tmp_path, "pwd", spec=spec) == "/new/dir\n"
    outcome = run(tmp_path, "pwd", spec=ContainerSpec(image="busybox", working_directory="/etc/passwd"))
    assert outcome.failure["message"] == "Cannot mkdir: /etc/passwd is not a directory"


def test_a_read_only_root(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", security=Security(read_only_root=True))
    outcome = run(tmp_path, "sh", "-c", "echo > /dev/shm/x && touch /x", spec=spec)
    assert b"Read-only file system" in outcome.stderr and outcome.status == 1


def test_limits_are_in_force(tmp_path: Path) -> None:
    limits = Limits(memory=64 << 20, pids=20, nano_cpus=500_000_000, ulimits=(("nofile", 100, 200),))
    files = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    if not Path("/sys/fs/cgroup/memory").exists():
        files = "/sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max"
    found = text(tmp_path, f"cat {files}; ulimit -n; ulimit -Hn", spec=ContainerSpec(image="busybox", limits=limits)).split()
    assert [*found[:3], *found[-2:]] == ["67108864", "20", "50000", "100", "200"]


def test_a_limit_that_the_system_refuses_is_named(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", limits=Limits(ulimits=(("nofile", 2**40, 2**40),)))
    outcome = run(tmp_path, "true", spec=spec)
    assert outcome.failure["message"].startswith("the limit nofile cannot be set to")
    assert outcome.failure["hint"].startswith("pyke run --ulimit nofile=")


def test_running_out_of_memory_is_counted(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", limits=Limits(memory=20 << 20, memory_swap=20 << 20))
    outcome = run(tmp_path, "tail", "/dev/zero", spec=spec)
    assert outcome.status == 137 and outcome.oom_events > 0


def test_devices_are_made_and_others_are_out_of_reach(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", security=Security(devices=(DeviceSpec("/dev/null", "/dev/mynull"),)))
    outcome = run(tmp_path, "sh", "-c", "echo x > /dev/mynull; mknod /kmsg c 1 11; cat /kmsg", spec=spec)
    assert outcome.status == 1 and b"Operation not permitted" in outcome.stderr and outcome.stdout == b""


def test_sysctls_and_names(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", domainname="example.com", security=Security(sysctls={"net.ipv4.ip_forward": "1"}))
    found = text(
        tmp_path, "hostname; cat /proc/sys/kernel/domainname; cd /proc/sys/net/ipv4; cat ip_forward ip_unprivileged_port_start", spec=spec
    )
    assert found.split() == ["test", "example.com", "1", "0"]


def test_binds_and_tmpfs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("of the host\n")
    mounts = (
        Mount("bind", "/data", source=str(tmp_path / "data"), read_only=True),
        Mount("bind", "/one", source=str(tmp_path / "data" / "file")),
        Mount("tmpfs", "/t", options={"tmpfs-size": "1048576"}),
    )
    outcome = run(tmp_path, "sh", "-c", "cat /data/file; echo changed >> /one; grep ' /t ' /proc/mounts; touch /data/x", mounts=mounts)
    lines = outcome.stdout.decode().replace(INODES, "").splitlines()
    assert lines == ["of the host", "tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k 0 0"]
    assert b"Read-only file system" in outcome.stderr
    assert (tmp_path / "data" / "file").read_text() == "of the host\nchanged\n"


def test_a_first_process_buries_and_passes_on(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox", init=True)
    script = "trap 'echo got; exit 7' TERM; (sleep 0.2 &); kill -TERM 1; sleep 1; ps | grep -c '\\[sleep\\]'"
    outcome = run(tmp_path, "sh", "-c", script, spec=spec)
    assert (outcome.status, outcome.stdout) == (7, b"got\n")
    assert text(tmp_path, "tr '\\0' ' ' < /proc/1/cmdline", spec=spec).split()[:3] == ["pyke-init", "--", "sh"]


def test_privileged_means_everything_that_this_system_has(tmp_path: Path) -> None:
    host = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    found = text(
        tmp_path,
        "grep -E 'CapEff|Seccomp:' /proc/self/status; mount | grep -c ' /proc/sys '; true",
        spec=ContainerSpec(image="busybox", security=Security(privileged=True)),
    )
    assert found.split() == ["CapEff:", host.split()[1], "Seccomp:", "0", "0"]


@pytest.mark.parametrize("count", [1, 120, 500])
def test_many_layers(tmp_path: Path, count: int) -> None:
    bundle = bundles.make(tmp_path, "sh", "-c", "cat /top; ls / | grep -c layer")
    layers = [tmp_path / f"layer-with-a-rather-long-name-as-digests-are-{number:064}" for number in range(count - 1)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / "top").write_text(f"{number}\n")
        (layer / f"layer{number}").touch()
    bundle["rootfs"]["lower"] = [*map(str, reversed(layers)), f"{tmp_path}/lower"]
    outcome = bundles.run(bundle)
    if count == 1:
        assert outcome.status == 1
    else:
        assert outcome.stdout.decode().split() == [str(count - 2), str(count - 1)]


def test_a_root_that_is_bound(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "sh", "-c", "echo here > /made; ls /")
    bundle["rootfs"] = {"kind": "bind", "source": f"{tmp_path}/lower"}
    assert "made" in bundles.run(bundle).stdout.decode().split()
    assert (tmp_path / "lower" / "made").read_text() == "here\n"


@pytest.mark.skipif(not shutil.which("mkfs.erofs"), reason="needs mkfs.erofs")
def test_a_layer_that_is_an_image(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "cat", "/etc/passwd")
    subprocess.run(["mkfs.erofs", "--quiet", tmp_path / "layer.erofs", tmp_path / "lower"], check=True, capture_output=True)
    bundle["rootfs"]["images"] = [[f"{tmp_path}/layer.erofs", "erofs", f"{tmp_path}/mounted"]]
    bundle["rootfs"]["lower"] = [f"{tmp_path}/mounted"]
    assert bundles.run(bundle).stdout.startswith(b"root:x:0:0")


def test_execs_join_the_container(tmp_path: Path) -> None:
    spec = ContainerSpec(image="busybox")
    container = Container("c" * 64, "n", 0, spec, "", "", ImageConfig(), (), "", "test")
    script = (
        "hostname; cat /shared; readlink /proc/self/exe; awk '/CapEff|Seccomp:/ {print $2}' /proc/self/status; ls /proc/self/fd | wc -l"
    )
    wishes = [
        ExecSpec(("sh", "-c", f"{script} > /result")),
        ExecSpec(("sh", "-c", "tty > /terminal"), tty=True),
        ExecSpec(("nosuch",)),
        ExecSpec(("true",), working_directory="/proc/self/fd/3"),
        ExecSpec(("sh", "-c", "exit 9"), user="nobody"),
    ]
    further = [{"oci": oci_runtime.exec_process(container, wish), "stdio": {"tty": wish.tty}, "seccomp": None} for wish in wishes]
    bundle = bundles.make(tmp_path, "sh", "-c", "echo mine > /shared; sleep 1.5; cat /result /terminal")
    for each in further:
        each["seccomp"] = bundle["seccomp"]
    outcome = bundles.run(bundle, execs=further)
    # ls holds one descriptor more than the program had: the directory.
    assert outcome.stdout.decode().split() == ["test", "mine", "/bin/busybox", "00000000a80425fb", "2", "4", "/dev/pts/0"]
    assert [each["status"] for each in outcome.execs] == [0, 0, -1, -1, 9]
    assert outcome.execs[2]["failure"]["message"] == 'exec: "nosuch": executable file not found in $PATH'
    assert "chdir to cwd" in outcome.execs[3]["failure"]["message"]


def test_from_fork_to_exec_takes_little_time(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "true")
    assert min(bundles.run(bundle).milliseconds for _ in range(5)) < 40  # 10 on a quiet machine; this one may not be


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_other_runtimes_take_the_configuration(tmp_path: Path, runtime: str) -> None:
    if not shutil.which(runtime):
        pytest.skip(f"needs {runtime}")
    bundle = bundles.make(tmp_path, "cat", "/proc/self/status")
    bundle["oci"]["root"]["path"] = f"{tmp_path}/lower"
    (tmp_path / "config.json").write_text(json.dumps(bundle["oci"]))
    command = [runtime, "--root", str(tmp_path / "state"), "run", "--bundle", str(tmp_path), f"pyke-test-{os.getpid()}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    finally:
        parent = os.path.dirname(bundle["oci"]["linux"]["cgroupsPath"])
        cgroups.at(parent).remove()
        with contextlib.suppress(OSError):
            os.rmdir(f"/sys/fs/cgroup/unified{parent}")  # runc makes one in the empty tree of a hybrid host, too
    if b"hybrid mode not supported" in done.stderr:
        pytest.skip("crun refuses this machine's cgroups")
    assert b"CapEff:\t00000000a80425fb" in done.stdout, done.stderr


def test_an_older_kernel_gets_all_layers_in_one_page(tmp_path: Path) -> None:
    """mount(2) takes 4096 bytes of options: the layers' names are made short."""
    layers = [tmp_path / f"layer-with-a-name-as-long-as-a-digests-{number:064}" for number in range(200)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / f"of-{number}").touch()
    for name in ("upper", "work", "stand"):
        (tmp_path / name).mkdir()
    plan: dict[str, object] = {
        "kind": "overlay",
        "lower": list(map(str, layers)),
        "upper": f"{tmp_path}/upper",
        "work": f"{tmp_path}/work",
    }

    def mounted() -> int:
        mount = rootfs.OverlayRootOperation(plan, f"{tmp_path}/stand").mount_by_page()
        return len(os.listdir(f"/proc/self/fd/{mount}"))

    assert in_mount_namespace(mounted) == 200
    assert os.listdir(tmp_path / "stand") == []


@pytest.mark.parametrize("way", ["mount_by_layers", "mount_by_page"])
def test_a_root_that_is_never_synced_can_be_mounted_again(tmp_path: Path, way: str) -> None:
    """The kernel refuses a second mount of a `volatile` overlay as long as its mark is there."""
    if way == "mount_by_layers" and kernel_version() < (6, 7):
        pytest.skip("this kernel takes the layers in one page alone")
    for name in ("lower", "upper", "work", "stand"):
        (tmp_path / name).mkdir()
    paths: dict[str, object] = {"lower": [f"{tmp_path}/lower"], "upper": f"{tmp_path}/upper", "work": f"{tmp_path}/work"}

    def mounted(options: list[str]) -> int:
        operation = rootfs.OverlayRootOperation({"kind": "overlay", "options": options, **paths}, f"{tmp_path}/stand")
        os.close(getattr(operation, way)())
        return int((tmp_path / "work" / "work" / "incompat" / "volatile").exists())

    assert in_mount_namespace(lambda: mounted(["volatile"])) == 1
    assert in_mount_namespace(lambda: mounted(["volatile"])) == 1
    assert in_mount_namespace(lambda: mounted([])) == 0


def kernel_version() -> tuple[int, ...]:
    return tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])


def in_mount_namespace(work: Callable[[], int]) -> int:
    """What `work` returns when it runs in a child with a mount namespace of its own, which ends with it; below 256."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            linux.unshare(linux.CLONE_NEWNS)
            linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
