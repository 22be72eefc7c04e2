"""The JSON that Docker's clients get, held against what Docker 20.10 was seen to answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.http.fields import Fields
from pyke.http.requests.create import Installed, container_spec
from pyke.http.shapes.config import container_config
from pyke.http.shapes.event import event
from pyke.http.shapes.host_config import host_config
from pyke.http.shapes.image import history, inspect, summary
from pyke.http.shapes.names import familiar
from pyke.http.shapes.summary import command_line, status
from pyke.http.shapes.times import human_duration, rfc3339
from pyke.http.versions import NEWEST, Version
from pyke.model import Container, ContainerSpec, ContainerState, Event, ImageConfig
from pyke.testing.memory import busybox

INSPECT_KEYS = set(
    """Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform MountLabel
    ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver Mounts Config NetworkSettings""".split()
)
HOST_CONFIG_KEYS = set(
    """Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom CapAdd CapDrop
    CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode Privileged PublishAllPorts
    ReadonlyRootfs SecurityOpt UTSMode UsernsMode ShmSize Runtime ConsoleSize Isolation CpuShares Memory NanoCpus CgroupParent
    BlkioWeight BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod
    CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory
    KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent
    IOMaximumIOps IOMaximumBandwidth MaskedPaths ReadonlyPaths""".split()
)
NETWORK_KEYS = set(
    """IPAMConfig Links Aliases NetworkID EndpointID Gateway IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen
    MacAddress DriverOpts""".split()
)
SECOND = 10**9


def container(spec: ContainerSpec | None = None, **changes: Any) -> Container:
    made = Container(
        "f" * 64, "c1", 1, spec or ContainerSpec("busybox"), "sha256:1", "busybox", ImageConfig(), ("sleep", "300"), "overlay", "h"
    )
    return replace(made, **changes)


def read(host: dict[str, Any], **config: Any) -> ContainerSpec:
    return container_spec(Fields({"Image": "busybox", "HostConfig": host, **config}), NEWEST, Installed())[0]


def test_inspect_has_every_key_that_docker_has(client: Any) -> None:
    id = client.create(name="c1")
    client.post(f"/containers/{id}/start")
    found = client.get("/v1.41/containers/c1/json")
    assert set(found) == INSPECT_KEYS
    assert set(found["HostConfig"]) == HOST_CONFIG_KEYS
    assert set(found["NetworkSettings"]["Networks"]["bridge"]) == NETWORK_KEYS
    assert (found["Path"], found["Args"], found["Name"]) == ("sleep", ["300"], "/c1")
    assert found["State"]["Status"] == "running"
    assert found["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert found["NetworkSettings"]["IPAddress"] == "172.17.0.2"
    assert found["NetworkSettings"]["Ports"] == {"80/tcp": None}
    assert found["Config"]["Labels"] == {"from": "image"}
    assert found["Config"]["Volumes"] == {"/data": {}}


def test_size_is_looked_at_only_when_asked(client: Any) -> None:
    id = client.create()
    assert "SizeRw" not in client.get(f"/containers/{id}/json")
    assert client.get(f"/containers/{id}/json?size=1")["SizeRootFs"] == 2010


def test_newer_clients_lose_what_docker_took_away(client: Any) -> None:
    id = client.create()
    assert "KernelMemory" not in client.get(f"/v1.42/containers/{id}/json")["HostConfig"]
    old, new = client.get("/v1.41/images/busybox/json"), client.get("/v1.47/images/busybox/json")
    assert {"ContainerConfig", "VirtualSize", "Container"} <= set(old)
    assert not {"ContainerConfig", "VirtualSize", "Container"} & set(new)


ROUND_TRIPS: list[dict[str, Any]] = [
    {"Binds": ["/a:/b:ro", "data:/d"]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}}]},
    {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/t", "ReadOnly": True, "BindOptions": {"Propagation": "rshared"}}]},
    {"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/t", "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}}}]},
    {"Tmpfs": {"/run": "size=1m,noexec"}},
    {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": ""}]}},
    {"PortBindings": {"80/udp": [{"HostIp": "::1", "HostPort": "8000-8010"}]}},
    {"CapAdd": ["CAP_NET_ADMIN"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "GroupAdd": ["1"], "Privileged": False},
    {"Memory": 67108864, "MemorySwap": -1, "NanoCpus": 500000000, "PidsLimit": 5, "CpusetCpus": "0"},
    {"Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}], "Sysctls": {"net.core.somaxconn": "5"}, "OomScoreAdj": -5},
    {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
    {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}], "DeviceCgroupRules": ["c 1:3 rwm"]},
    {"MaskedPaths": ["/proc/x"], "ReadonlyPaths": ["/proc/y"], "Init": True, "Links": ["a:b"], "ExtraHosts": ["a:1.2.3.4"], "ShmSize": 5},
]


@pytest.mark.parametrize("host", ROUND_TRIPS)
def test_what_was_asked_is_what_inspect_shows(host: dict[str, Any]) -> None:
    shown = host_config(read(host), NEWEST)
    assert {key: shown[key] for key in host} == host


@pytest.mark.parametrize("host", ROUND_TRIPS)
def test_what_inspect_shows_can_be_asked_again(host: dict[str, Any]) -> None:
    """Compose and Watchtower create containers from what they have inspected."""
    once = read(host)
    again = read(host_config(once, NEWEST))
    assert host_config(again, NEWEST) == host_config(once, NEWEST)


def test_a_containers_config_stands_on_its_images() -> None:
    image = ImageConfig(("A=1", "B=2"), ("entry",), ("cmd",), "/w", "u", {"k": "1", "l": "2"}, ("80/tcp",))
    shown = container_config(container(ContainerSpec("x", environment=("A=9", "B"), labels={"k": "3"}), image_config=image))
    assert (shown["Env"], shown["Cmd"], shown["Entrypoint"]) == (["A=9"], ["cmd"], ["entry"])
    assert (shown["Labels"], shown["WorkingDir"], shown["User"]) == ({"k": "3", "l": "2"}, "/w", "u")
    own = container_config(container(ContainerSpec("x", entrypoint=("mine",)), image_config=image))
    assert (own["Entrypoint"], own["Cmd"]) == (["mine"], None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
        (119, "About a minute"), (120, "2 minutes"),
        (3599, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"), (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (59 * 86400, "8 weeks"), (60 * 86400, "2 months"),
        (729 * 86400, "24 months"), (730 * 86400, "2 years"), (-5, "Less than a second"),
    ],
)  # fmt: skip
def test_durations_as_docker_says_them(seconds: float, text: str) -> None:
    assert human_duration(int(seconds * SECOND)) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ContainerState(), "Created"),
        (ContainerState("running", started_at=40 * SECOND), "Up About a minute"),
        (ContainerState("paused", started_at=95 * SECOND), "Up 5 seconds (Paused)"),
        (ContainerState("exited", exit_code=137, started_at=1, finished_at=98 * SECOND), "Exited (137) 2 seconds ago"),
        (ContainerState("restarting", exit_code=1, finished_at=99 * SECOND), "Restarting (1) 1 second ago"),
        (ContainerState("removing"), "Removal In Progress"),
        (ContainerState("dead"), "Dead"),
    ],
)
def test_the_column_status(state: ContainerState, text: str) -> None:
    assert status(container(state=state), 100 * SECOND) == text


def test_command_lines() -> None:
    assert command_line(("sh", "-c", "echo a b")) == "sh -c 'echo a b'"
    assert command_line(()) == ""


@given(st.integers(1, 4 * 10**18))
def test_instants_have_no_zeros_at_their_end(nanoseconds: int) -> None:
    text = rfc3339(nanoseconds)
    assert text.endswith("Z")
    assert not ("." in text and text.endswith("0Z"))


def test_history_lays_the_sizes_of_layers_beside_the_steps_that_made_them() -> None:
    newest, oldest = history(busybox())
    assert (newest["CreatedBy"], newest["Size"], newest["Id"], newest["Tags"]) == ('CMD ["sh"]', 0, busybox().id, ["busybox:latest"])
    assert (oldest["CreatedBy"], oldest["Size"], oldest["Id"]) == ("ADD file", 1234, "<missing>")


def test_an_image_without_a_history_has_one_step_a_layer() -> None:
    assert [step["Size"] for step in history(replace(busybox(), history=()))] == [1234]


def test_an_image_without_a_name_is_none_to_old_clients() -> None:
    nameless = replace(busybox(), tags=())
    assert summary(nameless, Version(1, 41))["RepoTags"] == ["<none>:<none>"]
    assert summary(nameless, NEWEST)["RepoTags"] == []
    assert inspect(nameless, "overlay", NEWEST)["RepoTags"] == []


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/me/x:1", "me/x:1"),
        ("registry.test:5000/library/x:1", "registry.test:5000/library/x:1"),
        ("docker.io/library/a/b:1", "library/a/b:1"),
    ],
)
def test_familiar_names(reference: str, text: str) -> None:
    assert familiar(reference) == text


def test_an_event_has_dockers_old_and_new_form() -> None:
    found = event(Event(1_795_490_951_522_623_782, "container", "die", "59ef", {"name": "ev", "image": "busybox", "exitCode": "0"}))
    assert found == {
        "status": "die", "id": "59ef", "from": "busybox", "Type": "container", "Action": "die",
        "Actor": {"ID": "59ef", "Attributes": {"exitCode": "0", "image": "busybox", "name": "ev"}},
        "scope": "local", "time": 1795490951, "timeNano": 1795490951522623782,
    }  # fmt: skip
