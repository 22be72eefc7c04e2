"""The routes of a container's files, on an engine in memory."""

from __future__ import annotations

import base64
import json
from typing import Any

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import FILE

TAR = header(b"x", FILE, 3) + b"abc" + padding(3) + END


def stat_of(headers: Any) -> Any:
    return json.loads(base64.b64decode(headers["x-docker-container-path-stat"]))


def test_an_archive_goes_in_and_comes_out(client: Any, engine: Any) -> None:
    id = client.create(name="box")
    assert client.request("PUT", "/containers/box/archive?path=/tmp", TAR)[:2] == (200, b"")
    assert engine.files.contents == {(id, "/tmp/x"): b"abc"}
    status, body, headers = client.request("GET", "/v1.41/containers/box/archive?path=/tmp/x")
    assert (status, headers["content-type"]) == (200, "application/x-tar") and b"abc" in body
    assert stat_of(headers) == {"name": "x", "size": 3, "mode": 0o644, "mtime": "2026-01-01T00:00:00Z", "linkTarget": ""}
    assert engine.files.downloads[-1].is_closed


def test_looking_has_a_head_and_no_body(client: Any) -> None:
    client.create(name="box")
    client.request("PUT", "/containers/box/archive?path=/", TAR)
    status, body, headers = client.request("HEAD", "/containers/box/archive?path=/x")
    assert (status, body, stat_of(headers)["size"]) == (200, b"", 3)
    assert client.request("HEAD", "/containers/box/archive?path=/nosuch")[:2] == (404, b"")
    status, body, _ = client.request("GET", "/containers/box/archive?path=/nosuch")
    assert (status, body["message"]) == (404, "Could not find the file /nosuch in container box")


def test_changes_and_export(client: Any, engine: Any) -> None:
    client.create(name="box")
    assert client.get("/containers/box/changes") is None  # as Docker says that there are none
    client.request("PUT", "/containers/box/archive?path=/", TAR)
    assert client.get("/containers/box/changes") == [{"Path": "/x", "Kind": 1}]
    status, body, headers = client.request("GET", "/containers/box/export")
    assert (status, headers["content-type"]) == (200, "application/octet-stream") and b"abc" in body
    assert engine.files.downloads[-1].is_closed


def test_what_a_client_leaves_half_read_is_closed(client: Any, engine: Any) -> None:
    client.create(name="box")
    engine.files.contents[engine.containers.get("box").id, "/big"] = bytes(8 << 20)
    connection = client.socket()
    connection.sendall(b"GET /containers/box/export HTTP/1.1\r\nHost: d\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    connection.close()
    for _ in range(1000):
        if engine.files.downloads and engine.files.downloads[-1].is_closed:
            break
        client.get("/_ping")
    assert engine.files.downloads[-1].is_closed


def test_commit_takes_the_container_s_configuration_and_what_the_request_says(client: Any, engine: Any) -> None:
    client.create(name="box", Env=["A=1"], Labels={"l": "1"})
    query = "container=box&repo=made&tag=1&comment=msg&author=me&changes=USER%20me&changes=EXPOSE%2080&pause=0"
    made = client.post(f"/commit?{query}", {"env": ["B=2"], "Tty": True})
    image = engine.images.get("made:1")
    assert made == {"Id": image.id} and (image.author, image.comment) == ("me", "msg")
    asked = engine.files.commits[-1]
    assert (asked["changes"], asked["pause"], asked["reference"]) == (["USER me", "EXPOSE 80"], False, "made:1")
    assert asked["config"] == {"Env": ["B=2"], "Tty": True}
    assert "A=1" in asked["inherited"]["Env"] and asked["inherited"]["Cmd"] == ["sleep", "300"]
    assert asked["inherited"]["Labels"] == {"from": "image", "l": "1"}
    client.post("/commit?container=box")
    assert (engine.files.commits[-1]["pause"], engine.files.commits[-1]["reference"]) == (True, "")
    assert client.request("POST", "/commit?container=nosuch")[0] == 404
