"""Small images made on the spot, the same bytes every time: for tests, demonstrations, and machines without a registry.

    Path("busybox.tar").write_bytes(busybox_image())        pyke load -i busybox.tar

`docker_archive` and `oci_archive` make archives of any files; `busybox_image` one like Docker's official busybox from the static binary
of the machine (Debian: `apt-get install busybox-static`).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import CHARACTER, DIRECTORY, FILE, HARD_LINK, SYMBOLIC_LINK
from pyke.engine.images.platforms import architecture
from pyke.errors import NotFound

CREATED = "2024-01-01T00:00:00Z"
MTIME = 1_704_067_200  # the same, in seconds
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUSYBOX_PLACES = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox-static")


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of a layer. `kind` is a type flag of tar: FILE, DIRECTORY, SYMBOLIC_LINK, HARD_LINK, CHARACTER."""

    kind: bytes = FILE
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME  # seconds
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


Tree = Mapping[str, Node | bytes]


def directory(mode: int = 0o755, **others: Any) -> Node:
    return Node(DIRECTORY, mode=mode, **others)


def executable(content: bytes, mode: int = 0o755, **others: Any) -> Node:
    return Node(FILE, content, mode, **others)


def symbolic_link(target: str) -> Node:
    return Node(SYMBOLIC_LINK, link=target, mode=0o777)


def hard_link(target: str) -> Node:
    return Node(HARD_LINK, link=target, mode=0o755)  # Docker gives the file the mode of its last link


def character_device(major: int, minor: int, mode: int = 0o666) -> Node:
    return Node(CHARACTER, device=(major, minor), mode=mode)


def layer(tree: Tree) -> bytes:
    """A plain tar of these files, in this order. Names are relative ("etc/passwd"); bytes stand for a file of mode 644."""
    pieces = []
    for name, node in tree.items():
        node = Node(content=node) if isinstance(node, bytes) else node
        encoded = os.fsencode(name) + (b"/" if node.kind == DIRECTORY and not name.endswith("/") else b"")
        head = header(
            encoded,
            node.kind,
            len(node.content),
            mode=node.mode,
            uid=node.uid,
            gid=node.gid,
            mtime=node.mtime,
            link=os.fsencode(node.link),
            device=node.device,
            xattrs={os.fsencode(key): value for key, value in node.xattrs.items()},
        )
        pieces += [head, node.content, padding(len(node.content))]
    return b"".join([*pieces, END])


def configuration(layers: Sequence[bytes], config: Mapping[str, Any] | None = None, **others: Any) -> bytes:
    """An image's configuration for plain layers; `config` is what a container starts from, as in the image specification."""
    document = {
        "architecture": architecture(),
        "os": "linux",
        "created": CREATED,
        "config": {"Env": [PATH], "Cmd": ["sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
        "history": [{"created": CREATED, "created_by": f"layer {number}"} for number in range(1, len(layers) + 1)],
        **others,
    }
    return json.dumps(document).encode()


def docker_archive(references: Sequence[str], layers: Sequence[bytes], config: Mapping[str, Any] | None = None, **others: Any) -> bytes:
    """An archive as `docker save` of Docker 20.10 makes it."""
    text = configuration(layers, config, **others)
    names = [f"{digest(each)[7:]}/layer.tar" for each in layers]
    config_name = f"{digest(text)[7:]}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": list(references) or None, "Layers": names}]).encode()
    return layer({**dict(zip(names, layers, strict=True)), config_name: text, "manifest.json": manifest})


def oci_archive(
    references: Sequence[str], layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, compressed: bool = True, **others: Any
) -> bytes:
    """An archive of an OCI layout; each reference becomes an annotation org.opencontainers.image.ref.name."""
    text = configuration(layers, config, **others)
    blobs = [gzip.compress(each, 1, mtime=0) if compressed else each for each in layers]
    kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compressed else "")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(text), "size": len(text)},
            "layers": [{"mediaType": kind, "digest": digest(blob), "size": len(blob)} for blob in blobs],
        }
    ).encode()
    descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest), "size": len(manifest)}
    named = [{**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}} for name in references] or [descriptor]
    files = {f"blobs/sha256/{digest(blob)[7:]}": blob for blob in (*blobs, text, manifest)}
    index = json.dumps({"schemaVersion": 2, "manifests": named}).encode()
    return layer({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **files})


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


# --- busybox -----------------------------------------------------------------------------------------------------------


def busybox_image(reference: str = "busybox:latest") -> bytes:
    """A docker-archive of an image like the official busybox: the static binary, its applets, passwd and group, /tmp."""
    return docker_archive([reference], [layer(busybox_tree())])


def busybox_tree() -> dict[str, Node | bytes]:
    """The files of that image."""
    binary = find_busybox()
    with open(binary, "rb") as file:
        content = file.read()
    directories = ("bin", "dev", "etc", "home", "usr", "usr/bin", "usr/sbin", "var", "var/spool")
    tree: dict[str, Node | bytes] = {name: directory() for name in directories}
    tree["root"] = directory(0o700)
    tree["tmp"] = directory(0o1777)
    tree["var/www"] = directory(uid=33, gid=33)
    tree["var/spool/mail"] = directory(uid=8, gid=8)
    tree["bin/busybox"] = executable(content)
    tree |= {f"bin/{name}": hard_link("bin/busybox") for name in _applets(binary) if name != "busybox"}
    tree["usr/bin/env"] = symbolic_link("../../bin/env")
    return tree | _accounts()


def find_busybox() -> str:
    """The path of a static busybox; `NotFound` says how to install one."""
    places = (os.environ.get("PYKE_TEST_BUSYBOX", ""), *BUSYBOX_PLACES, shutil.which("busybox") or "")
    found = next((place for place in places if place and os.access(place, os.X_OK) and _is_static(place)), "")
    if not found:
        raise NotFound("no static busybox was found on this machine", hint="apt-get install -y busybox-static")
    return found


def _is_static(path: str) -> bool:
    """Whether an ELF program names no interpreter: its program headers (elf(5)) have no PT_INTERP."""
    with open(path, "rb") as file:
        head = file.read(4096)
    offset = int.from_bytes(head[32:40], "little")
    size, count = int.from_bytes(head[54:56], "little"), int.from_bytes(head[56:58], "little")
    starts = range(offset, offset + size * count, size or 1)
    return head[:4] == b"\x7fELF" and all(int.from_bytes(head[start : start + 4], "little") != 3 for start in starts)


def _applets(binary: str) -> list[str]:
    listed = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True, env={"PATH": "/bin"})
    return sorted(set(listed.stdout.split()))


def _accounts() -> dict[str, Node | bytes]:
    passwd = (
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\nsys:x:3:3:sys:/dev:/bin/false\n"
        "sync:x:4:100:sync:/bin:/bin/sync\nmail:x:8:8:mail:/var/spool/mail:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\n"
        "operator:x:37:37:Operator:/var:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
    )
    group = (
        "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nwheel:x:10:root\nwww-data:x:33:\n"
        "operator:x:37:\nusers:x:100:\nnobody:x:65534:\n"
    )
    locked = ("daemon", "bin", "sys", "sync", "mail", "www-data", "operator", "nobody")
    shadow = "root:*:10933:0:99999:7:::\n" + "".join(f"{name}:*:10933:0:99999:7:::\n" for name in locked)
    return {"etc/passwd": passwd.encode(), "etc/group": group.encode(), "etc/shadow": Node(content=shadow.encode(), mode=0o640)}
