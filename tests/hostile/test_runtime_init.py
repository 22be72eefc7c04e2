"""Root file systems, users and programs that try to get out: each tries, and what it was after is unchanged."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from pyke.errors import InvalidRequest
from pyke.model import ContainerSpec, ImageConfig, Limits, Mount, Security
from pyke.testing import bundles

CANARY = "the canary is alive\n"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file of the host that no container may read or change."""
    path = tmp_path / "canary"
    path.write_text(CANARY)
    return path


def run(directory: Path, *command: str, **options: object) -> bundles.Outcome:
    return bundles.run(bundles.make(directory, *command, **options))  # type: ignore[arg-type]


def replace_by_link(root: Path, name: str, target: str) -> None:
    shutil.rmtree(root / name, ignore_errors=True)
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(target)


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_proc_sys_and_dev_have_to_be_directories(tmp_path: Path, canary: Path, name: str) -> None:
    bundle = bundles.make(tmp_path, "true")
    replace_by_link(tmp_path / "lower", name, str(tmp_path))
    outcome = bundles.run(bundle)
    assert f"nothing can be mounted on /{name} in the container: it has to be an ordinary directory" == outcome.failure["message"]
    assert canary.read_text() == CANARY


@pytest.mark.parametrize("name", ["etc"])
def test_links_to_the_host_end_inside(tmp_path: Path, canary: Path, name: str) -> None:
    (tmp_path / "hosts").write_text("mine\n")
    target = tmp_path / "outside"
    target.mkdir()
    bundle = bundles.make(tmp_path, "sh", "-c", f"ls {tmp_path}/canary; cat /etc/hosts", files={"/etc/hosts": f"{tmp_path}/hosts"})
    replace_by_link(tmp_path / "lower", name, str(target))
    outcome = bundles.run(bundle)
    assert os.listdir(target) == [] and b"No such file" in outcome.stderr
    assert outcome.failure == {} and outcome.stdout == b"mine\n"


def test_masked_and_read_only_paths_follow_links_inside_alone(tmp_path: Path, canary: Path) -> None:
    bundle = bundles.make(tmp_path, "sh", "-c", "cat /secret; cat /etc/passwd; echo x > /fixed/x")
    (tmp_path / "lower" / "secret").symlink_to("/../../etc/passwd")
    (tmp_path / "lower" / "fixed").symlink_to(f"{tmp_path}")
    bundle["oci"]["linux"]["maskedPaths"] += ["/secret", "/proc/self/root/secret"]
    bundle["oci"]["linux"]["readonlyPaths"] += ["/fixed", "/proc/self/cwd"]
    outcome = bundles.run(bundle)
    assert outcome.stdout == b"" and "/proc/self/root" not in canary.read_text()
    assert Path("/etc/passwd").read_text() != ""


@pytest.mark.parametrize("place", ["null", "console"])
def test_a_device_that_is_a_link_is_not_bound(tmp_path: Path, canary: Path, place: str) -> None:
    """With a /dev of the image's own, nothing that it planted there serves as a mask or becomes the console."""
    spec = ContainerSpec(image="busybox", tty=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / place).symlink_to(f"/proc/self/root{canary}")
    outcome = run(tmp_path, "cat", "/proc/keys", spec=spec, mounts=(Mount("bind", "/dev", source=f"{tmp_path}/dev"),))
    assert outcome.status == -1 and outcome.stdout == b""
    assert canary.read_text() == CANARY


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/proc/sys/kernel", "/proc/self/attr"])
def test_nothing_is_mounted_in_proc(tmp_path: Path, target: str) -> None:
    (tmp_path / "data").mkdir()
    bundle = bundles.make(tmp_path, "true")
    bundle["oci"]["mounts"].append({"destination": target, "type": "bind", "source": f"{tmp_path}/data", "options": ["rbind"]})
    outcome = bundles.run(bundle)
    assert outcome.status == -1 and f"{target} cannot be mounted because it is inside /proc" == outcome.failure["message"]


def test_a_mount_through_a_link_into_proc_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    bundle = bundles.make(tmp_path, "true", mounts=(Mount("bind", "/innocent", source=f"{tmp_path}/data"),))
    (tmp_path / "lower" / "innocent").symlink_to("proc/self/attr")
    assert "inside /proc" in bundles.run(bundle).failure["message"]


def test_no_release_agent_is_within_reach(tmp_path: Path) -> None:
    script = "find /sys/fs/cgroup -name release_agent; mkdir /sys/fs/cgroup/memory/x; mount -t cgroup -o memory c /tmp; true"
    outcome = run(tmp_path, "sh", "-c", script)
    assert outcome.stdout == b""
    assert b"Read-only file system" in outcome.stderr or b"No such file" in outcome.stderr
    assert b"permission denied" in outcome.stderr or b"Operation not permitted" in outcome.stderr


def test_nothing_is_inherited_or_ambient(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "cat", "/proc/self/status", spec=ContainerSpec(image="busybox", user="1000"))
    everything = bundle["oci"]["process"]["capabilities"]["bounding"]
    bundle["oci"]["process"]["capabilities"] |= {"inheritable": everything, "ambient": everything}
    status = bundles.run(bundle).stdout.decode()
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert f"{name}:\t0000000000000000" in status


def test_supplementary_groups_hold_the_primary_one_and_no_one_elses(tmp_path: Path) -> None:
    os.setgroups([0, 4242])
    try:
        status = run(tmp_path, "cat", "/proc/self/status", spec=ContainerSpec(image="busybox", user="1000:77")).stdout.decode()
    finally:
        os.setgroups([])
    assert "Groups:\t77 \n" in status


def test_a_number_is_never_a_name(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "id", "-u", spec=ContainerSpec(image="busybox", user="1000"))
    (tmp_path / "lower/etc/passwd").write_text("1000:x:0:0::/root:/bin/sh\n")
    assert bundles.run(bundle).stdout == b"1000\n"


@pytest.mark.parametrize("user", ["2147483648", "4294967296", "-1", "0:4294967296", "18446744073709551616"])
def test_ids_out_of_range(tmp_path: Path, user: str) -> None:
    outcome = run(tmp_path, "id", "-u", spec=ContainerSpec(image="busybox", user=user))
    assert outcome.status == -1 and outcome.failure["exit_status"] == 125


def test_a_passwd_line_out_of_range(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "id", "-u", spec=ContainerSpec(image="busybox", user="evil"))
    (tmp_path / "lower/etc/passwd").write_text("evil:x:4294967296:0::/:/bin/sh\n")
    assert bundles.run(bundle).failure["message"].startswith("uids and gids must be in range 0-2147483647")


@pytest.mark.parametrize("user", ["", "1000", "daemon"])
def test_a_fifo_or_a_device_in_place_of_passwd(tmp_path: Path, user: str) -> None:
    bundle = bundles.make(tmp_path, "awk", "/^Uid/ {print $2}", "/proc/self/status", spec=ContainerSpec(image="busybox", user=user))
    (tmp_path / "lower/etc/passwd").unlink()
    (tmp_path / "lower/etc/group").unlink()
    os.mkfifo(tmp_path / "lower/etc/passwd")
    os.mknod(tmp_path / "lower/etc/group", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    begin = time.monotonic()
    outcome = bundles.run(bundle)
    assert time.monotonic() - begin < 5
    assert outcome.stdout.decode() == {"": "0\n", "1000": "1000\n", "daemon": ""}[user]


@pytest.mark.parametrize(("user", "works"), [("1000", True), ("daemon", False)])
def test_a_passwd_of_many_gigabytes(tmp_path: Path, user: str, works: bool) -> None:
    bundle = bundles.make(tmp_path, "true", spec=ContainerSpec(image="busybox", user=user, limits=Limits(memory=256 << 20)))
    os.truncate(tmp_path / "lower/etc/passwd", 20 << 30)
    outcome = bundles.run(bundle)
    assert (outcome.failure == {}) is works


@pytest.mark.parametrize("target", ["/proc/self/fd/{}", "/proc/1/cwd", "/link"])
def test_a_working_directory_stays_inside(tmp_path: Path, canary: Path, target: str) -> None:
    for number in range(3, 9):
        spec = ContainerSpec(image="busybox", working_directory=target.format(number))
        bundle = bundles.make(tmp_path, "cat", "canary", spec=spec)
        if not (tmp_path / "lower" / "link").is_symlink():
            (tmp_path / "lower" / "link").symlink_to("/proc/self/fd/3")
        outcome = bundles.run(bundle)
        assert CANARY.encode() not in outcome.stdout and outcome.status != 0


def test_no_descriptor_is_leaked(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(fd, True)
    found = run(tmp_path, "ls", "/proc/self/fd").stdout.split()
    os.close(fd)
    assert found == [b"0", b"1", b"2", b"3"]  # 3 is the directory that ls reads


def test_the_hosts_program_cannot_be_written_through_proc_self_exe(tmp_path: Path) -> None:
    """Whatever runs as /proc/self/exe is the container's own, or the sealed Python, which finds no library there (CVE-2019-5736)."""
    python = Path(os.path.realpath("/proc/self/exe"))
    before = (python.stat().st_mtime_ns, python.stat().st_size)
    bundle = bundles.make(tmp_path, "/entry")
    (tmp_path / "lower/entry").symlink_to("/proc/self/exe")
    (tmp_path / "lower/script").write_text("#!/proc/self/exe\n")
    (tmp_path / "lower/script").chmod(0o755)
    bundles.run(bundle)
    bundles.run(bundles.make(tmp_path, "/script"))
    assert (python.stat().st_mtime_ns, python.stat().st_size) == before


SMUGGLED = (
    "kernel.shm_rmid_forced/../core_pattern",
    "kernel.core_pattern",
    "net/../kernel/core_pattern",
    "net.ipv4/../../kernel/core_pattern",
    "kernel/shmmax+x=y",
    "net.",
    "fs.mqueue.../../x",
)


@pytest.mark.parametrize("name", SMUGGLED)
def test_sysctls_are_not_paths(tmp_path: Path, name: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    with pytest.raises(InvalidRequest):
        bundles.make(tmp_path, "true", spec=ContainerSpec(image="busybox", security=Security(sysctls={name: "|/evil"})))
    bundle = bundles.make(tmp_path, "true")
    bundle["oci"]["linux"]["sysctl"] = {name: "|/evil"}
    assert "sysctl" in bundles.run(bundle).failure["message"]
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_modules_are_not_loaded_from_the_container(tmp_path: Path) -> None:
    """Python must not import what an image puts where Python looks (I3)."""
    bundle = bundles.make(tmp_path, "nosuch", spec=ContainerSpec(image="busybox", user="nosuch", environment=("PYTHONPATH=/evil",)))
    for directory in ("evil", os.path.dirname(os.__file__).lstrip("/")):
        (tmp_path / "lower" / directory).mkdir(parents=True)
        for module in ("traceback", "resource", "linecache", "encodings"):
            (tmp_path / "lower" / directory / f"{module}.py").write_text("open('/pwned', 'w')\n")
    bundles.run(bundle)
    assert not (tmp_path / "upper" / "pwned").exists()


def test_variables_of_the_image_reach_the_program_alone(tmp_path: Path) -> None:
    image = ImageConfig(environment=("LD_PRELOAD=/evil.so", "PYTHONHOME=/evil"))
    assert b"LD_PRELOAD=/evil.so" in run(tmp_path, "env", image=image).stdout


SYSCALLS = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static void tell(const char *name, long result) { printf("%s: %s\n", name, result < 0 ? strerror(errno) : "works"); }
int main(void) {
    tell("inet", syscall(SYS_socket, 2, 1, 0));
    tell("alg", syscall(SYS_socket, 38, 5, 0));
    tell("vsock", syscall(SYS_socket, 40, 1, 0));
    tell("alg+2^32", syscall(SYS_socket, 38L | 1L << 32, 5, 0));
    tell("vsock+2^32", syscall(SYS_socket, 40L | 1L << 32, 1, 0));
    tell("io_uring", syscall(425, 1, 0));
    tell("x32 alg", syscall(0x40000000 | SYS_socket, 38, 5, 0));
    tell("keyctl", syscall(SYS_keyctl, 0, 0, 0));
    tell("unshare", syscall(SYS_unshare, 0x10000000));
    tell("clone user", syscall(SYS_clone, 0x10000000 | 17, 0, 0, 0, 0));
    tell("clone3", syscall(435, 0, 0));
    tell("bpf", syscall(SYS_bpf, 0, 0, 0));
    tell("mount", syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, ""));
    tell("fsopen", syscall(430, "tmpfs", 0));
    tell("newest", syscall(600, 0));
    tell("personality", syscall(SYS_personality, 0x0400000));
    return 0;
}
"""
SYSCALLS_32 = r"""
static long call(long n, long a, long b, long c) {
    long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory"); return r; }
static void put(char c) { call(4, 1, (long)&c, 1); }
static void tell(long r) { put(r >= 0 ? '+' : '-'); if (r < 0) { r = -r; put('0' + r / 10 % 10); put('0' + r % 10); } put('\n'); }
void _start(void) {
    long alg[3] = {38, 5, 0}, inet[3] = {2, 1, 0};
    tell(call(359, 38, 5, 0));
    tell(call(102, 1, (long)alg, 0));
    tell(call(359, 2, 1, 0));
    tell(call(102, 1, (long)inet, 0));
    call(1, 0, 0, 0);
}
"""


def compile_into(root: Path, source: str, *options: str) -> None:
    (root / "probe.c").write_text(source)
    done = subprocess.run(["gcc", *options, "-O1", "-o", root / "probe", root / "probe.c"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"gcc cannot: {done.stderr[:80]!r}")


@pytest.mark.skipif(not shutil.which("gcc") or os.uname().machine != "x86_64", reason="needs gcc on x86-64")
def test_system_calls_that_the_profile_refuses(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "/probe")
    compile_into(tmp_path / "lower", SYSCALLS, "-static")
    outcome = bundles.run(bundle)
    words = {"works": "works", "Operation not permitted": "refused", "Function not implemented": "missing"}
    found = {line.partition(": ")[0]: words[line.partition(": ")[2]] for line in outcome.stdout.decode().splitlines()}
    assert found == {
        "inet": "works", "alg": "refused", "vsock": "refused", "alg+2^32": "refused", "vsock+2^32": "refused", "io_uring": "refused",
        "x32 alg": "refused", "keyctl": "refused", "unshare": "refused", "clone user": "refused", "clone3": "missing", "bpf": "refused",
        "mount": "refused", "fsopen": "refused", "newest": "missing", "personality": "refused",
    }  # fmt: skip


@pytest.mark.skipif(not shutil.which("gcc") or os.uname().machine != "x86_64", reason="needs gcc on x86-64")
def test_thirty_two_bit_calls_find_no_way_around(tmp_path: Path) -> None:
    bundle = bundles.make(tmp_path, "/probe")
    compile_into(tmp_path / "lower", SYSCALLS_32, "-m32", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pic", "-no-pie")
    assert bundles.run(bundle).stdout.split() == [b"-01", b"-01", b"+", b"-01"]


def test_a_host_socket_is_not_reachable_by_its_abstract_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0pyke-canary")
        assert b"pyke-canary" not in run(tmp_path, "cat", "/proc/net/unix").stdout
