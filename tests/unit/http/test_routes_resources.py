"""Stats, update and why, over the API of an engine in memory."""

from __future__ import annotations

import json
import time
from typing import Any

from pyke.model import Limits, RestartPolicy


def test_a_sample_alone_has_nothing_before_it(client: Any) -> None:
    id = client.create(name="c1")
    client.post("/containers/c1/start")
    found = client.get("/containers/c1/stats?stream=0&one-shot=1")
    assert (found["id"], found["name"], found["preread"]) == (id, "/c1", "0001-01-01T00:00:00Z")
    assert found["precpu_stats"] == {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }
    assert found["cpu_stats"]["cpu_usage"]["percpu_usage"] == [500000000, 500000000]
    assert (found["cpu_stats"]["system_cpu_usage"], found["cpu_stats"]["online_cpus"]) == (10**11, 2)
    assert found["memory_stats"]["limit"] == 64 << 20 and found["memory_stats"]["stats"]["total_inactive_file"] == 1 << 20
    assert found["pids_stats"] == {"current": 2}
    assert found["networks"]["eth0"]["tx_bytes"] == 1000
    assert found["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "Read", "value": 2000}]


def test_one_answer_without_a_stream_has_two_samples_in_it(client: Any) -> None:
    client.create(name="c1")
    client.post("/containers/c1/start")
    before = time.monotonic()
    found = client.get("/containers/c1/stats?stream=false")
    assert time.monotonic() - before > 0.9
    assert found["preread"] < found["read"] and "system_cpu_usage" in found["precpu_stats"]


def test_a_container_that_does_not_run_uses_nothing(client: Any) -> None:
    client.create(name="c1")
    before = time.monotonic()
    found = client.get("/containers/c1/stats?stream=false")
    assert time.monotonic() - before < 0.9
    assert (found["read"], found["memory_stats"], found["pids_stats"]) == ("0001-01-01T00:00:00Z", {}, {})


def test_a_stream_goes_on_until_the_client_leaves(client: Any) -> None:
    client.create(name="c1")
    client.post("/containers/c1/start")
    connection = client.connection()
    connection.request("GET", "/containers/c1/stats")
    response = connection.getresponse()
    first, second = (json.loads(response.readline()) for _ in range(2))
    assert first["read"] == second["preread"] < second["read"]
    connection.close()


def test_an_update_changes_what_it_names(client: Any, engine: Any) -> None:
    client.create(name="c1", HostConfig={"Memory": 64 << 20, "PidsLimit": 5})
    wish = {"CpuShares": 256, "PidsLimit": -1, "RestartPolicy": {"Name": "always"}, "KernelMemory": 10 << 20}
    assert "KernelMemory" in client.post("/containers/c1/update", wish)["Warnings"][0]
    spec = engine.containers.get("c1").spec
    assert spec.limits == Limits(memory=64 << 20, memory_swap=128 << 20, cpu_shares=256, pids=0)
    assert spec.restart == RestartPolicy("always")
    client.post("/containers/c1/update", {"MemorySwap": 256 << 20})
    assert engine.containers.get("c1").spec.limits.memory_swap == 256 << 20
    assert engine.containers.get("c1").spec.restart == RestartPolicy("always")


def test_an_update_is_checked_as_a_creation_is(client: Any) -> None:
    client.create(name="c1")
    status, body, _ = client.request("POST", "/containers/c1/update", {"Memory": 1024})
    assert (status, body["message"]) == (400, "Minimum memory limit allowed is 6MB")
    status, body, _ = client.request("POST", "/containers/c1/update", {"RestartPolicy": {"Name": "sometimes"}})
    assert status == 400 and "sometimes" in body["message"]


def test_why_is_a_story_and_what_to_type_next(client: Any) -> None:
    id = client.create(name="c1")
    assert client.get("/pyke/containers/c1/why") == {"Story": [f"c1 ({id[:12]}) has never run."], "Next": ["pyke start c1"]}
    assert client.request("GET", "/pyke/containers/nosuch/why")[0] == 404
