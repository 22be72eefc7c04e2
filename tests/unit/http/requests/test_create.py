"""Docker's create JSON: what it becomes, and the words with which nonsense is refused."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.codec import from_data, to_data
from pyke.errors import PykeError
from pyke.http.fields import Fields
from pyke.http.requests.create import Installed, container_spec
from pyke.http.versions import NEWEST, Version
from pyke.model import (
    ContainerSpec,
    DeviceSpec,
    EndpointSpec,
    HealthCheck,
    Limits,
    LogConfig,
    MountSpec,
    Namespaces,
    PortSpec,
    RestartPolicy,
    Security,
)  # fmt: skip

CPUS = os.cpu_count()


def spec(host: dict[str, Any] | None = None, *, version: Version = NEWEST, **config: Any) -> ContainerSpec:
    body = {"Image": "busybox", "HostConfig": host, **config}
    return container_spec(Fields(body), version, Installed(("syslog",), ("crun",)))[0]


def test_the_least_request_has_dockers_defaults() -> None:
    assert spec() == ContainerSpec("busybox", shm_size=64 << 20)


def test_a_full_config_is_taken_over() -> None:
    found = spec(
        Cmd=["a", "b"], Entrypoint="sh", Env=["A=1", "B"], WorkingDir="/w", User="1:2", Hostname="h", Domainname="d", Labels={"k": "v"},
        Tty=True, OpenStdin=True, StdinOnce=True, AttachStdin=True, AttachStdout=True, AttachStderr=True, StopSignal="SIGINT",
        StopTimeout=3, NetworkDisabled=True, Volumes={"/v": {}}, ExposedPorts={"80": {}, "90-91/udp": {}},
        Healthcheck={"Test": ["CMD", "x"], "Interval": 1_500_000_000, "Retries": 2},
    )  # fmt: skip
    assert found == ContainerSpec(
        "busybox", ("a", "b"), ("sh",), ("A=1", "B"), "/w", "1:2", "h", "d", {"k": "v"}, True, True, True, True, True, True, (0, 0),
        "SIGINT", 3, HealthCheck(("CMD", "x"), 1.5, 0, 0, 2), network_disabled=True, exposed_ports=("80/tcp", "90/udp", "91/udp"),
        anonymous_volumes=("/v",), shm_size=64 << 20,
    )  # fmt: skip


def test_a_full_host_config_is_taken_over() -> None:
    found = spec(
        {
            "Binds": ["/a:/b:ro,rslave", "data:/d:nocopy"], "NetworkMode": "mine", "AutoRemove": True, "Init": True, "Privileged": True,
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostPort": "9000-9010"}], "81/udp": None},
            "CapAdd": ["net_admin", "CAP_SYS_TIME"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": True,
            "Memory": 64 << 20, "NanoCpus": 10**9, "PidsLimit": 7, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
            "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 9}],
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}], "OomScoreAdj": 5,
            "Tmpfs": {"/t": "size=1m,noexec,mode=1777"}, "Mounts": [{"Type": "volume", "Source": "vv", "Target": "/vv"}],
            "PidMode": "host", "IpcMode": "container:c", "Sysctls": {"net.ipv4.ip_forward": "1"}, "GroupAdd": ["9"], "Dns": ["1.1.1.1"],
            "ExtraHosts": ["a:1.2.3.4", "b:host-gateway"], "LogConfig": {"Type": "syslog", "Config": {"x": "y"}}, "Runtime": "crun",
            "VolumesFrom": ["c:ro"], "Links": ["a:b"], "CgroupParent": "p", "ShmSize": 1, "ConsoleSize": [24, 80],
        },
        NetworkingConfig={"EndpointsConfig": {"mine": {"Aliases": ["x"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}},
        MacAddress="02-42-AC-11-00-02",
    )  # fmt: skip
    assert found.mounts == (
        MountSpec("bind", "/b", "/a", True, {"propagation": "rslave"}, create_source=True),
        MountSpec("volume", "/d", "data", False, {"nocopy": "true"}),
        MountSpec("volume", "/vv", "vv"),
        MountSpec("tmpfs", "/t", options={
            "tmpfs-size": str(1 << 20), "tmpfs-mode": "1777", "tmpfs-options": "noexec", "given": "size=1m,noexec,mode=1777",
        }),
    )  # fmt: skip
    assert found.ports == (
        PortSpec(80, "tcp", "127.0.0.1", 8080),
        PortSpec(80, "tcp", "", 9000, 9010),
        PortSpec(81, "udp"),
    )
    assert found.security == Security(
        True, ("net_admin", "CAP_SYS_TIME"), ("ALL",), ("no-new-privileges",), True, devices=(DeviceSpec("/dev/null", "/dev/x", "r"),),
        group_add=("9",), sysctls={"net.ipv4.ip_forward": "1"}, oom_score_adj=5,
    )  # fmt: skip
    assert found.limits == Limits(
        memory=64 << 20, nano_cpus=10**9, pids=7, ulimits=(("nofile", 1, 2),), throttles=(("read_bps", "/dev/sda", 9),)
    )
    assert found.namespaces == Namespaces(pid="host", ipc="container:c")
    assert found.endpoints == (EndpointSpec("mine", "10.0.0.9", mac="02:42:ac:11:00:02", aliases=("x",)),)
    assert (found.log, found.runtime, found.console_size) == (LogConfig("syslog", {"x": "y"}), "crun", (24, 80))
    assert found.binds == ("/a:/b:ro,rslave", "data:/d:nocopy")


def test_unknown_keys_are_ignored_and_keys_are_found_in_any_case() -> None:
    found = container_spec(Fields({"image": "busybox", "TTY": True, "Frobnicate": {"a": 1}}), NEWEST, Installed())[0]
    assert (found.image, found.tty) == ("busybox", True)


def test_an_empty_entrypoint_clears_the_images() -> None:
    assert spec(Entrypoint=[""]).entrypoint == ()
    assert spec(Entrypoint=None).entrypoint is None
    assert spec(Entrypoint=[]).entrypoint is None


def test_a_mac_address_of_old_clients_belongs_to_the_network_of_the_mode() -> None:
    assert spec(MacAddress="02:42:ac:11:00:02").endpoints == (EndpointSpec("default", mac="02:42:ac:11:00:02"),)


def test_a_limit_that_is_not_kept_is_told() -> None:
    body = {"Image": "busybox", "HostConfig": {"KernelMemory": 1, "CpuRealtimePeriod": 0}}
    assert container_spec(Fields(body), NEWEST, Installed())[1] == ["pyke does not enforce KernelMemory. Limitation discarded."]


def test_restart_policies() -> None:
    assert spec({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}).restart == RestartPolicy("on-failure", 3)
    assert spec({"RestartPolicy": {"Name": ""}}).restart == RestartPolicy()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "invalid reference format: no image was named": ({}, {"Image": ""}),
    "Image must be a string, not an integer": ({}, {"Image": 5}),
    "Cmd[1] must be a string, not an integer": ({}, {"Cmd": ["a", 1]}),
    "HostConfig.Memory must be an integer, not a string": ({"Memory": "1g"}, {}),
    "HostConfig.Memory must be an integer, not a boolean": ({"Memory": True}, {}),
    "HostConfig.Memory must be an integer, not a number": ({"Memory": 1.5}, {}),
    "HostConfig.PortBindings['80'] must be an array": ({"PortBindings": {"80": "8080"}}, {}),
    "Minimum memory limit allowed is 6MB": ({"Memory": 1024}, {}),
    f"Range of CPUs is from 0.01 to {CPUS}.00, as there are only {CPUS} CPUs available": ({"NanoCpus": 10**12}, {}),
    "You should always set the Memory limit when using Memoryswap limit, see usage": ({"MemorySwap": 10 << 20}, {}),
    "Minimum memoryswap limit should be larger than memory limit, see usage": ({"Memory": 20 << 20, "MemorySwap": 10 << 20}, {}),
    "invalid cgroup parent '/a/../../b'": ({"CgroupParent": "/a/../../b"}, {}),
    "Conflicting options: Nano CPUs and CPU Quota cannot both be set": ({"NanoCpus": 10**9, "CpuQuota": 5000}, {}),
    "Invalid value a for cpuset cpus: invalid format: a": ({"CpusetCpus": "a"}, {}),
    f"Requested CPUs are not available - requested 0-999, available: 0-{(CPUS or 1) - 1}": ({"CpusetCpus": "0-999"}, {}),
    "invalid ulimit type: bogus": ({"Ulimits": [{"Name": "bogus", "Soft": 1, "Hard": 1}]}, {}),
    "ulimit soft limit must be less than or equal to hard limit: 2 > 1": ({"Ulimits": [{"Name": "core", "Soft": 2, "Hard": 1}]}, {}),
    "invalid restart policy 'bogus'": ({"RestartPolicy": {"Name": "bogus"}}, {}),
    "maximum retry count cannot be used with restart policy 'always'": (
        {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 1}}, {},
    ),
    "can't create 'AutoRemove' container with restart policy": ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, {}),
    'invalid CapAdd: unknown capability: "CAP_BOGUS"': ({"CapAdd": ["BOGUS"]}, {}),
    'invalid --security-opt 1: "bogus"': ({"SecurityOpt": ["bogus"]}, {}),
    "Invalid PID mode: bogus": ({"PidMode": "bogus"}, {}),
    "Invalid IPC mode: bogus": ({"IpcMode": "bogus"}, {}),
    "Invalid UTS mode: bogus": ({"UTSMode": "bogus"}, {}),
    "Invalid network mode: invalid container format container:<name|id>": ({"NetworkMode": "container:"}, {}),
    "conflicting options: hostname and the network mode": ({"NetworkMode": "container:x"}, {"Hostname": "h"}),
    "conflicting options: port publishing and the container type network mode": (
        {"NetworkMode": "container:x", "PortBindings": {"80": []}}, {},
    ),
    "conflicting options: hostname and the UTS mode": ({"UTSMode": "host"}, {"Hostname": "h"}),
    "SHM size can not be less than 0": ({"ShmSize": -1}, {}),
    "Invalid value 5000, range for oom score adj is [-1000, 1000]": ({"OomScoreAdj": 5000}, {}),
    "sysctl 'kernel.bogus=1' is not allowed": ({"Sysctls": {"kernel.bogus": "1"}}, {}),
    "sysctl 'net/../../kernel/core_pattern=|/x' is not allowed": ({"Sysctls": {"net/../../kernel/core_pattern": "|/x"}}, {}),
    'error looking up logging plugin bogus: plugin "bogus" not found': ({"LogConfig": {"Type": "bogus"}}, {}),
    "unknown log opt 'a' for json-file log driver": ({"LogConfig": {"Type": "json-file", "Config": {"a": "b"}}}, {}),
    "Unknown runtime specified bogus": ({"Runtime": "bogus"}, {}),
    "Invalid isolation: \"bogus\" - linux only supports 'default'": ({"Isolation": "bogus"}, {}),
    "Unknown option a": ({"StorageOpt": {"a": "b"}}, {}),
    'could not select device driver "" with capabilities: [[gpu]]': ({"DeviceRequests": [{"Capabilities": [["gpu"]]}]}, {}),
    "the working directory 'relative' is invalid, it needs to be an absolute path": ({}, {"WorkingDir": "relative"}),
    "invalid environment variable: =x": ({}, {"Env": ["=x"]}),
    "zz is not a valid mac address": ({}, {"MacAddress": "zz"}),
    "invalid IPv4 address: 1.2.3": ({}, {"NetworkingConfig": {"EndpointsConfig": {"n": {"IPAMConfig": {"IPv4Address": "1.2.3"}}}}}),
    "IP address is not correctly formatted: abc": ({"Dns": ["abc"]}, {}),
    'bad format for add-host: "bad\\n1.1.1.1 good:1.2.3.4"'.replace("\\n", "\n"): ({"ExtraHosts": ["bad\n1.1.1.1 good:1.2.3.4"]}, {}),
    "Hostname 'a b' has blanks or control characters": ({}, {"Hostname": "a b"}),
    "DnsSearch 'x\\nnameserver 6.6.6.6' has blanks or control characters": ({"DnsSearch": ["x\nnameserver 6.6.6.6"]}, {}),
    "Interval in Healthcheck cannot be less than 1ms": ({}, {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}}),
    "HostConfig.Memory does not fit into 64 bits: 9223372036854775808": ({"Memory": 2**63}, {}),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_in_dockers_words(message: str) -> None:
    host, config = REFUSED[message]
    with pytest.raises(PykeError) as caught:
        spec(host, **config)
    assert caught.value.message == message
    assert caught.value.status in (400, 404)


def test_several_networks_need_a_new_client() -> None:
    networking: dict[str, Any] = {"EndpointsConfig": {"a": {}, "b": None}}
    with pytest.raises(PykeError, match="Container cannot be connected to network endpoints: a, b"):
        spec(version=Version(1, 43), NetworkingConfig=networking)
    assert spec(version=Version(1, 44), NetworkingConfig=networking).endpoints == (EndpointSpec("a"), EndpointSpec("b"))


KEYS = """Image Cmd Entrypoint Env Labels Tty HostConfig NetworkingConfig Volumes ExposedPorts Healthcheck StopTimeout Hostname Binds Mounts
PortBindings RestartPolicy Memory NanoCpus CapAdd Tmpfs Ulimits Devices LogConfig EndpointsConfig Sysctls ConsoleSize Type Target Test
DeviceRequests Capabilities""".split()
WORDS = ["busybox", "", "80/tcp", "/a:/b", "8080", "bind", "0", "a=b", "\n", "é", "container:x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS + WORDS), inner, max_size=6),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.dictionaries(st.sampled_from(KEYS), JSON))
def test_whatever_json_comes_is_a_spec_or_a_refusal(config: dict[str, Any], host: dict[str, Any]) -> None:
    """And a spec survives JSON, because the engine keeps it so."""
    try:
        found, warnings = container_spec(Fields({"Image": "busybox", **config, "HostConfig": host}), NEWEST, Installed())
    except PykeError as error:
        assert error.message
        assert 400 <= error.status < 500
    else:
        assert from_data(ContainerSpec, to_data(found)) == found
        assert all(warnings)
