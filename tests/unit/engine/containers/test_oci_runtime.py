"""A container as an OCI configuration, as data."""

from __future__ import annotations

from typing import Any

import pytest

from pyke.engine.containers import oci_runtime
from pyke.errors import InvalidRequest
from pyke.model import Container, ContainerSpec, ExecSpec, ImageConfig, Limits, Mount, Security
from pyke.paths import Layout

IMAGE = ImageConfig(environment=("PATH=/image", "A=image", "B=image"), working_directory="/image", user="web")


def container(spec: ContainerSpec | None = None, **changes: Any) -> Container:
    facts: dict[str, Any] = {"image_config": IMAGE, "argv": ("run", "it"), "hostname": "name", **changes}
    return Container(
        id="c" * 64, name="n", created=0, spec=spec or ContainerSpec("i"), image_id="", image_name="i", storage_driver="", **facts
    )


def config(spec: ContainerSpec | None = None, namespaces: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    return oci_runtime.runtime_config(container(spec, **changes), layout=Layout("/r"), files={}, namespaces=namespaces or {})


def test_the_environment_is_the_images_less_what_is_removed_and_more_what_is_asked() -> None:
    spec = ContainerSpec("i", environment=("A", "C=1", "PATH=/mine"), tty=True)
    assert config(spec)["process"]["env"] == ["PATH=/mine", "HOSTNAME=name", "TERM=xterm", "C=1", "B=image"]


def test_the_request_comes_before_the_image() -> None:
    assert (config()["process"]["cwd"], config()["process"]["user"]["username"]) == ("/image", "web")
    spec = ContainerSpec("i", working_directory="/w", user="5:6")
    assert config(spec)["process"]["cwd"] == "/w"
    assert config(spec)["process"]["user"] == {"uid": 5, "gid": 6, "username": "5:6", "additionalGroups": []}


def test_shared_namespaces() -> None:
    found = config(namespaces={"network": "host", "ipc": "/proc/7/ns/ipc", "uts": "host"})
    kinds = {each["type"]: each.get("path") for each in found["linux"]["namespaces"]}
    assert "network" not in kinds and "uts" not in kinds and kinds["ipc"] == "/proc/7/ns/ipc" and kinds["pid"] is None
    assert "hostname" not in found and found["linux"]["sysctl"] == {}
    assert next(each for each in found["mounts"] if each["destination"] == "/dev/shm")["source"] == "/proc/7/root/dev/shm"


def test_a_privileged_container_is_not_confined() -> None:
    linux = config(ContainerSpec("i", security=Security(privileged=True)))["linux"]
    assert (linux["seccomp"], linux["maskedPaths"], linux["readonlyPaths"]) == (None, [], [])
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_a_users_mount_takes_the_place_of_a_default_one_and_none_hides_another() -> None:
    mounts = (Mount("bind", "/a/b", source="/x"), Mount("bind", "/a", source="/y"), Mount("tmpfs", "/dev/shm", options={"tmpfs-size": "5"}))
    targets = [each["destination"] for each in config(mounts=mounts)["mounts"]]
    assert targets.count("/dev/shm") == 1 and targets.index("/a") < targets.index("/a/b")


def test_limits() -> None:
    limits = Limits(memory=100, nano_cpus=1_500_000_000, pids=5, ulimits=(("nofile", 1, -1),))
    found = config(ContainerSpec("i", limits=limits))
    assert found["linux"]["resources"]["memory"] == {"limit": 100, "swap": 200}
    assert found["linux"]["resources"]["cpu"] == {"quota": 150_000, "period": 100_000}
    assert found["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2**64 - 1}]


def test_a_throttle_is_of_a_block_device_that_is_there() -> None:
    for path, reason in (("/dev/nosuch", "stat /dev/nosuch: no such file"), ("/dev/null", "/dev/null is no block device")):
        with pytest.raises(InvalidRequest, match=reason):
            config(ContainerSpec("i", limits=Limits(throttles=(("read_bps", path, 1),))))


@pytest.mark.parametrize(("option", "expected"), [("seccomp=unconfined", True), ("seccomp=builtin", False), ("no-new-privileges", False)])
def test_security_options(option: str, expected: bool) -> None:
    found = config(ContainerSpec("i", security=Security(security_opt=(option,))))
    assert (found["linux"]["seccomp"] is None) is expected
    assert found["process"]["noNewPrivileges"] is (option == "no-new-privileges")


@pytest.mark.parametrize("profile", ["{", "[]", "5", '{"defaultAction": 1}', '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [1]}'])
def test_a_profile_that_is_none(profile: str) -> None:
    with pytest.raises(InvalidRequest, match="seccomp profile"):
        config(ContainerSpec("i", security=Security(security_opt=(f"seccomp={profile}",))))


def test_an_exec_has_the_containers_environment_and_its_own() -> None:
    found = oci_runtime.exec_process(container(), ExecSpec(("sh",), environment=("D=1",), privileged=True))
    assert found["process"]["env"][-1] == "D=1" and "A=image" in found["process"]["env"]
    assert found["linux"]["seccomp"] is None and found["process"]["user"]["username"] == "web"
