"""Docker's library for Python as a client of pyke's socket: the calls that programs are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pyke.testing import images
from pyke.testing.engine import TestEngine

if TYPE_CHECKING:
    import docker
else:
    docker = pytest.importorskip("docker")


def connected(engine: TestEngine) -> contextlib.closing[Any]:
    return contextlib.closing(docker.DockerClient(base_url=f"unix://{engine.layout.socket}", version="auto"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with TestEngine(tmp_path_factory.mktemp("docker-py") / "root") as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "busybox", "true")  # what the first container starts lives as long as the engine
        with connected(engine) as client:
            yield client


def test_the_engine_answers(client: Any) -> None:
    assert client.ping()
    assert client.version()["Os"] == "linux"
    assert client.info()["Images"] == 1 and len(client.info()["ID"]) > 10
    assert client.df()["BuildCache"] == []


def test_a_command_is_run_and_its_output_returned(client: Any) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    both = client.containers.run("busybox", ["sh", "-c", "echo out; echo err >&2"], remove=True, stdout=True, stderr=True)
    assert sorted(both.splitlines()) == [b"err", b"out"]
    with pytest.raises(docker.errors.ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "exit 3"], remove=True)
    assert caught.value.exit_status == 3


def test_what_is_missing_is_an_error_of_its_own(client: Any) -> None:
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nosuch")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nosuch")
    with pytest.raises(docker.errors.APIError) as caught:
        client.containers.create("busybox", name="bad name")
    assert caught.value.status_code == 400


def test_the_life_of_a_container(client: Any) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo up; exec sleep 60"], name="life", labels={"who": "me"}, detach=True)
    assert container.status == "created"
    container.reload()
    assert (container.status, container.name, container.labels) == ("running", "life", {"who": "me"})
    assert [each.name for each in client.containers.list(filters={"label": "who=me"})] == ["life"]
    assert next(iter(container.logs(stream=True, follow=True))) == b"up\n"
    assert container.exec_run(["sh", "-c", "echo $A; exit 4"], environment={"A": "5"}) == (4, b"5\n")
    assert any("sleep 60" in " ".join(row) for row in container.top()["Processes"])
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("renamed")
    container.kill()
    assert container.wait() == {"StatusCode": 137}
    container.start()
    container.stop(timeout=0)
    container.remove()
    assert client.containers.list(all=True) == []


def test_bytes_go_in_and_out_of_an_attached_container(client: Any) -> None:
    container = client.containers.create("busybox", ["cat"], stdin_open=True)
    connection = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    connection._sock.sendall(b"through\n")
    assert connection._sock.recv(8) == b"\x01\0\0\0\0\0\0\x08"
    assert connection._sock.recv(8) == b"through\n"
    connection._sock.close()
    container.remove(force=True)


def test_attaching_without_a_stream_tells_what_was_printed(client: Any) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo out; sleep 0.2; echo err >&2"], detach=True)
    container.wait()
    assert container.attach(logs=True) == b"out\nerr\n"
    assert container.attach(logs=True, demux=True, stderr=False) == (b"out\n", None)
    assert container.attach() == b""
    assert b"".join(container.logs(stream=True, tail=1, stdout=True, stderr=True)) == b"err\n"
    container.remove()


def test_a_commit_keeps_what_it_does_not_change(client: Any) -> None:
    container = client.containers.create("busybox", ["true"], environment={"A": "1", "B": "2"}, labels={"a": "1"})
    image = container.commit("made", "1", message="said", author="me", conf={"Env": ["B=3"], "Labels": {"b": "2"}}, changes="USER 1")
    config = image.attrs["Config"]
    assert {"A=1", "B=3"} <= set(config["Env"]) and "B=2" not in config["Env"]
    assert (config["Labels"], config["Cmd"], config["User"]) == ({"a": "1", "b": "2"}, ["true"], "1")
    assert (image.attrs["Comment"], image.attrs["Author"], image.tags) == ("said", "me", ["made:1"])
    image.remove()
    image = container.commit("made", "2", changes=['ENTRYPOINT ["sh"]', "ENV C=4"])
    assert (image.attrs["Config"]["Entrypoint"], image.attrs["Config"]["Cmd"]) == (["sh"], None)  # which was for another entry point
    assert image.attrs["Config"]["Env"][:2] == ["C=4", "A=1"]
    container.remove()
    image.remove()


@pytest.mark.parametrize("ask", ["nodes.list", "services.list", "secrets.list", "configs.list"])
def test_what_only_a_swarm_has_is_refused_as_by_an_engine_outside_of_one(client: Any, ask: str) -> None:
    collection, method = ask.split(".")
    with pytest.raises(docker.errors.APIError, match="This node is not a swarm manager") as caught:
        getattr(getattr(client, collection), method)()
    assert caught.value.status_code == 503
    with pytest.raises(docker.errors.NotFound, match='plugin "x" not found'):
        client.plugins.get("x")


def test_images_are_listed_tagged_saved_loaded_and_removed(client: Any) -> None:
    (busybox,) = client.images.list()
    assert busybox.tags == ["busybox:latest"]
    assert busybox.tag("example/bb", "1")
    assert client.images.get("example/bb:1").id == busybox.id
    saved = b"".join(busybox.save(named=True))
    client.images.remove("example/bb:1")
    assert [each.id for each in client.images.load(saved)] == [busybox.id]
    assert len(busybox.history()) == 1
    (loaded,) = client.images.load(images.docker_archive(["other:1"], [images.layer({"file": b"content"})]))
    client.images.remove(loaded.id)
    with pytest.raises(docker.errors.ImageLoadError, match="archive"):
        client.images.load(b"no archive")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("other:1")


def test_networks_and_volumes(busybox: TestEngine) -> None:
    with connected(busybox) as client:
        _use_networks_and_volumes(client)


def _use_networks_and_volumes(client: Any) -> None:
    network, volume = client.networks.create("n1", labels={"a": "b"}), client.volumes.create("v1")
    mounted = {"v1": {"bind": "/data", "mode": "rw"}}
    client.containers.run("busybox", ["touch", "/data/file"], volumes=mounted, network="n1", remove=True)
    assert client.containers.run("busybox", ["ls", "/data"], volumes=mounted, remove=True) == b"file\n"
    container = client.containers.run("busybox", ["sleep", "60"], detach=True)
    network.connect(container, aliases=["there"])
    container.reload()
    assert set(container.attrs["NetworkSettings"]["Networks"]) == {"bridge", "n1"}
    network.disconnect(container)
    container.remove(force=True)
    assert [each.name for each in client.networks.list(names=["n1"])] == ["n1"]
    assert volume.name in [each.name for each in client.volumes.list()]
    network.remove()
    volume.remove()
    assert client.volumes.prune() == {"VolumesDeleted": [], "SpaceReclaimed": 0}


def test_events_tell_what_happened(client: Any) -> None:
    container = client.containers.run("busybox", ["true"], detach=True)
    container.wait()
    told = client.events(since=0, until=2**31, decode=True, filters={"container": container.id, "type": "container"})
    assert [event["Action"] for event, _ in zip(told, range(2), strict=False)] == ["create", "start"]
    told.close()
    container.remove()
