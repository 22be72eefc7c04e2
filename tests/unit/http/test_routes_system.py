from __future__ import annotations

import json
import threading
from typing import Any

import pytest


def test_ping_names_the_api_and_has_no_json(client: Any) -> None:
    status, body, headers = client.request("GET", "/_ping")
    assert (status, body) == (200, b"OK")
    assert headers["api-version"] == "1.47"
    assert headers["docker-experimental"] == "false"
    assert headers["ostype"] == "linux"
    assert headers["server"].startswith("Pyke/")


def test_head_ping_has_no_body(client: Any) -> None:
    assert client.request("HEAD", "/_ping")[:2] == (200, b"")


@pytest.mark.parametrize(("version", "status"), [("1.24", 200), ("1.41", 200), ("1.47", 200), ("1.23", 400), ("1.48", 400), ("2.0", 400)])
def test_versions_are_accepted_from_oldest_to_newest(client: Any, version: str, status: int) -> None:
    assert client.request("GET", f"/v{version}/version")[0] == status


def test_an_old_client_is_told_as_docker_tells_it(client: Any) -> None:
    _, body, _ = client.request("GET", "/v1.23/info")
    assert body["message"] == (
        "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
    )


def test_unknown_routes_are_not_found_in_dockers_words(client: Any) -> None:
    for method, path in (("GET", "/nosuch"), ("PATCH", "/containers/json"), ("GET", "/v1.41/"), ("GET", "/")):
        status, body, _ = client.request(method, path)
        assert (status, body) == (404, {"message": "page not found"})


def test_what_pyke_does_not_have_says_so(client: Any) -> None:
    status, body, _ = client.request("POST", "/swarm/init", {})
    assert status == 501
    assert body["message"] == "pyke does not have swarms (POST /swarm/init)"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/swarm", 503, "This node is not a swarm manager."),
        ("POST", "/services/create", 503, "This node is not a swarm manager."),
        ("POST", "/swarm/leave?force=1", 503, "This node is not part of a swarm"),
        ("GET", "/plugins/a/b:latest/json", 404, 'plugin "a/b:latest" not found'),
        ("POST", "/plugins/x/enable", 404, 'plugin "x" not found'),
        ("GET", "/events?since=10&until=1", 400, "`since` time (10) cannot be after `until` time (1)"),
        ("POST", "/volumes/prune?filters={%22until%22:[%221h%22]}", 400, "Invalid filter 'until'"),
        ("GET", "/networks?filters={%22type%22:[%22x%22]}", 400, "invalid filter: 'type'='x'"),
        ("GET", "/containers/json?filters={%22health%22:[%22x%22]}", 400, "Unrecognised filter value for health: x"),
    ],
)
def test_refusals_are_dockers(client: Any, method: str, path: str, status: int, message: str) -> None:
    found, body, _ = client.request(method, path)
    assert found == status
    assert body["message"].startswith(message)


def test_options_are_answered_with_nothing(client: Any) -> None:
    assert client.request("OPTIONS", "/containers/json")[0] == 200


def test_a_body_that_says_it_is_no_json_is_refused(client: Any) -> None:
    status, body, _ = client.request("POST", "/volumes/create", b"{}", {"Content-Type": "text/plain"})
    assert (status, body["message"]) == (400, "Content-Type specified (text/plain) must be 'application/json'")


def test_info_warns_of_a_family_without_a_driver(client: Any) -> None:
    info = client.get("/info")
    assert info["Warnings"] == ["no registry plugin is installed, images cannot be pulled: pip install pyke-registry-dockerhub"]
    assert info["Images"] == 1
    assert info["Plugins"]["Network"] == ["bridge", "null"]


def test_events_are_past_then_present_then_end(client: Any, engine: Any) -> None:
    client.create(name="one")
    now = engine.events.publish("network", "create", "n1", name="n1").time
    body = client.request("GET", f"/events?since=0&until={now // 10**9 + 1}.0")[1]
    kinds = [json.loads(line)["Type"] for line in body.splitlines()] if isinstance(body, bytes) else [body["Type"]]
    assert kinds == ["container", "network"]


def test_events_are_flushed_as_they_happen_and_filtered(client: Any, engine: Any) -> None:
    connection = client.connection()
    connection.request("GET", '/events?filters={"type":["volume"]}')
    response = connection.getresponse()  # the head is there before any event
    engine.events.publish("network", "create", "n1")
    engine.events.publish("volume", "create", "v1", driver="local")
    event = json.loads(response.readline())
    assert (event["Type"], event["Action"], event["Actor"]) == ("volume", "create", {"ID": "v1", "Attributes": {"driver": "local"}})
    connection.close()
    _until(lambda: not engine.events._listeners)


def test_disk_usage_counts_every_family(client: Any) -> None:
    client.create(name="one")
    client.post("/volumes/create", {"Name": "v1"})
    usage = client.get("/system/df")
    assert usage["LayersSize"] == 1234
    assert usage["Images"][0]["Containers"] == 1
    assert usage["Containers"][0]["SizeRw"] == 10
    assert usage["Volumes"][0]["UsageData"] == {"Size": 0, "RefCount": 0}
    assert set(client.get("/system/df?type=volume")) == {"Volumes"}


def test_plugins_are_reported_with_their_problems(client: Any) -> None:
    good, bad = client.get("/pyke/plugins")
    assert (good["Name"], good["Problem"]) == ("good", "")
    assert bad["Problem"] == "Traceback: no"


def test_a_plugins_route_gets_plain_data_and_answers(client: Any) -> None:
    connection = client.connection()
    connection.request("POST", "/pyke/greet/you/there?a=1&a=2", b"hi")
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (201, ["POST", "/you/there", {"a": "1"}, "hi"])
    connection.close()


def test_a_plugin_that_crashes_fails_its_own_requests_and_leaks_nothing(client: Any) -> None:
    status, body, _ = client.request("GET", "/pyke/crash/x")
    assert status == 500
    assert "secret" not in json.dumps(body)
    assert body["hint"].startswith("tail ")
    assert client.request("GET", "/pyke/liar")[0] == 500
    assert client.request("GET", "/pyke/nosuch")[0] == 404
    assert client.request("GET", "/_ping")[0] == 200


def _until(condition: Any) -> None:
    for _ in range(100):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen within 5 s")
