"""Containers, images, networks and volumes through the API: what is listed, made, changed and deleted."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from pyke.model import EndpointSpec


def names(client: Any, query: str = "all=1", /, **filters: list[str]) -> list[str]:
    asked = f"{query}&filters={quote(json.dumps(filters))}" if filters else query
    return [each["Names"][0] for each in client.get(f"/containers/json?{asked}")]


def test_a_container_lives_and_dies(client: Any) -> None:
    id = client.create(name="c1")
    assert names(client, "") == []
    for path in ("start", "pause", "unpause", "restart?t=1", "stop?t=1", "start"):
        assert client.request("POST", f"/containers/c1/{path}")[:2] == (204, b"")
    assert names(client, "") == ["/c1"]
    status, body, _ = client.request("DELETE", "/containers/c1")
    assert (status, body) == (409, {"message": f"You cannot remove a running container {id}", "hint": "pyke rm -f c1"})
    client.post("/containers/c1/kill?signal=TERM")
    status, body, _ = client.request("POST", "/containers/c1/kill")
    assert (status, body["message"]) == (409, f"Cannot kill container: c1: Container {id} is not running")
    client.post("/containers/c1/rename?name=c2")
    assert client.request("POST", "/containers/c2/rename?name=")[0] == 400
    assert client.request("DELETE", "/containers/c2?v=1")[0] == 204
    assert client.request("GET", "/containers/c2/json")[0] == 404


def test_create_answers_with_an_id_and_warnings(client: Any) -> None:
    body = {"Image": "busybox", "HostConfig": {"KernelMemory": 5}}
    status, found, _ = client.request("POST", "/v1.41/containers/create?name=warned", body)
    assert (status, found["Warnings"]) == (201, ["pyke does not enforce KernelMemory. Limitation discarded.", "a warning"])
    status, found, _ = client.request("POST", "/containers/create", {"Image": "nosuch"})
    assert (status, found["message"]) == (404, "No such image: nosuch:latest")


@pytest.mark.parametrize(("platform", "status"), [("linux/amd64", 201), ("linux/x86_64", 201), ("linux", 201), ("linux/arm64", 404)])
def test_an_image_of_another_platform_is_not_there(client: Any, platform: str, status: int) -> None:
    assert client.request("POST", f"/containers/create?platform={platform}", {"Image": "busybox"})[0] == status


def test_lists_are_filtered(client: Any, engine: Any) -> None:
    client.create(name="one", Labels={"a": "b"})
    client.create(name="two", ExposedPorts={"7000/udp": {}})
    client.create(name="three")
    client.post("/containers/two/start")
    client.post("/containers/three/start")
    engine.containers.end("three", 3)
    assert names(client) == ["/three", "/two", "/one"]
    assert names(client, "limit=2") == ["/three", "/two"]
    expected: list[tuple[dict[str, list[str]], list[str]]] = [
        ({"status": ["exited", "running"]}, ["/three", "/two"]),
        ({"exited": ["3"]}, ["/three"]),
        ({"name": ["^/t"]}, ["/three", "/two"]),
        ({"name": ["t[", "one"]}, ["/one"]),
        ({"label": ["a"]}, ["/one"]),
        ({"label": ["a=b", "from=image"]}, ["/one"]),
        ({"label": ["a=c"]}, []),
        ({"ancestor": ["busybox"]}, ["/three", "/two", "/one"]),
        ({"ancestor": ["nosuch"]}, []),
        ({"before": ["three"]}, ["/two", "/one"]),
        ({"since": ["one"]}, ["/three", "/two"]),
        ({"network": ["bridge"]}, ["/three", "/two", "/one"]),
        ({"network": ["nosuch"]}, []),
        ({"volume": ["nosuch"]}, []),
        ({"expose": ["7000-7001/udp"]}, ["/two"]),
        ({"publish": ["80"]}, []),
        ({"health": ["none"]}, ["/three", "/two", "/one"]),
        ({"is-task": ["true"]}, []),
        ({"id": [engine.containers.get("one").id[:8]]}, ["/one"]),
    ]
    for filters, found in expected:
        assert names(client, "all=1", **filters) == found, filters


@pytest.mark.parametrize(
    ("path", "filters", "message"),
    [
        ("/containers/json", {"bogus": ["1"]}, "Invalid filter 'bogus'"),
        ("/containers/json", {"status": ["bogus"]}, "Invalid filter 'status=bogus'"),
        ("/containers/json", {"exited": ["x"]}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("/containers/json", {"before": ["nosuch"]}, "No such container: nosuch"),
        ("/images/json", {"bogus": ["1"]}, "Invalid filter 'bogus'"),
        ("/images/json", {"dangling": ["perhaps"]}, "Invalid filter 'dangling=[perhaps]'"),
        ("/networks", {"bogus": ["1"]}, "Invalid filter 'bogus'"),
        ("/volumes", {"bogus": ["1"]}, "Invalid filter 'bogus'"),
        ("/events", {"bogus": ["1"]}, "Invalid filter 'bogus'"),
    ],
)
def test_filters_that_are_refused(client: Any, path: str, filters: dict[str, list[str]], message: str) -> None:
    status, body, _ = client.request("GET", f"{path}?filters={quote(json.dumps(filters))}")
    assert (status >= 400, body["message"]) == (True, message)


def test_a_name_filter_cannot_be_made_to_think_for_ever(client: Any) -> None:
    client.create(name="a" * 40 + "b")
    assert names(client, name=["(a+)+$"]) == []


def test_top_and_prune(client: Any) -> None:
    client.create(name="c1")
    assert client.get("/containers/c1/top") == {"Titles": ["PID", "CMD"], "Processes": [["0", "sleep 300"]]}
    pruned = client.post("/containers/prune")
    assert (len(pruned["ContainersDeleted"]), pruned["SpaceReclaimed"]) == (1, 10)
    assert client.post("/containers/prune")["ContainersDeleted"] is None


def test_images_are_listed_tagged_and_removed(client: Any) -> None:
    (found,) = client.get("/images/json")
    assert (found["RepoTags"], found["Size"], found["Containers"]) == (["busybox:latest"], 1234, -1)
    assert client.request("POST", "/images/busybox/tag?repo=mine&tag=1")[:2] == (201, b"")
    assert client.get("/images/json")[0]["RepoTags"] == ["busybox:latest", "mine:1"]
    for reference, tags in (("m*", ["mine:1"]), ("mine:1", ["mine:1"]), ("busybox", ["busybox:latest"]), ("nosuch", None)):
        (*listed,) = client.get(f"/images/json?filters={quote(json.dumps({'reference': [reference]}))}")
        assert [each["RepoTags"] for each in listed] == ([tags] if tags else [])
    removed = client.request("DELETE", "/images/mine:1")[1]
    assert removed[:2] == [{"Untagged": "busybox:latest"}, {"Untagged": "mine:1"}]
    assert list(removed[2]) == ["Deleted"]
    assert client.request("GET", "/images/busybox/json")[0] == 404


def test_images_are_saved_one_or_many(client: Any) -> None:
    id = client.get("/images/busybox/json")["Id"].encode()
    status, body, headers = client.request("GET", "/images/busybox:latest/get")
    assert (status, body, headers["content-type"]) == (200, id, "application/x-tar")
    assert client.request("GET", "/images/get?names=busybox&names=busybox:latest")[1] == id * 2
    assert client.request("GET", "/images/get?names=busybox&names=nosuch")[1]["message"] == "No such image: nosuch"
    assert client.request("GET", "/images/get")[0] == 400


def test_an_archive_is_imported(client: Any, engine: Any) -> None:
    status, body, _ = client.request(
        "POST", "/images/create?fromSrc=-&repo=made&tag=1&message=hi&changes=CMD%20x&changes=ENV%20A=1", b"tar"
    )
    assert (status, body["status"][:7]) == (200, "sha256:")
    assert engine.images.get("made:1").comment == "hi"
    assert client.request("POST", "/images/create?fromSrc=http://x.test/a.tar")[0] == 501
    assert client.request("POST", "/images/create")[0] == 400


def test_a_pull_passes_credentials_and_nobody_sees_them_in_an_error(client: Any) -> None:
    header = base64.urlsafe_b64encode(b'{"username":"me","password":"secret"}').decode()
    path = "/images/create?fromImage=registry.test/x&tag=1"
    status, body, _ = client.request("POST", path, headers={"X-Registry-Auth": header})
    assert (status, body) == (200, {"status": "Pulling from registry.test/x:1", "id": "me"})
    status, body, _ = client.request("POST", path, headers={"X-Registry-Auth": "c2VjcmV0"})
    assert status == 400
    assert "c2VjcmV0" not in json.dumps(body)
    assert "secret" not in json.dumps(body)


def test_a_pull_without_a_plugin_says_what_to_install(client: Any) -> None:
    status, body, _ = client.request("POST", "/images/create?fromImage=nginx&tag=latest")
    assert (status, body["hint"]) == (404, "pip install pyke-registry-dockerhub")


def test_networks_are_made_connected_and_removed(client: Any, engine: Any) -> None:
    body = {"Name": "n1", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1"}]}, "Labels": {"a": "b"}, "Internal": True}
    status, made, _ = client.request("POST", "/networks/create", body)
    assert (status, made["Warning"]) == (201, "")
    found = client.get("/networks/n1")
    assert (found["Id"], found["Driver"], found["Internal"], found["Labels"]) == (made["Id"], "bridge", True, {"a": "b"})
    assert found["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1"}]
    client.create(name="c1")
    client.post(
        "/networks/n1/connect", {"Container": "c1", "EndpointConfig": {"Aliases": ["x"], "IPAMConfig": {"IPv4Address": "10.1.0.9"}}}
    )
    assert engine.networks.connected == [("n1", "c1", EndpointSpec("n1", "10.1.0.9", aliases=("x",)))]
    client.post("/networks/n1/disconnect", {"Container": "c1", "Force": True})
    assert engine.networks.connected == []
    assert client.request("DELETE", "/networks/n1")[:2] == (204, b"")
    assert client.request("GET", "/networks/n1")[1]["message"] == "network n1 not found"


def test_network_lists_are_filtered_and_have_no_members(client: Any) -> None:
    client.create(name="c1")
    client.post("/networks/create", {"Name": "n1"})
    listed = client.get("/networks")
    assert [each["Name"] for each in listed] == ["bridge", "host", "n1", "none"]
    assert all(each["Containers"] == {} for each in listed)
    assert {each["Name"]: each["Driver"] for each in listed}["none"] == "null"
    for filters, found in (
        ({"type": ["custom"]}, ["n1"]),
        ({"driver": ["null"]}, ["none"]),
        ({"name": ["ost"]}, ["host"]),
        ({"dangling": ["true"]}, ["n1"]),
    ):
        assert [each["Name"] for each in client.get(f"/networks?filters={quote(json.dumps(filters))}")] == found
    (member,) = client.get("/networks/bridge")["Containers"].values()
    assert (member["Name"], member["IPv4Address"]) == ("c1", "172.17.0.2/16")
    assert client.post("/networks/prune") == {"NetworksDeleted": ["n1"]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Name": ""}, "invalid network name: ''"),
        ({"Name": "a/b"}, "invalid network name: 'a/b'"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "300.0.0.0/8"}]}}, "Invalid subnet 300.0.0.0/8 : invalid CIDR address: 300.0.0.0/8"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8", "Gateway": "1.2.3.4"}]}}, "no matching subnet for gateway 1.2.3.4"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8", "IPRange": "fd00::/64"}]}}, "no matching subnet for range fd00::/64"),
        ({"Name": "x", "IPAM": {"Driver": "dhcp"}}, 'could not find an IPAM driver "dhcp"'),
        ({"Name": "x", "Internal": "yes"}, "Internal must be a boolean, not a string"),
    ],
)
def test_networks_that_are_refused(client: Any, body: dict[str, Any], message: str) -> None:
    status, found, _ = client.request("POST", "/networks/create", body)
    assert (status, found["message"]) == (400, message)


def test_volumes_are_made_listed_and_removed(client: Any, engine: Any) -> None:
    status, made, _ = client.request("POST", "/volumes/create", {"Name": "v1", "Labels": {"a": "b"}, "DriverOpts": {"o": "p"}})
    assert (status, made["Driver"], made["Labels"], made["Options"]) == (201, "local", {"a": "b"}, {"o": "p"})
    client.post("/volumes/create", {})
    assert len(client.get("/volumes")["Volumes"]) == 2
    for filters, count in (({"label": ["a=b"]}, 1), ({"name": ["v1"]}, 1), ({"driver": ["x"]}, 0), ({"dangling": ["true"]}, 2)):
        assert len(client.get(f"/volumes?filters={quote(json.dumps(filters))}")["Volumes"]) == count
    assert client.request("DELETE", "/volumes/v1")[:2] == (204, b"")
    assert client.request("GET", "/volumes/v1")[1]["message"] == "get v1: no such volume"


@pytest.mark.parametrize(("version", "filters"), [("1.41", {"all": ["true"]}), ("1.42", {})])
def test_a_prune_of_volumes_spares_named_ones_for_newer_clients(client: Any, engine: Any, version: str, filters: dict[str, Any]) -> None:
    client.post(f"/v{version}/volumes/prune")
    assert engine.volumes.pruned == filters
