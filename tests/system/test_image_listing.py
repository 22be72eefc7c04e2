"""How images are listed: as a tree, filtered, in an order that stays, and what `system df` says that they take."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.images import docker_archive, layer
from pyke.testing.registry import PlayRegistry

OLD, NEW = "2020-05-05T05:05:05Z", "2025-05-05T05:05:05.5Z"


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[TestEngine]:
    """Images of three ages: `old`, `busybox` and `even` of the same moment, and `new` with labels and two names."""
    with TestEngine(tmp_path / "root", {"HOME": str(tmp_path)}) as engine:
        engine.load_busybox()
        archive = tmp_path / "archive.tar"
        for names, created, labels in (
            (["old:1"], OLD, {}),
            (["even:1"], "2024-01-01T00:00:00Z", {}),
            (["new:1", "registry.corp:5000/team/new:2"], NEW, {"team": "blue"}),
        ):
            archive.write_bytes(docker_archive(names, [layer({names[0]: b"x" * 5000})], {"Labels": labels}, created=created))
            engine.ok("load", "-i", str(archive))
        yield engine


def names(engine: TestEngine, *flags: str) -> list[str]:
    return engine.ok("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", *flags).split()


def test_images_are_filtered(listed: TestEngine) -> None:
    new = ["new:1", "registry.corp:5000/team/new:2"]
    everything = [*new, "busybox:latest", "even:1", "old:1"]
    assert names(listed) == everything
    assert names(listed, "--filter", "until=2024-06-01") == ["busybox:latest", "even:1", "old:1"]
    assert names(listed, "--filter", "until=24h") == everything
    assert names(listed, "--filter", "until=2020-01-01T00:00:00Z") == []
    assert names(listed, "--filter", "before=busybox") == ["old:1"]
    assert names(listed, "--filter", "since=busybox") == new
    assert names(listed, "--filter", "label=team=blue", "--filter", "reference=*/team/*") == new[1:]
    assert names(listed, "--filter", "label=team=red") == []
    listed.ok("rmi", "--no-prune", "old:1")
    listed.ok("create", "--name", "user", "even:1", "true")
    listed.ok("rmi", "-f", "even:1")
    assert names(listed, "--filter", "dangling=true") == []
    assert names(listed, "--filter", "dangling=false") == [*new, "busybox:latest"]
    refused = listed.pyke("image", "ls", "--filter", "color=red")
    assert refused.status == 1 and "color" in refused.stderr


def test_images_of_one_age_stay_in_their_order(listed: TestEngine) -> None:
    first = listed.ok("images", "--no-trunc")
    listed.ok("tag", "even:1", "again:1")
    listed.ok("rmi", "again:1")
    listed.stop()
    assert listed.ok("images", "--no-trunc") == first


def test_images_are_shown_as_a_tree(listed: TestEngine) -> None:
    listed.ok("create", "--name", "user", "--network", "none", "busybox", "true")
    head, *lines = listed.ok("image", "ls", "--tree").splitlines()[2:]
    assert re.split(r"\s{3,}", head) == ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"]
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    assert [row[0] for row in rows if len(row) == 1] == ["new:1"]
    platform = listed.ok("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", "busybox")
    used = rows.index(next(row for row in rows if row[0] == "busybox:latest"))
    assert rows[used][1] == listed.ok("images", "-q", "busybox") and rows[used][-1] == "U"
    assert rows[used + 1][0] == f"└─ {platform}" and rows[used + 1][-1] == "U"
    assert [row[0] for row in rows if row[-1] == "U"] == ["busybox:latest", f"└─ {platform}"]
    refused = listed.pyke("image", "ls", "--tree", "--quiet")
    assert refused.status == 1 and "--quiet is not supported with --tree" in refused.stderr


def test_digests_are_shown(listed: TestEngine) -> None:
    with PlayRegistry() as registry:
        digest = registry.put_image("app", "1", [layer({"a": b"1"})])
        listed.ok("pull", f"{registry.host}/app:1")
        rows = [line.split()[:3] for line in listed.ok("images", "--digests").splitlines()]
        assert [f"{registry.host}/app", "1", digest] in rows and ["busybox", "latest", "<none>"] in rows
        assert "DIGEST" in listed.ok("images", "--digests").splitlines()[0]


def test_what_system_df_says_of_images_is_what_du_finds(listed: TestEngine) -> None:
    """All files of layers and blobs: what directories take themselves is the file system's business."""
    with PlayRegistry() as registry:
        registry.put_image("app", "1", [layer({f"file{number}": bytes([number]) * 70_000 for number in range(9)})])
        listed.ok("pull", f"{registry.host}/app:1")
    said = _asked(listed, "/v1.47/system/df?type=image")["LayersSize"]
    root = Path(listed.layout.root)
    command = ["find", root / "oci", root / "overlay" / "layers", "-type", "f", "-printf", "%i %s\n"]
    found = {
        line.split()[0]: int(line.split()[1])
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    }
    assert abs(said - sum(found.values())) <= 0.02 * said, (said, sum(found.values()))
    listed.ok("image", "prune", "-af")
    assert _asked(listed, "/v1.47/system/df?type=image")["LayersSize"] < 1000  # an index of nothing


def _asked(engine: TestEngine, path: str) -> Any:
    connection = http.client.HTTPConnection("pyke")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.layout.socket)
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer
