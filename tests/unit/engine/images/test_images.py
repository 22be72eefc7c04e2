"""Images: loaded from every kind of archive, named, saved, removed by Docker's rules, and whole after a crash."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.archive.limits import DEFAULT_IMAGE_LIMITS
from pyke.engine.events import Events
from pyke.engine.images import changes as image_changes
from pyke.engine.images import config as image_config
from pyke.engine.images.door import Images
from pyke.engine.images.durability import Unsynced
from pyke.engine.images.registries import Registries
from pyke.engine.locks import Locks
from pyke.engine.state import State
from pyke.errors import BadArchive, Conflict, InvalidRequest, NoSuchImage, NotInstalled
from pyke.model import Caller, Container, ContainerSpec, ContainerState, ImageConfig
from pyke.paths import Layout
from pyke.plugins import Plugins
from pyke.settings import ImageSettings, Settings
from pyke.testing.images import digest, docker_archive, layer, oci_archive

pytest.importorskip("pyke_storage_overlay")
ME = Caller(0, 0, 1)
ONE, TWO = layer({"one": b"1" * 100}), layer({"two": b"2" * 200})


class Rooms:
    """The rooms of an engine that images need, without containers."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.layout = Layout(str(root))
        Path(self.layout.run).mkdir(exist_ok=True)
        self.settings = Settings()
        self.state = State(self.layout.database)
        self.plugins = Plugins(self.layout, self.settings)
        self.hooks = self.plugins.hooks
        self.locks = Locks()
        self.events = Events(self.state)
        self.registries = Registries(self)  # type: ignore[arg-type]
        self.images = Images(self)  # type: ignore[arg-type]
        self.asked: list[tuple[str, str]] = []

    def ready(self) -> None:
        pass

    def authorize(self, caller: Caller, operation: str, object: str = "") -> None:
        self.asked.append((operation, object))

    def close(self) -> None:
        self.images.close()
        self.plugins.close()
        self.state.close()

    def load(self, archive: bytes) -> list[str]:
        return list(self.images.load(io.BytesIO(archive), caller=ME))

    def run(self, image: str, *, id: str = "c" * 64, status: str = "exited") -> Container:
        """A container's record, as the engine keeps it, with its snapshot."""
        found = self.images.get(image)
        container = Container(
            id=id,
            name="some",
            created=1,
            spec=ContainerSpec(image=image),
            image_id=found.id,
            image_name=image,
            image_config=ImageConfig(),
            argv=("sh",),
            storage_driver="overlay",
            hostname="some",
            state=ContainerState(status=status),
        )
        with self.images.in_use(found):
            self.plugins.call("storage", "overlay", "prepare", id, [each.chain_id for each in found.layers])
            self.state.containers.put(container)
        return container

    def has_layer(self, chain_id: str) -> bool:
        return bool(self.plugins.call("storage", "overlay", "has_layer", chain_id))

    def files(self) -> set[str]:
        """What lies on the disk of blobs, layers and half-made things."""
        found = set()
        for place in ("oci/blobs/sha256", "oci/partial", "overlay/layers", "overlay/staging", "overlay/snapshots"):
            path = Path(self.layout.root, place)
            found |= {f"{place}/{name}" for name in os.listdir(path)} if path.exists() else set()
        return found


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    rooms = Rooms(tmp_path / "root")
    yield rooms
    rooms.close()


# --- loading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gzip", "bzip2", "xz"])
@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_an_archive_is_loaded(rooms: Rooms, make: Any, compress: Any) -> None:
    assert rooms.load(compress(make(["user/app:1"], [ONE, TWO], {"User": "me"}))) == ["Loaded image: user/app:1"]
    image = rooms.images.get("user/app:1")
    assert image.tags == ("docker.io/user/app:1",)
    assert image.config.user == "me" and image.config.command == ("sh",)
    assert [each.diff_id for each in image.layers] == [digest(ONE), digest(TWO)]
    assert image.size == 300 and [each.size for each in image.layers] == [100, 200]
    assert all(rooms.has_layer(each.chain_id) for each in image.layers)
    assert rooms.images.get(image.id[7:19]) == rooms.images.get(image.id) == image
    assert [event.action for event in rooms.state.events(0, 1 << 62)] == ["load"]


def test_an_image_without_a_name_is_known_by_its_id(rooms: Rooms) -> None:
    (line,) = rooms.load(docker_archive([], [ONE]))
    assert rooms.images.get(line.removeprefix("Loaded image ID: ")).tags == ()


def test_an_image_id_is_the_digest_of_its_configuration_as_it_came(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a"], [ONE], None, strange={"kept": [1, None]}))
    image = rooms.images.get("a")
    assert digest(rooms.images.content.read(image.id)) == image.id
    assert b'"strange": {"kept": [1, null]}' in rooms.images.content.read(image.id)


def test_an_image_without_layers_is_loaded(rooms: Rooms) -> None:
    rooms.load(docker_archive(["empty"], []))
    assert rooms.images.get("empty").size == 0 and rooms.images.get("empty").chain_id == ""


def test_an_archive_from_before_manifests_is_loaded(rooms: Rooms) -> None:
    lower = {"id": "l1", "created": "2014-01-01T00:00:00Z", "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD"]}}
    upper = {"id": "l2", "parent": "l1", "created": "2015-01-01T00:00:00Z", "os": "linux", "config": {"Cmd": ["old"]}}
    files = {
        "l1/json": json.dumps(lower).encode(),
        "l1/layer.tar": ONE,
        "l2/json": json.dumps(upper).encode(),
        "l2/layer.tar": TWO,
        "repositories": json.dumps({"old": {"1.0": "l2"}}).encode(),
    }
    assert rooms.load(layer(files)) == ["Loaded image: old:1.0"]
    image = rooms.images.get("old:1.0")
    assert image.config.command == ("old",) and len(image.layers) == 2 and len(image.history) == 2


def test_loading_the_same_at_once_ends_right(rooms: Rooms) -> None:
    archive = oci_archive(["same:latest"], [layer({f"f{number}": b"x" * 1000 for number in range(300)}), ONE])
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(rooms.load, [archive] * 4)) == [["Loaded image: same:latest"]] * 4
    assert len(rooms.images.all()) == 1
    assert not [name for name in rooms.files() if "partial/" in name or "staging/" in name]


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"not a tar at all",
        layer({"some": b"file"}),
        layer({"manifest.json": b"["}),
        layer({"manifest.json": b"{}"}),
        layer({"manifest.json": b"[null]"}),
        layer({"manifest.json": b'[{"Config":"missing","Layers":[]}]'}),
        layer({"manifest.json": b'[{"Config":"c","Layers":["gone"]}]', "c": b"{}"}),
        layer({"manifest.json": b'[{"Config":"c","Layers":null,"RepoTags":["UPPER"]}]', "c": b'{"os":"linux"}'}),
        layer(
            {"manifest.json": b'[{"Config":"c","Layers":["l"]}]', "c": b'{"rootfs":{"diff_ids":["sha256:' + b"0" * 64 + b'"]}}', "l": ONE}
        ),
        layer({"manifest.json": b'[{"Config":"c","Layers":["l"]}]', "c": b"{}", "l": ONE}),
        layer({"manifest.json": b'[{"Config":"c"}]', "c": b'{"os":"windows"}'}),
        layer({"manifest.json": b"[" * 100_000}),
        layer({"index.json": b'{"manifests":[{"digest":"sha256:../../etc"}]}'}),
        layer({"index.json": b'{"manifests":[{"digest":"sha256:' + b"0" * 64 + b'"}]}'}),
        docker_archive(["a"], [ONE])[:-2000],
        gzip.compress(docker_archive(["a"], [ONE]))[:-20],
        docker_archive(["a"], [layer({"../escape": b""})]),
        docker_archive(["a"], [ONE, TWO, layer({"../escape": b""})]),
    ],
    ids=lambda archive: str(len(archive)),
)
def test_what_is_no_archive_of_images_is_refused_and_leaves_nothing(rooms: Rooms, archive: bytes) -> None:
    rooms.images.content.ensure()
    with pytest.raises(InvalidRequest):
        rooms.load(archive)
    assert rooms.files() == set() and rooms.images.all() == [] and rooms.state.intents() == []


def test_a_compressed_layer_with_other_content_than_it_should_have_is_refused(rooms: Rooms) -> None:
    archive = oci_archive(["a"], [ONE])
    forged = archive.replace(digest(ONE)[7:].encode(), digest(TWO)[7:].encode())
    with pytest.raises(BadArchive):
        rooms.load(forged)
    assert not rooms.images.all() and not rooms.has_layer(digest(TWO)) and not rooms.has_layer(digest(ONE))


@pytest.mark.parametrize(
    "config",
    [
        {"Cmd": [None]},
        {"Cmd": {"a": 1}},
        {"Cmd": [1]},
        {"Env": "PATH=/bin"},
        {"Env": [["A"]]},
        {"Labels": ["a"]},
        {"Labels": {"a": 1}},
        {"Volumes": {"/../..": {}}},
        {"Volumes": {"relative": {}}},
        {"User": 0},
        {"WorkingDir": ["/"]},
        {"ExposedPorts": "80"},
        {"Healthcheck": {"Test": 1}},
        {"Healthcheck": {"Interval": 1 << 70}},
        {"User": "a\0b"},
    ],
    ids=str,
)
def test_configurations_of_wrong_types_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BadArchive):
        image_config.parse(json.dumps({"config": config}).encode(), DEFAULT_IMAGE_LIMITS)


def test_null_counts_as_absent() -> None:
    text = {
        "history": None,
        "created": None,
        "config": {"Cmd": None, "Env": None, "Labels": None, "Volumes": None},
        "rootfs": {"diff_ids": None},
    }
    image = image_config.parse(json.dumps(text).encode(), DEFAULT_IMAGE_LIMITS)
    assert image.config == ImageConfig() and image.history == () and image.layers == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(
            st.sampled_from(["config", "Cmd", "Env", "rootfs", "diff_ids", "history", "created", "os", "Labels"]), each, max_size=4
        )
    ),
)


@given(JSON)
def test_any_json_is_a_configuration_or_refused(value: Any) -> None:
    try:
        image_config.parse(json.dumps(value).encode(), DEFAULT_IMAGE_LIMITS)
    except InvalidRequest:
        return


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (ImageSettings(max_document=200), "images.max_document"),
        (ImageSettings(max_values=8), "images.max_values"),
        (ImageSettings(max_images=0), "images.max_images"),
        (ImageSettings(max_files=3), "images.max_files"),
    ],
    ids=lambda each: str(each).rpartition(".")[2],
)
@pytest.mark.parametrize("kind", [docker_archive, oci_archive])
def test_what_is_more_than_the_settings_allow_is_refused(
    rooms: Rooms, kind: Callable[..., bytes], settings: ImageSettings, key: str
) -> None:
    """The same archive as with the defaults, and the error names the key that would have let it in."""
    archive = kind(["a"], [ONE, TWO])
    rooms.load(archive)
    rooms.settings = replace(rooms.settings, images=settings)
    with pytest.raises(BadArchive) as caught:
        rooms.load(archive)
    assert caught.value.hint.endswith(f"# {key}")


def test_an_image_is_read_when_the_limits_were_lowered_since(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a"], [ONE, TWO]))
    rooms.settings = replace(rooms.settings, images=ImageSettings(max_document=10, max_values=1))
    image = rooms.images.get("a")
    assert rooms.images.content.document(image.manifest)["layers"] and b"".join(rooms.images.save(["a"]))


# --- importing ---------------------------------------------------------------------------------------------------------


def test_a_tar_is_imported_with_changes(rooms: Rooms) -> None:
    changes = ['CMD ["run", "it"]', "ENV A=1 B='two words'", "EXPOSE 80 53/udp", "LABEL x=y", "USER me", "VOLUME /data", "WORKDIR /srv"]
    image = rooms.images.import_archive(io.BytesIO(gzip.compress(ONE)), reference="mine:1", message="hello", changes=changes, caller=ME)
    config = rooms.images.get("mine:1").config
    assert config.command == ("run", "it") and config.environment == ("A=1", "B=two words") and config.labels == {"x": "y"}
    assert config.exposed_ports == ("53/udp", "80/tcp") and config.volumes == ("/data",) and config.working_directory == "/srv"
    assert image.comment == "hello" and image.layers[0].diff_id == digest(ONE) and rooms.asked[-1] == ("image.import", "mine:1")


@pytest.mark.parametrize(
    "change", ["RUN x", "", "CMD", "ENV", "ENV A", "EXPOSE x", "EXPOSE 0", "EXPOSE 70000", "ONBUILD FROM x", "LABEL a=b c"]
)
def test_changes_that_mean_nothing_are_refused_before_anything_is_read(rooms: Rooms, change: str) -> None:
    stream = io.BytesIO(ONE)
    with pytest.raises(InvalidRequest):
        rooms.images.import_archive(stream, reference="", message="", changes=[change], caller=ME)
    assert stream.tell() == 0


def test_changes_in_the_shells_form_and_onto_what_is_there() -> None:
    config = image_changes.apply(
        {"Env": ["A=old", "B=2"], "WorkingDir": "/a"}, ["ENTRYPOINT echo $A", "ENV A new value", "WORKDIR b", "onbuild RUN x"]
    )
    assert config["Entrypoint"] == ["/bin/sh", "-c", "echo $A"] and config["Env"] == ["A=new value", "B=2"]
    assert config["WorkingDir"] == "/a/b" and config["OnBuild"] == ["RUN x"]


# --- names -------------------------------------------------------------------------------------------------------------


def test_a_name_moves_to_the_image_that_gets_it(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a", "b"], [ONE]))
    rooms.load(docker_archive(["c"], [TWO]))
    rooms.images.tag("c", "a", caller=ME)
    assert rooms.images.get("a").id == rooms.images.get("c").id
    assert rooms.images.get("b").tags == ("docker.io/library/b:latest",)
    index = json.loads(Path(rooms.layout.content, "index.json").read_text())
    names = {each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]}
    assert names == {f"docker.io/library/{name}:latest" for name in "abc"}


@pytest.mark.parametrize(
    ("ref", "words"), [("nosuch", "nosuch:latest"), ("a/b:1", "a/b:1"), ("UPPER", "UPPER"), ("0" * 12, "0" * 12 + ":latest")]
)
def test_what_is_not_there_is_told_in_dockers_words(rooms: Rooms, ref: str, words: str) -> None:
    with pytest.raises(NoSuchImage) as caught:
        rooms.images.get(ref)
    assert caught.value.message == f"No such image: {words}"


def test_pulling_needs_a_plugin(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYKE_DISABLE_PLUGINS", "registry-dockerhub")
    rooms.plugins = Plugins(rooms.layout, rooms.settings)
    with pytest.raises(NotInstalled) as caught:
        rooms.images.pull("redis", platform="", credentials=None, caller=ME)
    assert caught.value.message == "no registry plugin is installed that serves 'docker.io'"
    assert caught.value.hint == "unset PYKE_DISABLE_PLUGINS   # or: pip install pyke-registry-dockerhub"


# --- removing ----------------------------------------------------------------------------------------------------------


def removals(rooms: Rooms, ref: str, **how: Any) -> list[str]:
    return [f"{each.kind} {each.name}" for each in rooms.images.remove(ref, caller=ME, **how)]


def test_the_last_name_takes_the_image_its_layers_and_its_blobs_along(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a", "b"], [ONE, TWO]))
    image = rooms.images.get("a")
    assert removals(rooms, "a") == ["untagged a:latest"]
    chain_ids = [each.chain_id for each in image.layers]
    assert removals(rooms, "b") == ["untagged b:latest", f"deleted {image.id}", f"deleted {chain_ids[1]}", f"deleted {chain_ids[0]}"]
    assert rooms.files() == set() and rooms.images.all() == []


def test_layers_stay_while_another_image_has_them(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a"], [ONE, TWO]))
    rooms.load(docker_archive(["b"], [ONE]))
    rooms.images.remove("a", caller=ME)
    assert rooms.has_layer(digest(ONE)) and len(rooms.plugins.driver("storage", "overlay").layers()) == 1
    assert rooms.images.content.has(digest(ONE)) and not rooms.images.content.has(digest(TWO))


def test_a_container_holds_its_image(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a"], [ONE]))
    container, image = rooms.run("a"), rooms.images.get("a")
    short = image.id[7:19]
    using = f'"a" (must force) - container {container.short_id} is using its referenced image {short}'
    with pytest.raises(Conflict, match="must force") as caught:
        rooms.images.remove("a", caller=ME)
    assert caught.value.message == f"conflict: unable to remove repository reference {using}"
    with pytest.raises(Conflict) as caught:
        rooms.images.remove(short, caller=ME)
    stopped = f"(must be forced) - image is being used by stopped container {container.short_id}"
    assert caught.value.message == f"conflict: unable to delete {short} {stopped}"
    rooms.state.containers.put(replace(container, state=ContainerState(status="running")))
    with pytest.raises(Conflict) as caught:
        rooms.images.remove(short, force=True, caller=ME)
    running = f"(cannot be forced) - image is being used by running container {container.short_id}"
    assert caught.value.message == f"conflict: unable to delete {short} {running}"


def test_layers_of_an_image_removed_by_force_stay_until_its_containers_are_gone(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a"], [ONE]))
    container, image = rooms.run("a"), rooms.images.get("a")
    assert f"deleted {image.id}" in removals(rooms, image.id[7:19], force=True)
    assert rooms.images.all() == [] and rooms.has_layer(digest(ONE))
    with pytest.raises(NoSuchImage):
        rooms.images.get("a")
    rooms.state.containers.delete(container.id)
    rooms.images.collect()
    assert not rooms.has_layer(digest(ONE)) and rooms.state.images.all() == []


def test_an_image_with_several_names_needs_force_to_go_by_id(rooms: Rooms) -> None:
    rooms.load(docker_archive(["a", "b"], [ONE]))
    short = rooms.images.get("a").id[7:19]
    with pytest.raises(Conflict, match=r"\(must be forced\) - image is referenced in multiple repositories"):
        rooms.images.remove(short, caller=ME)
    assert len(removals(rooms, short, force=True)) == 4


def test_an_image_with_children_stays(rooms: Rooms) -> None:
    rooms.load(docker_archive(["parent"], [ONE]))
    rooms.load(docker_archive(["child"], [ONE, TWO]))
    parent = rooms.images.get("parent")
    rooms.state.images.put(replace(rooms.images.get("child"), parent=parent.id))
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image has dependent child images"):
        rooms.images.remove(parent.id, force=True, caller=ME)


def test_prune_takes_what_has_no_name_or_with_all_what_nobody_uses(rooms: Rooms) -> None:
    rooms.load(docker_archive([], [ONE]))
    rooms.load(docker_archive(["kept"], [TWO]))
    rooms.load(docker_archive(["used"], [ONE, TWO]))
    rooms.run("used")
    pruned = rooms.images.prune({}, caller=ME)
    assert len(pruned.deleted) == 1 and len(rooms.images.all()) == 2
    pruned = rooms.images.prune({"dangling": ["false"]}, caller=ME)
    assert pruned.deleted[0] == "kept:latest" and pruned.reclaimed > 200
    assert [image.tags for image in rooms.images.all()] == [("docker.io/library/used:latest",)]


# --- saving ------------------------------------------------------------------------------------------------------------


def test_what_is_saved_can_be_loaded_and_is_the_same(rooms: Rooms, tmp_path: Path) -> None:
    rooms.load(oci_archive(["a:1"], [ONE, TWO]))
    rooms.load(docker_archive(["a:2", "b"], [ONE]))
    archive = b"".join(rooms.images.save(["a", "b"]))
    assert archive == b"".join(rooms.images.save(["a", "b"]))
    other = Rooms(tmp_path / "other")
    assert sorted(other.load(archive)) == ["Loaded image: a:1", "Loaded image: a:2", "Loaded image: b:latest"]
    assert {image.id: image.tags for image in other.images.all()} == {image.id: image.tags for image in rooms.images.all()}
    other.close()


def test_saving_what_is_not_there_is_told_with_its_name_as_given(rooms: Rooms) -> None:
    with pytest.raises(NoSuchImage, match=r"^No such image: nosuch$"):
        next(iter(rooms.images.save(["nosuch"])))


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_the_layout_and_both_sides_of_what_is_saved(rooms: Rooms, tmp_path: Path) -> None:
    rooms.load(oci_archive(["a:1"], [ONE, TWO]))
    (tmp_path / "saved.tar").write_bytes(b"".join(rooms.images.save(["a:1"])))
    for place in (f"oci:{rooms.layout.content}:docker.io/library/a:1", f"docker-archive:{tmp_path}/saved.tar:docker.io/library/a:1"):
        done = subprocess.run(["skopeo", "inspect", "--config", place], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["rootfs"]["diff_ids"] == [digest(ONE), digest(TWO)]
    subprocess.run(["skopeo", "copy", "-q", f"oci-archive:{tmp_path}/saved.tar", f"docker-archive:{tmp_path}/copy.tar:c:1"], check=True)
    assert rooms.load((tmp_path / "copy.tar").read_bytes()) == ["Loaded image: c:1"]


# --- storage drivers that cannot rename a layer ------------------------------------------------------------------------

BARE = """
from pyke.api import Driver, PykeError, hookimpl
from pyke_storage_overlay.driver import OverlayDriver

@hookimpl
def pyke_storage_drivers():
    yield Driver("bare", "pyke_storage_bare:BareDriver", rank=100)

class BareDriver(OverlayDriver):
"""


@pytest.mark.parametrize(
    "renaming",
    [
        "rename_layer = None",
        "def rename_layer(self, chain_id, name, parent): raise PykeError('not today')",
        "def rename_layer(self, chain_id, name, parent): 1 // 0",
    ],
)
def test_layers_are_unpacked_anew_where_they_cannot_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renaming: str) -> None:
    (tmp_path / "site" / "pyke_storage_bare-1.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "site" / "pyke_storage_bare.py").write_text(f"{BARE}    {renaming}\n")
    metadata = tmp_path / "site" / "pyke_storage_bare-1.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pyke-storage-bare\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pyke]\nstorage-bare = pyke_storage_bare\n")
    with contextlib.closing(Rooms(tmp_path / "root")) as rooms:
        assert rooms.images.storage_driver == "bare"
        assert rooms.load(docker_archive(["a"], [ONE, TWO])) == ["Loaded image: a:latest"]
        wanted = {layer.chain_id for layer in rooms.images.get("a").layers}
        assert set(rooms.plugins.call("storage", "bare", "layers")) == wanted
    sys.modules.pop("pyke_storage_bare", None)


# --- after a crash -----------------------------------------------------------------------------------------------------


def test_recover_deletes_what_nobody_needs_and_keeps_the_rest(rooms: Rooms) -> None:
    rooms.load(docker_archive(["kept"], [ONE]))
    rooms.load(docker_archive(["lost"], [TWO]))
    rooms.run("kept")
    before = rooms.files()
    rooms.state.images.delete(rooms.images.get("lost").id)  # as if the engine had died before it was written
    Path(rooms.layout.content, "partial", "dead").mkdir()
    Path(rooms.layout.root, "overlay", "staging", "dead").mkdir()
    Path(rooms.layout.root, "overlay", "snapshots", "d" * 64).mkdir()
    rooms.images.recover()
    assert rooms.files() < before and rooms.has_layer(digest(ONE)) and not rooms.has_layer(digest(TWO))
    assert rooms.load(docker_archive(["lost"], [TWO])) == ["Loaded image: lost:latest"]


def test_layers_that_were_not_on_the_disk_when_power_was_lost_are_unpacked_again(rooms: Rooms) -> None:
    rooms.load(docker_archive(["kept"], [ONE]))
    rooms.load(docker_archive(["lost"], [ONE, TWO]))
    rooms.run("lost")
    chain_id = rooms.images.get("lost").chain_id
    tree = Path(rooms.layout.root, "overlay", "layers", chain_id[7:], "diff")
    for each in tree.rglob("*"):
        if each.is_file():
            each.write_bytes(b"")  # what ext4 leaves of a file that was not written yet
    rooms.state.set_fact("layers-unsynced", json.dumps({chain_id: "another boot of this machine"}))
    rooms.images.recover()
    assert len(rooms.images.all()) == 2 and rooms.has_layer(digest(ONE))
    assert all(each.read_bytes() for each in tree.rglob("*") if each.is_file())
    assert rooms.state.fact("layers-unsynced") == "{}"


def test_what_nobody_uses_waits_for_its_first_container(rooms: Rooms) -> None:
    rooms.load(docker_archive(["lost"], [ONE]))
    rooms.state.set_fact("layers-unsynced", json.dumps({digest(ONE): "another boot of this machine"}))
    rooms.images.recover()
    assert not rooms.has_layer(digest(ONE))
    rooms.run("lost")
    assert rooms.has_layer(digest(ONE))


def test_layers_are_noted_until_they_are_synced(rooms: Rooms) -> None:
    synced = threading.Event()
    rooms.images.unsynced = Unsynced(rooms.state, synced.set, delay=0)
    rooms.load(docker_archive(["a"], [ONE]))
    assert synced.wait(10)
    deadline = time.monotonic() + 10
    while rooms.state.fact("layers-unsynced") != "{}":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_layers_that_another_storage_driver_has_not_are_unpacked_from_their_blobs(rooms: Rooms) -> None:
    rooms.load(oci_archive(["a:latest"], [ONE, TWO]))
    for each in rooms.images.get("a").layers:
        rooms.plugins.call("storage", "overlay", "remove_layer", each.chain_id)
    rooms.run("a")
    assert all(rooms.has_layer(each.chain_id) for each in rooms.images.get("a").layers)
