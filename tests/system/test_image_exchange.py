"""Images go round between pyke, Docker, podman, skopeo and umoci, by registry and as files: the digests stay, and what arrives runs."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.engine.images.platforms import architecture
from pyke.testing.docker_registry import DockerRegistry
from pyke.testing.engine import TestEngine
from pyke.testing.images import busybox_tree, docker_archive, layer, oci_archive
from pyke.testing.peers import DockerPeer, PodmanPeer, missing, run, skopeo

ABSENT = missing("docker", "podman", "skopeo", "umoci", "docker-registry")
pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=ABSENT),
    pytest.mark.timeout(600),
]
APP, GREETING = "example.org/team/app:1", "hello from afar"
LAYERS = [layer(busybox_tree()), layer({"greeting": GREETING.encode()}), layer({"srv/data": bytes(range(256)) * 400})]
CONFIG = {"Cmd": ["cat", "/greeting"], "Labels": {"made": "for travelling"}}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
OTHERS = {"amd64": "arm64"}.get(architecture(), "amd64")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory with a short name: podman takes no other."""
    with tempfile.TemporaryDirectory(prefix="pyke-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def shared(place: Path) -> Iterator[TestEngine]:
    with TestEngine(place / "root", {"HOME": str(place)}) as engine:
        engine.load_busybox()
        engine.ok("run", "--rm", "--network", "none", "busybox", "true")
        yield engine


@pytest.fixture(scope="module")
def registry(place: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(place / "registry") as registry:
        yield registry


@pytest.fixture(scope="module")
def docker(place: Path) -> Iterator[DockerPeer]:
    with DockerPeer(place) as docker:
        yield docker


@pytest.fixture(scope="module")
def podman(place: Path) -> Iterator[PodmanPeer]:
    with PodmanPeer(place) as podman:
        yield podman


@pytest.fixture
def engine(shared: TestEngine, place: Path) -> Iterator[TestEngine]:
    """The engine with `team/app:1`, of three layers, and nothing but that and busybox afterwards."""
    archive = place / "app.tar"
    archive.write_bytes(docker_archive([APP], LAYERS, CONFIG))
    shared.ok("load", "-i", str(archive))
    yield shared
    for name in shared.ok("images", "--format", "{{.ID}}", "--no-trunc").split():
        if name != shared.ok("images", "-q", "--no-trunc", "busybox"):
            shared.pyke("rmi", "-f", name)


def digest_in(output: str) -> str:
    """The last digest that a command printed."""
    return str(DIGEST.findall(output)[-1])


def ran(engine: TestEngine, image: str) -> str:
    return engine.ok("run", "--rm", "--network", "none", image)


def config_of(source: str) -> str:
    """The digest of a configuration as skopeo sees it: it writes one anew when it changes an image's form."""
    return str(json.loads(skopeo("inspect", "--raw", source))["config"]["digest"])


def id_of(engine: TestEngine, image: str) -> str:
    return engine.ok("image", "inspect", "--format", "{{.Id}}", image)


def held_by(registry: DockerRegistry, image: str) -> str:
    """The digest that a registry has for an image, as skopeo computes it."""
    return str(json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/{image}"))["Digest"])


# by registry


def test_what_pyke_pushes_everybody_pulls_and_runs(
    engine: TestEngine, registry: DockerRegistry, docker: DockerPeer, podman: PodmanPeer, place: Path
) -> None:
    name, id = f"{registry.host}/pushed/app:1", id_of(engine, APP)
    engine.ok("tag", APP, name)
    digest = digest_in(engine.ok("push", name))
    assert held_by(registry, "pushed/app:1") == digest
    assert digest_in(docker("pull", name)) == digest and docker.id(name) == id
    assert docker.run_image(name) == GREETING
    podman("pull", "-q", "--tls-verify=false", name)
    assert podman.inspect(name)["Digest"] == digest and podman.id(name) == id
    assert podman.run_image(name) == GREETING
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{place}/copied")
    assert digest_in(run("sha256sum", f"{place}/copied/manifest.json").replace(" ", "\n").join(("sha256:", ""))) == digest


def test_what_docker_pushes_is_pulled_and_goes_back_the_same(engine: TestEngine, registry: DockerRegistry, docker: DockerPeer) -> None:
    docker("load", input=docker_archive([APP], LAYERS, CONFIG))
    docker("tag", APP, f"{registry.host}/from/docker:1")
    digest = digest_in(docker("push", f"{registry.host}/from/docker:1"))
    assert digest_in(engine.ok("pull", f"{registry.host}/from/docker:1")) == digest
    assert ran(engine, f"{registry.host}/from/docker:1") == GREETING
    engine.ok("tag", f"{registry.host}/from/docker:1", f"{registry.host}/back/docker:1")
    assert digest_in(engine.ok("push", f"{registry.host}/back/docker:1")) == digest == held_by(registry, "back/docker:1")


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_podman_and_skopeo_push_is_pulled_and_goes_back_the_same(
    engine: TestEngine, registry: DockerRegistry, podman: PodmanPeer, place: Path, form: str, compression: str
) -> None:
    if (form, compression) == ("v2s2", "zstd"):
        pytest.skip("Docker's schema 2 knows no zstd")
    archive, name = place / "app.tar", f"{registry.host}/from/{form}-{compression}"
    podman("load", "-i", str(archive))
    podman("push", "--tls-verify=false", "--format", form, f"{APP}", f"{name}:podman")
    options = ("--dest-tls-verify=false", "--format", form, "--dest-compress-format", compression, "--dest-compress")
    skopeo("copy", *options, f"docker-archive:{archive}", f"docker://{name}:skopeo")
    for maker in ("podman", "skopeo"):
        digest = held_by(registry, f"from/{form}-{compression}:{maker}")
        assert digest_in(engine.ok("pull", f"{name}:{maker}")) == digest
        assert ran(engine, f"{name}:{maker}") == GREETING
        engine.ok("tag", f"{name}:{maker}", f"{registry.host}/back/{maker}:1")
        assert digest_in(engine.ok("push", f"{registry.host}/back/{maker}:1")) == digest


def test_an_index_of_podman_is_pulled_by_platform(engine: TestEngine, registry: DockerRegistry, podman: PodmanPeer, place: Path) -> None:
    name = f"{registry.host}/many/app:1"
    podman("manifest", "create", "localhost/many")
    for machine in (architecture(), OTHERS):
        archive = place / f"{machine}.tar"
        archive.write_bytes(
            oci_archive([f"localhost/{machine}:1"], [*LAYERS, layer({"machine": machine.encode()})], CONFIG, architecture=machine)
        )
        podman("manifest", "add", "localhost/many", f"oci-archive:{archive}")
    podman("manifest", "push", "--all", "--tls-verify=false", "localhost/many", f"docker://{name}")
    podman("manifest", "rm", "localhost/many")
    digest = digest_in("sha256:" + run("sh", "-c", f"skopeo inspect --raw --tls-verify=false docker://{name} | sha256sum"))
    for platform, machine in ((f"linux/{OTHERS}", OTHERS), ("", architecture())):
        pulled = engine.ok("pull", *(("--platform", platform) if platform else ()), name)
        assert digest_in(pulled) == digest
        found = json.loads(engine.ok("image", "inspect", name))[0]
        assert (found["Architecture"], found["RepoDigests"]) == (machine, [f"{registry.host}/many/app@{digest}"])
    assert engine.ok("run", "--rm", "--network", "none", name, "cat", "/machine") == architecture()
    skopeo(
        "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{name}", f"docker://{registry.host}/many/copy:1"
    )
    assert digest_in(engine.ok("pull", f"{registry.host}/many/copy:1")) == digest


# as files


def test_what_pyke_saves_everybody_loads_and_runs(engine: TestEngine, docker: DockerPeer, podman: PodmanPeer, place: Path) -> None:
    archive, id = place / "saved.tar", id_of(engine, APP)
    engine.ok("save", "-o", str(archive), APP, "busybox")
    assert f"Loaded image: {APP}" in docker("load", "-i", str(archive)) and docker.id(APP) == id
    assert docker.run_image(APP) == GREETING
    podman("load", "-i", str(archive))
    assert podman.id(f"{APP}") == id and podman.run_image(f"{APP}") == GREETING
    for source in (f"docker-archive:{archive}:{APP}", f"docker-archive:{archive}:busybox:latest", f"oci-archive:{archive}:{APP}"):
        assert json.loads(skopeo("inspect", "--config", source))["config"]["Cmd"]


def test_an_image_saved_by_its_id_has_no_name(engine: TestEngine, docker: DockerPeer, place: Path) -> None:
    archive, id = place / "by-id.tar", id_of(engine, APP)
    engine.ok("save", "-o", str(archive), id)
    assert f"Loaded image ID: {id}" in docker("load", "-i", str(archive))
    assert f"Loaded image ID: {id}" in engine.ok("load", "-i", str(archive))
    assert json.loads(skopeo("inspect", "--config", f"docker-archive:{archive}"))["config"]["Labels"] == CONFIG["Labels"]


def test_an_image_of_schema_2_is_found_in_what_was_saved(
    engine: TestEngine, registry: DockerRegistry, docker: DockerPeer, place: Path
) -> None:
    name, archive = f"{registry.host}/schema/two:1", place / "schema.tar"
    skopeo("copy", "--dest-tls-verify=false", "--format", "v2s2", f"docker-archive:{place}/app.tar", f"docker://{name}")
    digest = digest_in(engine.ok("pull", name))
    for source in (f"{engine.layout.content}:{name}", f"{engine.layout.content}:{APP}"):
        assert json.loads(skopeo("inspect", "--config", f"oci:{source}"))["config"]["Labels"] == CONFIG["Labels"]
        assert "layer 3" in run("umoci", "stat", "--image", source)
    engine.ok("save", "-o", str(archive), name, APP)
    assert f"Loaded image: {name}" in docker("load", "-i", str(archive)) and docker.run_image(name) == GREETING
    for source in (f"docker-archive:{archive}:{name}", f"oci-archive:{archive}:{name}"):
        skopeo("copy", "--dest-tls-verify=false", source, f"docker://{registry.host}/schema/copy:1")
        assert json.loads(skopeo("inspect", "--config", "--tls-verify=false", f"docker://{registry.host}/schema/copy:1"))["config"][
            "Labels"
        ]
    engine.ok("rmi", name)
    engine.ok("load", "-i", str(archive))
    engine.ok("tag", name, f"{registry.host}/schema/again:1")
    assert digest_in(engine.ok("push", f"{registry.host}/schema/again:1")) == digest


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_what_docker_and_podman_save_is_loaded(engine: TestEngine, docker: DockerPeer, podman: PodmanPeer, place: Path, form: str) -> None:
    id = id_of(engine, APP)
    docker("load", "-i", str(place / "app.tar"))
    podman("load", "-i", str(place / "app.tar"))
    made = place / f"podman-{form}"
    podman("save", "--format", form, "-o", str(made), f"{APP}")
    docker("save", "-o", str(place / "docker.tar"), APP)
    for path in (made, place / "docker.tar"):
        engine.ok("rmi", "-f", APP)
        loaded = engine.ok("load", "-i", str(path)).split()[-1]
        assert ran(engine, loaded) == GREETING
        assert form != "docker-archive" or id_of(engine, loaded) == id  # podman writes a configuration of OCI's anew
        engine.ok("tag", loaded, APP)


PIPES = [
    ("docker-archive", ""),
    ("docker-archive", "gzip -1"),
    ("docker-archive", "zstd -1"),
    ("docker-archive", "xz -1"),
    ("docker-archive", "bzip2"),
    ("oci-archive", ""),
    ("oci-archive", "zstd -1"),
]


@pytest.mark.parametrize(("form", "packer"), PIPES)
def test_archives_of_skopeo_are_loaded_from_a_pipe(engine: TestEngine, place: Path, form: str, packer: str) -> None:
    if packer and missing(packer.split()[0]):
        pytest.skip(missing(packer.split()[0]))
    path = place / f"skopeo-{form}.tar"
    path.unlink(missing_ok=True)
    skopeo("copy", f"docker-archive:{place}/app.tar", f"{form}:{path}:{APP}")
    engine.ok("rmi", "-f", APP)
    command = f"{packer or 'cat'} < {path} | {' '.join(engine.argv('load'))}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=engine.environment, check=False)
    assert (done.returncode, done.stdout) == (0, f"Loaded image: {APP}\n"), done.stderr
    assert id_of(engine, APP) == config_of(f"{form}:{path}:{APP}") and ran(engine, APP) == GREETING


@pytest.mark.parametrize("compression", ["gzip", "zstd", ""])
def test_directories_of_skopeo_are_loaded(engine: TestEngine, place: Path, compression: str) -> None:
    directory = place / f"layout-{compression}"
    options = ["--dest-compress", "--dest-compress-format", compression] if compression else ["--dest-decompress"]
    skopeo("copy", *options, f"docker-archive:{place}/app.tar", f"oci:{directory}:{APP}")
    engine.ok("rmi", "-f", APP)
    assert engine.ok("load", "-i", str(directory)) == f"Loaded image: {APP}"
    assert id_of(engine, APP) == config_of(f"oci:{directory}:{APP}") and ran(engine, APP) == GREETING


# the store itself


def test_the_store_is_a_layout_that_skopeo_and_umoci_read(engine: TestEngine, docker: DockerPeer, place: Path) -> None:
    layout, name = engine.layout.content, "docker.io/library/busybox:latest"
    manifest = json.loads(skopeo("inspect", "--raw", f"oci:{layout}:{APP}"))
    assert manifest["config"]["digest"] == id_of(engine, APP)
    assert {name, f"{APP}"} <= set(run("umoci", "ls", "--layout", layout).split())
    assert "layer 3" in run("umoci", "stat", "--image", f"{layout}:{APP}")
    run("umoci", "unpack", "--image", f"{layout}:{APP}", str(place / "bundle"))
    assert (place / "bundle" / "rootfs" / "greeting").read_text() == GREETING
    skopeo("copy", f"oci:{layout}:{APP}", f"docker-archive:{place}/from-store.tar:from/store:1")
    docker("load", "-i", str(place / "from-store.tar"))
    assert docker.run_image("from/store:1") == GREETING


def test_what_umoci_makes_is_loaded(engine: TestEngine, place: Path) -> None:
    layout, archive = place / "umoci", place / "umoci.tar"
    skopeo("copy", f"docker-archive:{place}/app.tar", f"oci:{layout}:mine")
    run("umoci", "config", "--image", f"{layout}:mine", "--config.cmd", "echo", "--config.cmd", "from umoci")
    run("umoci", "insert", "--image", f"{layout}:mine", str(place / "app.tar"), "/inserted")
    with tarfile.open(archive, "w") as tar:
        tar.add(layout, ".")
    id = engine.ok("load", "-i", str(archive)).rpartition(" ")[2]
    assert ran(engine, id) == "from umoci"
    assert engine.ok("run", "--rm", "--network", "none", id, "test", "-s", "/inserted") == ""
