"""Images that are too much: bombs, documents and indexes without end, sizes and digests that lie. Refused, and nothing is lost by it.

What registries do besides (credentials, HTTP) is in test_registries.py, what lies in layers in test_engine_images.py and test_layers.py.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import DIRECTORY, FIFO, FILE, HARD_LINK, SYMBOLIC_LINK
from pyke.testing import images, store
from pyke.testing.engine import Finished, TestEngine
from pyke.testing.patience import remaining
from pyke.testing.processes import children
from pyke.testing.registry import CONFIG, INDEX, LAYER, MANIFEST, Exchange, PlayRegistry, digest_of

MIB, GIB = 1 << 20, 1 << 30
MOST_MEMORY = 150 * MIB  # that a process of the engine may ever have
PATIENCE = 40.0  # seconds that a refusal may take
TINY = images.layer({"a": b"tiny"})
BOMB = 4 * GIB  # bytes that the bombs say they unpack to
NOBODY = "sha256:" + "0" * 64


class Peaks:
    """The most memory that each process of an engine has ever had: its own, its nursery's, and those of workers while they last."""

    def __init__(self, engine: TestEngine) -> None:
        self._engine = engine
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="peaks", daemon=True)
        self.found: dict[int, int] = {}  # bytes, by process

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.005):
            self._take(self._engine.engine_pid())

    def _take(self, pid: int) -> None:
        with contextlib.suppress(OSError, IndexError):
            text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            self.found[pid] = int(text.partition("VmHWM:")[2].split()[0]) << 10
            for child in children(pid):
                self._take(child)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    root = tmp_path_factory.mktemp("limits") / "root"
    root.mkdir()
    (root / "config.yaml").write_text(json.dumps({"registries": {"silence": 1, "attempts": 2}}))
    with TestEngine(root) as engine:
        engine.load_busybox()  # the processes that unpack are there before the first test is looked at
        engine.ok("rmi", "busybox")
        yield engine


@pytest.fixture
def engine(running: TestEngine) -> Iterator[TestEngine]:
    """An engine, with the limits that everybody has, which survives the attack, stays small and keeps nothing of it."""
    pid = running.engine_pid()
    with Peaks(running) as peaks:
        yield running
        started = time.monotonic()
        running.ok("ps")
        assert time.monotonic() - started < 1.5
    assert running.engine_pid() == pid and pid in peaks.found
    assert max(peaks.found.values()) < MOST_MEMORY, peaks.found
    assert not running.ok("images", "-aq")
    running.ok("image", "prune", "-f")
    left = remaining(lambda: store.faults(running))  # what lies in the trash is being deleted
    assert not left, left


@pytest.fixture
def registry() -> Iterator[PlayRegistry]:
    with PlayRegistry() as registry:
        yield registry


def refused(engine: TestEngine, *arguments: str, words: str = "") -> Finished:
    """A command that must fail with one line and a hint, soon, and not by a defect."""
    done = engine.pyke(*arguments, timeout=PATIENCE)
    lines = done.stderr.splitlines()
    assert done.status == 1 and [line[:8] for line in lines] == ["pyke: " + lines[0][6:8], "  hint: "], done
    assert "defect" not in done.stderr and "Traceback" not in done.stderr and len(done.stderr) < 1500
    assert done.stderr.isprintable() or all(line.isprintable() for line in lines)
    assert words in lines[0], done.stderr
    return done


def refused_pull(engine: TestEngine, registry: PlayRegistry, words: str = "") -> None:
    refused(engine, "pull", f"{registry.host}/app:1", words=words)


def refused_load(engine: TestEngine, path: Path, *pieces: bytes, words: str = "") -> None:
    """`load` of an archive made of these pieces, or of what is at `path` already."""
    if pieces:
        path.write_bytes(b"".join(pieces))
    refused(engine, "load", "-i", str(path), words=words)
    path.unlink()


def entry(name: str, content: bytes = b"", kind: bytes = FILE, link: str = "") -> bytes:
    return header(os.fsencode(name), kind, len(content), link=os.fsencode(link)) + content + padding(len(content))


def document(blob: bytes, diff_id: str = NOBODY, **lies: object) -> tuple[bytes, dict[str, object]]:
    """A configuration for one layer, and a manifest for both."""
    config = json.loads(images.configuration([]))
    text = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": []}).encode()
    layer = {"mediaType": LAYER, "digest": digest_of(blob), "size": len(blob), **lies}
    described = {"mediaType": CONFIG, "digest": digest_of(text), "size": len(text)}
    return text, {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [layer]}


def serve(registry: PlayRegistry, blob: bytes, diff_id: str = NOBODY, **lies: object) -> None:
    """Let the registry have that image as app:1."""
    text, manifest = document(blob, diff_id, **lies)
    registry.put_blob("app", text)
    registry.put_blob("app", blob)
    registry.put_manifest("app", "1", manifest)


def oci_layout(blobs: list[bytes], index: object) -> bytes:
    files = {f"blobs/sha256/{digest_of(each)[7:]}": each for each in blobs}
    return images.layer({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(), **files})


def listed(content: bytes, media_type: str = MANIFEST, **lies: object) -> dict[str, object]:
    """A list of manifests with one in it."""
    one = {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **lies}
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]}


def docker_list(**changes: object) -> bytes:
    return json.dumps([{"Config": "c.json", "RepoTags": ["evil:1"], "Layers": ["l"], **changes}]).encode()


# bombs


def _gzip(head: bytes, size: int) -> bytes:
    block = gzip.compress(bytes(64 * MIB), 9)
    return gzip.compress(head) + block * (size // (64 * MIB))


def _zstd(head: bytes, size: int) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    buffer = io.BytesIO()
    zeros = bytes(MIB)
    with zstandard.ZstdCompressor().stream_writer(buffer, closefd=False) as writer:
        writer.write(head)
        for _ in range(size // MIB):
            writer.write(zeros)
    return buffer.getvalue()


BOMBS = {"gzip": _gzip, "zstd": _zstd}


@functools.cache
def bomb(compression: str, name: str) -> bytes:
    """A tar with one file of zeros."""
    return BOMBS[compression](header(os.fsencode(name), FILE, BOMB), BOMB)


@pytest.mark.parametrize("compression", BOMBS)
def test_a_bomb_in_a_pull(engine: TestEngine, registry: PlayRegistry, compression: str) -> None:
    serve(registry, bomb(compression, "zeros"))
    refused_pull(engine, registry, "times its size")


@pytest.mark.parametrize("compression", BOMBS)
def test_a_bomb_as_an_archive(engine: TestEngine, tmp_path: Path, compression: str) -> None:
    refused_load(engine, tmp_path / "bomb", bomb(compression, "l"), words="times its size")


@pytest.mark.parametrize("compression", BOMBS)
def test_a_bomb_in_an_archive(engine: TestEngine, tmp_path: Path, compression: str) -> None:
    blob = bomb(compression, "zeros")
    text, manifest = document(blob)
    content = json.dumps(manifest).encode()
    refused_load(engine, tmp_path / "bomb", oci_layout([blob, text, content], listed(content)), words="times its size")


def test_a_layer_that_wants_a_window_of_128_mib(engine: TestEngine, registry: PlayRegistry, tmp_path: Path) -> None:
    """As `zstd --ultra -22` makes it: whoever wants such layers says so."""
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    blob = compressor.compress(TINY) + compressor.flush()
    serve(registry, blob, digest_of(TINY))
    refused_pull(engine, registry, "a window of 134217728 bytes, more than 33554432")
    text, manifest = document(blob, digest_of(TINY))
    content = json.dumps(manifest).encode()
    done = engine.pyke("load", "-i", _written(tmp_path / "archive", oci_layout([blob, text, content], listed(content))))
    assert "a window of 134217728 bytes" in done.stderr and done.stderr.endswith("# archives.max_window\n")


def _written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


# documents


def endless(part: str, size: int, sent: list[int]) -> Callable[[Exchange], None]:
    """Answer what has `part` in its path with so many bytes of JSON; `sent` tells how many went."""

    def answer(exchange: Exchange) -> None:
        if part not in exchange.seen.path or exchange.seen.method != "GET":
            return
        exchange.reply(200, b"{", {"Content-Type": MANIFEST}, length=size)
        try:
            for _ in range(size // MIB):
                sent[0] += exchange.handler.wfile.write(b" " * MIB)
        finally:
            exchange.cut()

    return answer


@pytest.mark.parametrize("what", ["manifests", "config"])
def test_a_gigabyte_of_a_document_in_a_pull(engine: TestEngine, registry: PlayRegistry, what: str) -> None:
    serve(registry, gzip.compress(TINY))
    config = json.loads(registry.manifests["app", "1"][1])["config"]["digest"]
    sent = [0]
    registry.answer = endless("/manifests/" if what == "manifests" else config, GIB, sent)
    refused_pull(engine, registry)
    assert sent[0] < 64 * MIB


@pytest.mark.parametrize("name", ["manifest.json", "index.json", "repositories"])
def test_a_gigabyte_of_a_document_in_an_archive(engine: TestEngine, tmp_path: Path, name: str) -> None:
    path = tmp_path / "archive"
    with path.open("wb") as file:
        file.write(header(os.fsencode(name), FILE, GIB))
        file.truncate(512 + GIB + len(END))
    refused_load(engine, path, words="more than 4194304 bytes")


def test_a_configuration_that_is_too_large_in_an_archive(engine: TestEngine, tmp_path: Path) -> None:
    text = images.configuration([TINY])[:-1] + b" " * (5 * MIB) + b"}"
    files = {"manifest.json": docker_list(), "c.json": text, "l": TINY}
    refused_load(engine, tmp_path / "archive", images.layer(files), words="more than 4194304 bytes")


SWARMS = {"lists": b"[]", "objects": b'{"a":0}', "numbers": b"1e9", "names": b""}


def swarm(kind: str) -> bytes:
    """A document of 4 MB, of which JSON makes a hundred times as much."""
    if kind == "names":
        return b"{" + b",".join(b'"%x":{}' % number for number in range(350_000)) + b"}"
    return b'{"a":[' + b",".join([SWARMS[kind]] * (4_100_000 // (len(SWARMS[kind]) + 1))) + b"]}"


@pytest.mark.parametrize("kind", SWARMS)
def test_a_document_of_a_million_values(engine: TestEngine, registry: PlayRegistry, tmp_path: Path, kind: str) -> None:
    registry.put_manifest("app", "1", swarm(kind))
    refused_pull(engine, registry, "values")
    files = {"manifest.json": docker_list(), "c.json": swarm(kind), "l": TINY}
    refused_load(engine, tmp_path / "archive", images.layer(files), words="values")


def test_many_large_manifests_beside_an_archive(engine: TestEngine, tmp_path: Path) -> None:
    """They are looked through for one that fits an image, and not kept."""
    _, manifest = document(gzip.compress(TINY))
    several = [
        json.dumps({**manifest, "layers": [], "a": "x" * (4 * MIB - 1000), "config": {"digest": NOBODY[:-4] + f"{each:04}"}}).encode()
        for each in range(60)
    ]
    descriptors = [entry for each in several for entry in listed(each)["manifests"]]  # type: ignore[attr-defined]
    archive = oci_layout(several, {"manifests": descriptors}).removesuffix(END)
    refused_load(engine, tmp_path / "archive", archive, entry("manifest.json", docker_list()), END, words="no file")


# indexes


def nested(depth: int) -> list[bytes]:
    """An index in an index in an index."""
    contents = [json.dumps(document(gzip.compress(TINY))[1]).encode()]
    for level in range(depth):
        contents.append(json.dumps(listed(contents[-1], INDEX if level else MANIFEST)).encode())
    return contents


def test_indexes_nested_fifty_deep(engine: TestEngine, registry: PlayRegistry, tmp_path: Path) -> None:
    contents = nested(50)
    for number, content in enumerate(contents):
        registry.put_manifest("app", str(50 - number + 1), content, INDEX if number else MANIFEST)
    refused_pull(engine, registry, "deeper than")
    assert registry.count("GET", "/manifests/") < 10
    refused_load(engine, tmp_path / "archive", oci_layout(contents, listed(contents[-1], INDEX)), words="deeper than")


def test_an_index_that_names_itself(engine: TestEngine, registry: PlayRegistry, tmp_path: Path) -> None:
    """No content has its own digest in it, so it is the registry that has to lie, or a link in the archive."""
    text = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": INDEX, "digest": NOBODY, "size": 100}]}).encode()
    registry.put_manifest("app", "1", text, INDEX)
    registry.manifests["app", NOBODY] = registry.manifests["app", "1"]
    refused_pull(engine, registry, f"verification failed for digest {NOBODY}")
    assert registry.count("GET", "/manifests/") < 5
    link = entry(f"blobs/sha256/{NOBODY[7:]}", kind=HARD_LINK, link="index.json")
    refused_load(engine, tmp_path / "archive", entry("index.json", text), link, END, words=f"does not hold the blob {NOBODY}")


# sizes and digests


@pytest.mark.parametrize("change", [-7, -1, 1, 7 * MIB])
def test_a_layer_longer_or_shorter_than_said(engine: TestEngine, registry: PlayRegistry, tmp_path: Path, change: int) -> None:
    blob = gzip.compress(TINY)
    serve(registry, blob, digest_of(TINY), size=len(blob) + change)
    refused_pull(engine, registry)
    text, manifest = document(blob, digest_of(TINY), size=len(blob) + change)
    content = json.dumps(manifest).encode()
    refused_load(engine, tmp_path / "archive", oci_layout([blob, text, content], listed(content)), words="bytes")


@pytest.mark.parametrize("change", [-1, 1])
def test_a_configuration_longer_or_shorter_than_said(engine: TestEngine, registry: PlayRegistry, tmp_path: Path, change: int) -> None:
    blob = gzip.compress(TINY)
    serve(registry, blob, digest_of(TINY))
    text, manifest = document(blob, digest_of(TINY))
    manifest["config"] = {"mediaType": CONFIG, "digest": digest_of(text), "size": len(text) + change}
    registry.put_manifest("app", "1", manifest)
    refused_pull(engine, registry)
    content = json.dumps(manifest).encode()
    refused_load(engine, tmp_path / "archive", oci_layout([blob, text, content], listed(content)), words="bytes")


def test_blobs_under_the_names_of_others(engine: TestEngine, tmp_path: Path) -> None:
    """The name of a file in an archive says nothing: what counts is what it holds."""
    blob = gzip.compress(TINY)
    text, manifest = document(blob, digest_of(TINY))
    content = json.dumps(manifest).encode()
    good = oci_layout([blob, text, content], listed(content))
    for each in (blob, text, content):
        evil = good.replace(each, each[:-1] + bytes([each[-1] ^ 1]))
        refused_load(engine, tmp_path / "archive", evil, words=f"does not hold the blob {digest_of(each)}")


# too many


def test_thousands_of_layers(engine: TestEngine, registry: PlayRegistry, tmp_path: Path) -> None:
    registry.put_image("app", "1", [TINY] * 5000)
    refused_pull(engine, registry, "5000 layers, more than 500")
    files = {"manifest.json": docker_list(Layers=["l"] * 5000), "c.json": images.configuration([TINY] * 5000), "l": TINY}
    refused_load(engine, tmp_path / "archive", images.layer(files), words="5000 layers, more than 500")


def test_thousands_of_members_and_images(engine: TestEngine, tmp_path: Path) -> None:
    members = [entry(f"{number}") for number in range(21_000)]
    refused_load(engine, tmp_path / "members", *members, END, words="more than 20000")
    files = {"manifest.json": json.dumps(json.loads(docker_list()) * 1001).encode(), "c.json": images.configuration([TINY]), "l": TINY}
    refused_load(engine, tmp_path / "images", images.layer(files), words="1001 images, more than 1000")


# members

SHADOW = "../" * 30 + "etc/shadow"
NAMED = entry("manifest.json", docker_list())
MEMBERS: dict[str, bytes] = {
    "a list that is a link to the host's file": entry("manifest.json", kind=SYMBOLIC_LINK, link=SHADOW),
    "a list that is a hard link to the host's file": entry("manifest.json", kind=HARD_LINK, link="/etc/shadow"),
    "a list that is a link to itself": entry("manifest.json", kind=SYMBOLIC_LINK, link="manifest.json"),
    "links in a circle": entry("manifest.json", kind=SYMBOLIC_LINK, link="a") + entry("a", kind=SYMBOLIC_LINK, link="./manifest.json"),
    "a configuration that is a link": NAMED + entry("c.json", kind=SYMBOLIC_LINK, link="/etc/passwd") + entry("l", TINY),
    "a layer below a link": entry("manifest.json", docker_list(Layers=["d/shadow"]))
    + entry("c.json", images.configuration([TINY]))
    + entry("d", kind=SYMBOLIC_LINK, link="/etc"),
    "a list that is a pipe": entry("manifest.json", kind=FIFO),
    "a list that is a directory": entry("manifest.json", kind=DIRECTORY),
    "names above and absolute": entry(SHADOW, b"x") + entry("/etc/shadow", b"x") + entry("a/../../../b", b"x"),
    "a name that draws": entry("\x1b[2J\n\r", b"x") + entry("manifest.json", docker_list(Config="\x1b[2J\r\n")),
    "an exabyte": header(b"manifest.json", FILE, 1 << 60),
    "a negative size": header(b"l", FILE, 0)[:124] + b"\xff" * 12 + header(b"l", FILE, 0)[136:],
    "a size that is no number": header(b"l", FILE, 0)[:124] + b"12345678x\0\0\0" + header(b"l", FILE, 0)[136:],
    "a size that swallows the rest": header(b"l", FILE, 1 << 20) + NAMED,
    "a header of a gigabyte": header(b"././@PaxHeader", b"x", GIB) + bytes(4096),
    "a long name of a gigabyte": header(b"././@LongLink", b"L", GIB) + b"x" * 4096,
    "a size in a header that is another": header(b"x", b"x", 19) + b"19 size=9999999999\n" + padding(19) + entry("manifest.json", b"[]"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_hostile_members(engine: TestEngine, tmp_path: Path, case: str) -> None:
    refused_load(engine, tmp_path / "archive", MEMBERS[case], END)
