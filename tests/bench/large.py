"""A large image, as real ones are: five layers of 450 MB and 22,000 entries, made of what this machine has on its disk.

Sizes of files, depth of directories, links and whiteouts are those of Debian with Python and some Node on top; the content is cut from the
machine's own programs and texts, so that it compresses as such things do. No two seeds have a layer in common: a file system that has just
deleted twenty thousand files is slow for minutes, so that a benchmark may delete nothing and needs other layers in every round.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from pyke.archive.compress import gzipped

MIB = 1 << 20
POOL = 96 * MIB
SOURCES = ("/usr/lib/python3", "/usr/share", "/usr/bin", "/usr/lib")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CONFIG = "application/vnd.docker.container.image.v1+json"


@dataclass(frozen=True)
class Kind:
    """What a layer is like: its megabytes, its files, and the sigma of their sizes (log-normal)."""

    name: str
    megabytes: int
    files: int
    sigma: float
    has_whiteouts: bool = False


KINDS = (
    Kind("usr", 170, 8000, 1.9),
    Kind("usr/lib/python3", 112, 3800, 1.6),
    Kind("usr/lib/site-packages", 152, 5300, 1.7),
    Kind("app/node_modules", 15, 2300, 1.2),
    Kind("var/app", 1, 1000, 0.7, has_whiteouts=True),
)


@dataclass(frozen=True)
class LargeImage:
    """The image: its name, and its plain layers as files."""

    name: str
    layers: tuple[Path, ...]

    @property
    def config(self) -> bytes:
        rootfs = {"type": "layers", "diff_ids": [_digest(layer) for layer in self.layers]}
        return json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]}, "rootfs": rootfs}).encode()

    def write_archive(self, path: Path) -> None:
        """The image as `docker save` writes it."""
        name = hashlib.sha256(self.config).hexdigest() + ".json"
        manifest = [{"Config": name, "RepoTags": [self.name], "Layers": [f"{layer.name}/layer.tar" for layer in self.layers]}]
        with tarfile.open(path, "w") as archive:
            for layer in self.layers:
                archive.add(layer, f"{layer.name}/layer.tar")
            _add(archive, name, self.config)
            _add(archive, "manifest.json", json.dumps(manifest).encode())

    def upload(self, registry: str) -> str:
        """Put the image into a registry, with gzip layers; returns its name there."""
        repository, _, tag = self.name.partition(":")
        client = http.client.HTTPConnection(registry, timeout=60)
        blobs = [b"".join(_gzipped(layer)) for layer in self.layers]
        for blob in (self.config, *blobs):
            _put_blob(client, repository, blob)
        described = [{"mediaType": LAYER, "digest": _digest_of(blob), "size": len(blob)} for blob in blobs]
        config = {"mediaType": CONFIG, "digest": _digest_of(self.config), "size": len(self.config)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
        _send(client, "PUT", f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(), {"Content-Type": MANIFEST})
        client.close()
        return f"{registry}/{self.name}"


def make_image(directory: Path, seed: int) -> LargeImage:
    """Write the layers of an image that has none in common with that of another seed."""
    directory.mkdir(parents=True, exist_ok=True)
    layers = []
    for number, kind in enumerate(KINDS):
        layers.append(directory / f"{seed}-{number}.tar")
        _write_layer(layers[-1], kind, random.Random(seed * len(KINDS) + number))
    return LargeImage(f"large{seed}:1", tuple(layers))


def _write_layer(path: Path, kind: Kind, chance: random.Random) -> None:
    sizes = [chance.lognormvariate(0, kind.sigma) for _ in range(kind.files)]
    scale = kind.megabytes * MIB / sum(sizes)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        directory, last = kind.name, ""
        _node(archive, directory, tarfile.DIRTYPE, mode=0o755)
        for number, size in enumerate(sizes):
            if number % 12 == 0:
                directory = _directory(kind.name, number, chance)
                _node(archive, directory, tarfile.DIRTYPE, mode=0o755)
            name = f"{directory}/{chance.randbytes(4).hex()}.{number}"
            if number % 16 == 7 and last:
                _node(archive, name, tarfile.SYMTYPE, link=os.path.basename(last))
            elif number % 64 == 9 and last:
                _node(archive, name, tarfile.LNKTYPE, link=last)
            else:
                _add(archive, name, _content(int(size * scale), chance), mode=0o4755 if number % 500 == 0 else 0o644)
                last = name
        if kind.has_whiteouts:
            _add(archive, "usr/.wh.share", b"")
            _add(archive, "app/node_modules/.wh..wh..opq", b"")


def _directory(top: str, number: int, chance: random.Random) -> str:
    """A place two to four levels down, after the manner of packages: several directories share their parents."""
    parts = [f"{chance.choice('abcdefgh')}{number // 200}", f"part{number // 60}", f"sub{number // 12}"]
    return "/".join((top, *parts[chance.randrange(2) :]))


def _content(size: int, chance: random.Random) -> bytes:
    """So many bytes of what the machine has, and a line in front that nobody else has."""
    pool = _pool()
    head = chance.randbytes(12).hex().encode() + b"\n"
    start = chance.randrange(len(pool) - size) if size < len(pool) else 0
    return (head + pool[start : start + size])[: max(size, 1)]


@cache
def _pool() -> bytes:
    """Programs and texts in the order of their names, one after the other, a quarter of the pool from each place."""
    parts = [b"".join(_read_below(source, POOL // len(SOURCES))) for source in SOURCES]
    pool = b"".join(parts)
    if len(pool) < POOL // 4:
        raise SystemExit("this machine has too few files below /usr to make an image of")
    return pool * (POOL // len(pool) + 1) if len(pool) < POOL else pool


def _read_below(top: str, wanted: int) -> Iterator[bytes]:
    for directory, directories, files in os.walk(top):
        directories.sort()
        for path in (os.path.join(directory, name) for name in sorted(files)):
            if wanted <= 0:
                return
            if os.path.isfile(path) and not os.path.islink(path):
                data = Path(path).read_bytes()[: min(wanted, 2 * MIB)]
                wanted -= len(data)
                yield data


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), mode, 1_700_000_000
    archive.addfile(member, BytesIO(data))


def _node(archive: tarfile.TarFile, name: str, kind: bytes, *, mode: int = 0o777, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.mtime = kind, mode, link, 1_700_000_000
    archive.addfile(member)


def _gzipped(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from gzipped(file.read)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _put_blob(client: http.client.HTTPConnection, repository: str, data: bytes) -> None:
    place = _send(client, "POST", f"/v2/{repository}/blobs/uploads/", b"")
    target = place + ("&" if "?" in place else "?") + f"digest={_digest_of(data)}"
    _send(client, "PUT", target, data, {"Content-Type": "application/octet-stream"})


def _send(client: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: dict[str, str] | None = None) -> str:
    """Send a request, which must succeed; returns its reply's Location."""
    client.request(method, target, body, headers or {})
    reply = client.getresponse()
    text = reply.read()
    if reply.status >= 400:
        raise SystemExit(f"the registry answered {method} {target} with {reply.status}: {text[:200]!r}")
    return str(reply.headers.get("Location", ""))
