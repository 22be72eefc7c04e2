"""A container against `cp`: links exchanged under a copy in either direction, programs planted for a helper, destinations planted here.

CVE-2018-15664 (a link exchanged between resolving and copying), CVE-2019-14271 (a library of the container loaded by the helper), and what
belongs to the same classes.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import CHARACTER, DIRECTORY, FIFO, FILE, HARD_LINK, SYMBOLIC_LINK
from pyke.cli.client import Client
from pyke.errors import PykeError
from pyke.testing.witness import TEXT, Witness

ROUNDS = 8  # of six copies each, while the container exchanges what they are about some hundred times a second
SWAP = "while :; do ln -sfn {target} {path}; rm {path}; mkdir {path}; echo mine > {path}/canary; rm -r {path}; done"


def attacker(siege: Witness, script: str, *flags: str) -> None:
    """A container `evil` that runs a script for as long as it lives."""
    siege.engine.ok("run", "-d", "--name", "evil", "--network", "none", *flags, "busybox", "sh", "-c", f"{script} 2>/dev/null")


def archive(*entries: tuple[bytes, bytes, bytes]) -> bytes:
    """A tar of (name, kind, content or target)."""
    parts = []
    for name, kind, text in entries:
        data, link = (text, b"") if kind == FILE else (b"", text)
        device = (1, 3) if kind == CHARACTER else (0, 0)
        parts += [header(name, kind, len(data), mode=0o4777, link=link, device=device), data, padding(len(data))]
    return b"".join(parts) + END


# --- exchanged links -----------------------------------------------------------------------------------------------


def test_what_is_exchanged_under_a_copy_never_leads_to_the_host(siege: Witness, tmp_path: Path) -> None:
    """Both directions; the exchanged directory named, in the middle of a path, in the middle of a tree; a node whose mode is to be set."""
    swaps = (SWAP.format(path=path, target=siege.directory) for path in ("/swap", "/tree/swap"))
    attacker(siege, f"mkdir -p /tree/a /tree/z; {' & '.join((*swaps, f'while :; do ln -sfn {siege.canary} /pipe; done'))}")
    client = Client(siege.engine.layout)
    mode = siege.canary.stat().st_mode
    for _ in range(ROUNDS):
        for path in ("/swap/canary", "/swap/", "/tree"):
            assert TEXT.encode() not in download(client, path)
        upload(client, "/swap", archive((b"canary", FILE, b"overwritten")))
        upload(client, "/", archive(*((b"tree/swap/canary", FILE, b"overwritten") for _ in range(20))))
        upload(client, "/", archive((b"pipe", FIFO, b"")))
        assert (siege.canary.read_text(), siege.canary.stat().st_mode) == (TEXT, mode)


def download(client: Client, path: str) -> bytes:
    """What the API gives for a path of `evil`: a tar, or less when it was refused or broken off."""
    parts = []
    try:
        reply = client.open("GET", "/containers/evil/archive", {"path": path})
        with closing(reply.connection):
            parts += reply.chunks()
    except (PykeError, ConnectionError):
        parts.append(b"")
    return b"".join(parts)


def upload(client: Client, path: str, content: bytes) -> None:
    """Give the API a tar for a directory of `evil`; a refusal is fine."""
    with suppress(PykeError):
        client.open("PUT", "/containers/evil/archive", {"path": path, "noOverwriteDirNonDir": "1"}, content=[content]).body()


def test_links_of_proc_lead_nowhere(siege: Witness, tmp_path: Path) -> None:
    paths = ("/proc/1/root", "/proc/self/cwd", "/proc/self/exe", "/proc/self/fd/0", "/dev/fd/0", "/proc/thread-self/root")
    links = "; ".join(f"ln -s {path} /link{number}; ln -s {path}{siege.canary} /deep{number}" for number, path in enumerate(paths))
    attacker(siege, f"{links}; touch /ready; sleep 1000", "--pid", "host", "--cap-add", "SYS_PTRACE")
    siege.engine.ok("exec", "evil", "sh", "-c", "until [ -e /ready ]; do sleep 0.05; done")
    client = Client(siege.engine.layout)
    for number, path in enumerate(paths):
        for source in (f"/link{number}/", f"/link{number}{siege.canary}", f"/deep{number}", f"{path}/", f"{path}{siege.canary}"):
            assert TEXT.encode() not in download(client, source)
        for target in (f"/link{number}/", f"/link{number}{siege.directory}", f"{path}{siege.directory}"):
            upload(client, target, archive((b"canary", FILE, b"overwritten")))
    assert siege.canary.read_text() == TEXT


# --- programs and libraries ----------------------------------------------------------------------------------------


def test_nothing_of_the_container_is_loaded_or_run(siege: Witness, tmp_path: Path) -> None:
    """Python's modules, the C library, NSS, tar and decompressors, planted wherever somebody might look for them."""
    version = f"python3.{sys.version_info.minor}"
    planted = [f"/usr/lib/{version}/{name}.py" for name in ("encodings/__init__", "tarfile", "zlib", "bz2", "lzma", "pwd", "site")]
    planted += [
        "/usr/bin/tar",
        "/bin/tar",
        "/usr/bin/unpigz",
        "/usr/bin/xz",
        "/lib/x86_64-linux-gnu/libnss_files.so.2",
        "/etc/nsswitch.conf",
    ]
    planted += ["/etc/ld.so.preload", "/pyke/files/helper.py", "/pyke/__init__.py"]
    environment = ("-e", "LD_PRELOAD=/evil.so", "-e", "PYTHONPATH=/", "-e", "PYTHONSTARTUP=/pyke/__init__.py", "-e", "PYTHONHOME=/usr")
    siege.engine.ok("run", "-d", "--name", "evil", "--network", "none", *environment, "busybox", "sleep", "1000")
    with tarfile.open(tmp_path / "planted.tar.xz", "w:xz") as tar:
        for path in planted:
            member = tarfile.TarInfo(path)
            text = f"#!/bin/sh\necho reached >> {siege.canary}\n".encode()
            member.size, member.mode = len(text), 0o755
            tar.addfile(member, io.BytesIO(text))
    for _ in range(2):  # the second time, all of it is there
        with (tmp_path / "planted.tar.xz").open("rb") as stream:
            subprocess.run(siege.engine.argv("cp", "-", "evil:/"), stdin=stream, check=True)
    siege.engine.ok("cp", "-a", "evil:/usr", str(tmp_path / "usr"))
    assert "A /etc/ld.so.preload" in siege.engine.ok("diff", "evil")
    siege.engine.ok("export", "-o", str(tmp_path / "export"), "evil")
    siege.engine.ok("commit", "evil", "evil:1")
    siege.engine.ok("rm", "-f", "evil")
    siege.engine.ok("rmi", "evil:1")
    assert siege.canary.read_text() == TEXT


# --- archives ------------------------------------------------------------------------------------------------------

ESCAPES = {
    "parent": ((b"../escape", FILE, b"x"),),
    "absolute": ((b"/../../escape", FILE, b"x"),),
    "link-to-directory": ((b"link", SYMBOLIC_LINK, b"HOST"), (b"link/escape", FILE, b"x")),
    "link-to-file": ((b"link", SYMBOLIC_LINK, b"HOST/canary"), (b"link", FILE, b"x")),
    "hard-link": ((b"hard", HARD_LINK, b"../../../../../../../../etc/passwd"), (b"hard", FILE, b"x")),
    "hard-link-over-link": ((b"link", SYMBOLIC_LINK, b"HOST"), (b"hard", HARD_LINK, b"link/canary"), (b"hard", FILE, b"x")),
    "directory-over-link": ((b"link", SYMBOLIC_LINK, b"HOST"), (b"link/", DIRECTORY, b""), (b"link/escape", FILE, b"x")),
    "device": ((b"device", CHARACTER, b""), (b"device", FILE, b"x")),
    "whiteout": ((b".wh.file", FILE, b""), (b".wh..wh..opq", FILE, b"")),
}


def escapes(host: Path) -> Iterator[bytes]:
    """Each of the archives above, aimed at a directory of the host."""
    for entries in ESCAPES.values():
        yield archive(*((path, kind, text.replace(b"HOST", os.fsencode(host))) for path, kind, text in entries))


def test_an_archive_stays_in_the_container(siege: Witness) -> None:
    siege.engine.ok("run", "-d", "--name", "evil", "--network", "none", "busybox", "sleep", "1000")
    client = Client(siege.engine.layout)
    for content in escapes(siege.directory):
        upload(client, "/tmp", content)
    siege.engine.ok("kill", "evil")
    siege.engine.ok("wait", "evil")
    for content in escapes(siege.directory):
        upload(client, "/tmp", content)
    assert "A /tmp/link" in siege.engine.ok("diff", "evil")


def test_a_bomb_is_stopped_by_the_limits(siege: Witness) -> None:
    siege.engine.ok("run", "-d", "--name", "evil", "--network", "none", "--tmpfs", "/t:size=4m", "busybox", "sleep", "1000")
    bomb = header(b"bomb", FILE, 1 << 40) + bytes(8 << 20)
    done = subprocess.run(siege.engine.argv("cp", "-", "evil:/t"), input=bomb, capture_output=True, check=False)
    assert done.returncode == 1 and b"unpacks to more than" in done.stderr
    full = header(b"full", FILE, 8 << 20) + bytes(8 << 20) + END
    done = subprocess.run(siege.engine.argv("cp", "-", "evil:/t"), input=full, capture_output=True, check=False)
    assert done.returncode == 1 and b"no space is left" in done.stderr


# --- planted here --------------------------------------------------------------------------------------------------


@contextmanager
def exchanging(directory: Path, target: Path) -> Iterator[None]:
    """Somebody on the host who exchanges a directory for a link as fast as they can."""
    over = threading.Event()

    def exchange() -> None:
        link = directory.with_name("aside")
        while not over.is_set():
            with suppress(OSError):
                link.symlink_to(target)
            with suppress(OSError):
                shutil.rmtree(directory)
            with suppress(OSError):
                link.rename(directory)
            with suppress(OSError):
                directory.unlink()
            with suppress(OSError):
                directory.mkdir()

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_what_is_planted_in_a_destination_is_not_followed(siege: Witness, tmp_path: Path) -> None:
    script = "mkdir -p /d/sub; echo x > /d/sub/canary; echo x > /d/f"
    siege.engine.ok("run", "--name", "evil", "--network", "none", "busybox", "sh", "-c", script)
    out = tmp_path / "out"
    (out / "d").mkdir(parents=True)
    (out / "d" / "sub").symlink_to(siege.directory)
    (out / "d" / "f").symlink_to(siege.canary)
    done = siege.engine.pyke("cp", "evil:/d", str(out))
    assert done.status == 1 and "cannot overwrite non-directory 'd/sub' with a directory" in done.stderr
    siege.engine.ok("cp", "evil:/d/f", str(out / "d"))
    assert (out / "d" / "f").read_text() == "x\n" and not (out / "d" / "f").is_symlink()
    with exchanging(out / "d" / "sub", siege.directory):
        for _ in range(ROUNDS):
            siege.engine.pyke("cp", "evil:/d", str(out))
    assert siege.canary.read_text() == TEXT


def test_a_link_planted_on_the_host_s_side_of_a_bind_is_not_followed(siege: Witness, tmp_path: Path) -> None:
    """The container's root is the border, also in a directory that the host and the container share."""
    (tmp_path / "shared").mkdir()
    siege.engine.ok("run", "-d", "--name", "evil", "--network", "none", "-v", f"{tmp_path}/shared:/b", "busybox", "sleep", "1000")
    (tmp_path / "shared" / "link").symlink_to(siege.directory)
    (tmp_path / "x").write_text("overwritten\n")
    assert siege.engine.pyke("cp", "evil:/b/link/canary", str(tmp_path / "out")).status == 1
    assert siege.engine.pyke("cp", str(tmp_path / "x"), "evil:/b/link/canary").status == 1
    assert siege.canary.read_text() == TEXT
