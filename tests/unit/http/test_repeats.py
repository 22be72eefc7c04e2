"""A client whose engine was killed asks the next one again: what was done is not done twice, and no failure."""

from __future__ import annotations

import time
from typing import Any

import pytest

REPEATED = {"X-Pyke-Repeats": "1"}  # long ago: everything has been done since


def again(client: Any, method: str, path: str, body: Any = None, first: int = 1) -> int:
    """The status of a request that is made a second time; the first time was at `first` (ns)."""
    return int(client.request(method, path, body, {"X-Pyke-Repeats": str(first)})[0])


def status_of(client: Any, name: str) -> tuple[str, str]:
    state = client.get(f"/containers/{name}/json")["State"]
    return state["Status"], state["StartedAt"]


@pytest.mark.parametrize("path", ["start", "restart"])
def test_what_was_started_is_not_started_again(client: Any, path: str) -> None:
    client.create(name="c1")
    client.post("/containers/c1/start")
    before = status_of(client, "c1")
    assert again(client, "POST", f"/containers/c1/{path}") == 204
    assert status_of(client, "c1") == before
    assert again(client, "POST", f"/containers/c1/{path}", first=time.time_ns()) in (204, 304)


def test_a_command_that_has_been_obeyed_is_no_failure(client: Any) -> None:
    id = client.create(name="c1")
    client.post("/containers/c1/start")
    for path in ("pause", "unpause", "kill"):
        client.post(f"/containers/c1/{path}")
        assert again(client, "POST", f"/containers/c1/{path}") == 204
    assert client.request("POST", "/containers/c1/kill")[0] == 409
    client.post("/containers/c1/rename?name=c2")
    assert again(client, "POST", "/containers/c1/rename?name=c2") == 204
    client.request("DELETE", "/containers/c2")
    assert again(client, "DELETE", f"/containers/{id}") == 204
    assert client.request("DELETE", f"/containers/{id}")[0] == 404


def test_what_never_was_is_missed_as_ever(client: Any) -> None:
    client.create(name="c1")
    client.create(name="other")
    client.post("/containers/c1/rename?name=c2")
    client.request("DELETE", "/containers/c2")
    for path in ("start", "stop", "pause", "kill", "rename?name=other"):
        assert again(client, "POST", f"/containers/nosuch/{path}") == 404
    for path in ("containers", "images", "networks", "volumes"):
        assert again(client, "DELETE", f"/{path}/nosuch") == 404
    assert again(client, "DELETE", "/containers/c2", first=time.time_ns()) == 404, "it was gone before it was asked for"


def test_whoever_removes_an_image_again_is_told_what_went(client: Any) -> None:
    told = client.request("DELETE", "/images/busybox")
    assert told[0] == 200 and told[1][0].keys() == {"Untagged"}
    assert client.request("DELETE", "/images/busybox", None, REPEATED)[:2] == told[:2]
    assert client.request("DELETE", "/images/busybox")[0] == 404
    assert again(client, "DELETE", "/images/busybox", first=time.time_ns()) == 404, "it was gone before it was asked for"
    assert again(client, "DELETE", "/images/other") == 404


def test_a_container_whose_id_the_client_chose_is_made_once(client: Any) -> None:
    id, body = "ab" * 32, {"Image": "busybox", "Cmd": ["true"]}
    path = f"/containers/create?name=c1&id={id}"
    assert client.post(path, body)["Id"] == id
    status, found, _ = client.request("POST", path, body, REPEATED)
    assert (status, found["Id"]) == (201, id)
    assert client.request("POST", path, body)[0] == 409
    assert len(client.get("/containers/json?all=1")) == 1
