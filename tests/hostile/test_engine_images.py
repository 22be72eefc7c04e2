"""Archives that lie, through `load` and `import` of the whole engine: refused with a reason, or unpacked into nothing but themselves."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import CHARACTER, DIRECTORY, FIFO, FILE, HARD_LINK, SYMBOLIC_LINK
from pyke.testing import images
from pyke.testing.witness import TEXT, Witness

LAST = b"last/file"


def entry(name: str, kind: bytes = FILE, content: bytes = b"", link: str = "", **fields: object) -> bytes:
    head = header(os.fsencode(name), kind, len(content), link=os.fsencode(link), **fields)  # type: ignore[arg-type]
    return head + content + padding(len(content))


def base() -> bytes:
    return images.layer(images.busybox_tree())


def attacks(host: str) -> Mapping[str, bytes]:
    """Layers, each of which tries to write to, or to read from, the directory `host` of the host."""
    up = "../" * 30
    link, evil = SYMBOLIC_LINK, b"owned"
    return {
        "dots": entry(f"{up}{host}/new", content=evil),
        "dots inside": entry(f"a/{up}{host}/new", content=evil),
        "absolute": entry(f"{host}/new", content=evil),
        "link as parent": entry("a", link, link=host) + entry("a/new", content=evil),
        "relative link": entry("a", link, link=f"{up}{host}") + entry("a/new", content=evil),
        "link to a link": entry("a", link, link="b") + entry("b", link, link=host) + entry("a/new", content=evil),
        "directory becomes link": entry("a/", DIRECTORY) + entry("a", link, link=host) + entry("a/new", content=evil),
        "file through a link": entry("a", link, link=f"{host}/../canary") + entry("a", content=evil),
        "hard link": entry("a", HARD_LINK, link=f"{host}/../canary"),
        "hard link up": entry("a", HARD_LINK, link=f"{up}{host}/../canary"),
        "hard link to a link": entry("a", link, link=f"{host}/../canary") + entry("b", HARD_LINK, link="a") + entry("b", content=evil),
        "whiteout of dots": entry(".wh..."),
        "whiteout of nothing": entry(".wh."),
        "whiteout through a link": entry("a", link, link=f"{host}/..") + entry("a/.wh.canary"),
        "opaque link": entry("a", link, link=host) + entry("a/.wh..wh..opq"),
        "whiteout above": entry(f"{up}{host}/../.wh.canary"),
        "fifo": entry("etc/passwd", FIFO) + entry("etc/passwd", content=b"root:x:0:0::/:/bin/sh\n"),
        "device": entry("disk", CHARACTER, device=(1, 1)) + entry("disk", content=evil),
        "whiteout device": entry("bin", CHARACTER, device=(0, 0)),
        "long name": entry("a/" + "x" * 300, content=evil),
        "long path": entry("a/" * 2500 + "x", content=evil),
        "bad bytes": entry(os.fsdecode(b"\xff\xfe/\x1b[31m"), content=evil),
        "overlay attribute": entry("a/", DIRECTORY, xattrs={b"trusted.overlay.redirect": host.encode()}),
        "capability": entry("a", content=evil, xattrs={b"security.capability": b"x" * 9000}),
        "exabyte": header(b"a", FILE, 1 << 60),
        "negative": header(b"a", FILE, 0)[:124] + b"\xff" * 12 + header(b"a", FILE, 0)[136:],
        "cut off": entry("a", content=b"x" * 5000)[:2000],
    }


ATTACKS = [("load", name) for name in attacks("/")]
ATTACKS += [("import", name) for name in ("dots", "link as parent", "hard link", "whiteout through a link", "exabyte", "cut off")]


@pytest.mark.parametrize(("way", "attack"), ATTACKS)
def test_a_layer_reaches_nothing_but_its_own_tree(siege: Witness, attack: str, way: str, tmp_path: Path) -> None:
    engine = siege.engine
    evil = attacks(str(siege.directory / "empty"))[attack] + END
    if way == "load":
        done = siege.load(images.docker_archive(["evil:latest"], [base(), evil]))
    else:
        archive = tmp_path / "evil.tar"
        archive.write_bytes(base().removesuffix(END) + evil)
        done = engine.pyke("import", str(archive), "evil:latest")
    if done.status:
        assert "Traceback" not in done.stderr and "defect" not in done.stderr and len(done.stderr.strip().splitlines()) <= 2, done.stderr
        return
    shown = engine.pyke("run", "--rm", "--network", "none", "evil", "/bin/busybox", "sh", "-c", f"cat a {siege.canary} /a/canary; true")
    assert TEXT not in shown.stdout
    engine.ok("rmi", "-f", "evil")


def archive(**files: bytes) -> bytes:
    return images.layer({name.replace("__", "/").replace("_json", ".json"): content for name, content in files.items()})


def manifests() -> Mapping[str, bytes]:
    """Archives whose documents lie; the layers are honest."""
    layer = base()
    config = images.configuration([layer])
    name = "0" * 64

    def docker(manifest: object, text: bytes = config) -> bytes:
        return images.layer({"manifest.json": json.dumps(manifest).encode(), "c.json": text, f"{name}/layer.tar": layer})

    def configured(**changes: object) -> bytes:
        return docker(
            [{"Config": "c.json", "RepoTags": ["evil:latest"], "Layers": [f"{name}/layer.tar"]}],
            json.dumps({**json.loads(config), **changes}).encode(),
        )

    return {
        "no list": docker({"Config": "c.json"}),
        "null": docker(None),
        "list of null": docker([None]),
        "config as a path": docker([{"Config": "../../../../etc/passwd", "Layers": [f"{name}/layer.tar"]}]),
        "layer as a path": docker([{"Config": "c.json", "Layers": ["/etc/passwd"]}]),
        "too few layers": docker([{"Config": "c.json", "Layers": []}]),
        "tags that are paths": docker([{"Config": "c.json", "RepoTags": ["../../etc:x"], "Layers": [f"{name}/layer.tar"]}]),
        "tags with control characters": docker([{"Config": "c.json", "RepoTags": ["a\x1b[31m\nb:c"], "Layers": [f"{name}/layer.tar"]}]),
        "deep": images.layer({"manifest.json": b"[" * 200_000 + b"]" * 200_000}),
        "half": images.layer({"manifest.json": b'[{"Config":'}),
        "another diff ID": configured(rootfs={"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}),
        "diff ID as a path": configured(rootfs={"type": "layers", "diff_ids": ["sha256:../../../../../../etc"]}),
        "diff IDs of null": configured(rootfs={"type": "layers", "diff_ids": [None]}),
        "command of null": configured(config={"Cmd": [None]}),
        "volume above": configured(config={"Volumes": {"/../../etc": {}}}),
        "numbers for strings": configured(config={"User": 0, "WorkingDir": 7}),
        "trailing data": docker([{"Config": "c.json", "RepoTags": ["evil"], "Layers": [f"{name}/layer.tar"]}]) + b"x" * 5000,
        "digest in an index": archive(
            oci_layout=b"{}",
            index_json=json.dumps({"manifests": [{"mediaType": "x", "digest": "sha256:../../../etc/passwd", "size": 1}]}).encode(),
        ),
        "nothing": END,
        "not a tar": b"\x7fELF" + os.urandom(5000),
        "a huge document": images.layer({"manifest.json": b" " * (5 << 20) + b"[]"}),
    }


@pytest.mark.parametrize("lie", manifests())
def test_documents_that_lie_are_refused_and_leave_nothing(siege: Witness, lie: str) -> None:
    root = Path(siege.engine.layout.root)
    before = {place: sorted(os.listdir(root / place)) for place in ("overlay/layers", "oci/blobs/sha256")}
    done = siege.load(manifests()[lie])
    if done.status == 0:
        assert lie in ("trailing data", "no list", "null") and siege.engine.pyke("rmi", "evil").stderr.count("Traceback") == 0
        return
    assert "Traceback" not in done.stderr and "defect" not in done.stderr and len(done.stderr.strip().splitlines()) <= 2, done.stderr
    assert {place: sorted(os.listdir(root / place)) for place in before} == before


def test_no_history_is_fine(siege: Witness) -> None:
    done = siege.load(images.docker_archive(["evil"], [base()], history=None))
    assert done.status == 0, done.stderr
    assert siege.engine.ok("run", "--rm", "evil", "echo", "runs") == "runs"
    siege.engine.ok("history", "evil")


def test_megabytes_of_variables_and_labels(siege: Witness) -> None:
    """They are kept, and shown, and do not grow with every event."""
    engine = siege.engine
    many = {f"label{number}": "x" * 1000 for number in range(2500)}
    assert (
        siege.load(images.docker_archive(["large"], [base()], {"Labels": many, "Env": ["PATH=/bin", "BIG=" + "x" * 500_000]})).status == 0
    )
    for _ in range(3):
        done = engine.pyke("run", "--rm", "--network", "none", "large", "true")
        assert done.status in (125, 126) and "argument list too long" in done.stderr.lower(), done.stderr
    assert len(engine.ok("inspect", "-f", "{{json .Config.Labels}}", "large")) > 2_500_000
    assert Path(engine.layout.database).stat().st_size < 64 << 20
    engine.ok("rmi", "-f", "large")


def test_a_gzip_bomb_is_stopped_before_the_disk_is_full(siege: Witness, tmp_path: Path) -> None:
    """Zeros by the gigabyte in a few megabytes: more than its compression may make of it."""
    path = tmp_path / "bomb.tar.gz"
    block = gzip.compress(bytes(64 << 20), 9)
    with open(path, "wb") as file:
        file.write(gzip.compress(header(b"zeros", FILE, 8 << 30)))
        for _ in range(64):
            file.write(block)
    done = siege.engine.pyke("import", str(path), "bomb")
    assert done.status == 1 and "Traceback" not in done.stderr, done.stderr
    free = os.statvfs(siege.engine.layout.root)
    assert free.f_bavail * free.f_frsize > 100 << 20


def test_concatenated_and_foreign_compressions(siege: Witness, tmp_path: Path) -> None:
    """Members of gzip after one another are one stream; a sparse member of Python's tarfile is read as what it says, or refused."""
    whole = base()
    path = tmp_path / "parts.tar.gz"
    path.write_bytes(gzip.compress(whole[:1_000_000]) + gzip.compress(whole[1_000_000:]))
    siege.engine.ok("import", str(path), "parts")
    assert siege.engine.ok("run", "--rm", "parts", "/bin/echo", "whole") == "whole"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        sparse = tarfile.TarInfo("sparse")
        sparse.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": str(1 << 60),
            "GNU.sparse.name": "sparse",
        }
        tar.addfile(sparse)
    done = siege.load(images.docker_archive(["sparse"], [base(), buffer.getvalue()]))
    assert "Traceback" not in done.stderr and "defect" not in done.stderr
