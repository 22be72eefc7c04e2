"""Layers made of Debian's packages, on a Debian or Ubuntu machine and without installing anything: for images like those of Docker Hub.

    packages = DebianPackages(directory)
    base = packages.layer(["bash", "coreutils"])
    redis = packages.layer(["redis-server"], {"etc/motd": b"hello"})        # without what is in `base`

A package's files are unpacked with dpkg; its maintainer scripts do not run, so that users, links and configuration are up to the caller.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyke.testing.images import MTIME, Node, Tree, layer

PROGRAMS = ("apt-get", "dpkg-deb", "tar")
PATIENCE = 120.0  # seconds for a download
# What packages depend on for the sake of their maintainer scripts alone.
SCRIPTS = re.compile(
    r"(adduser|debconf|dpkg|gcc-12-base|init-system-helpers|libaudit.*|libdb5.3|libdebconf.*|libgdbm.*|libpam.*|libsemanage.*|libsepol.*"
    r"|lib.*-perl|libperl.*|logsave|lsb-base|mime-support|media-types|passwd|perl.*|sysvinit-utils|tar|tzdata|usrmerge)\Z"
)
_URI = re.compile(r"'[^']+' ([a-z0-9][a-z0-9+.-]*)_\S+\.deb ")
MERGED = ("bin", "lib", "lib64", "sbin")  # links into usr, as Debian has them


def missing() -> str:
    """What this machine lacks, as a reason to skip a test; "" where nothing does."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        return f"no {', '.join(lacking)} on this machine"
    known = subprocess.run(["apt-cache", "show", "gosu"], capture_output=True, check=False)
    return "" if known.returncode == 0 else "no packages to download: apt-get update"


class DebianPackages:
    """Packages that are downloaded once, to a directory of one's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._status = directory / "status"
        directory.mkdir(parents=True, exist_ok=True)
        self._status.touch()
        # As if nothing were installed; and what is known of all packages is read once, for images of Debian keep no cache of it.
        places = {"State::status": self._status, "Cache": directory, "Cache::pkgcache": "known", "Cache::srcpkgcache": "sources"}
        settings = [*(f"Dir::{name}={place}" for name, place in places.items()), "Debug::NoLocking=1", "APT::Sandbox::User=root"]
        self._options = [f"--option={each}" for each in settings]
        self._packed: set[str] = set()

    def layer(self, names: Sequence[str], files: Tree | None = None) -> bytes:
        """A plain tar of these packages and of all that they need and the first layer does not have, and then of `files`."""
        wanted = [name for name in self._closure(names) if name not in self._packed]
        root = self._directory / "+".join(names)[:200]
        for name in MERGED if not self._packed else ():
            (root / "usr" / name).mkdir(parents=True)
        for archive in self._downloaded(wanted):
            subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
        _merge(root)
        self._packed = self._packed or set(wanted)  # the first layer is what all others stand on
        links: Mapping[str, Node] = {}
        if len(self._packed) == len(wanted):
            links = {name: Node(b"2", link=f"usr/{name}", mode=0o777) for name in MERGED}
        options = ["--create", "--numeric-owner", "--sort=name", f"--mtime=@{MTIME}", "--directory", str(root), "."]
        packed = subprocess.run(["tar", *options], capture_output=True, check=True).stdout
        shutil.rmtree(root)
        return _without_end(packed) + layer({**links, **(files or {})})

    def _closure(self, names: Sequence[str]) -> list[str]:
        """The names of all packages that would have to be installed on a machine without any."""
        options = [*self._options, "--no-install-recommends", "--print-uris"]  # of what no cache holds
        listed = subprocess.run(["apt-get", *options, "--yes", "install", *names], capture_output=True, text=True, check=True).stdout
        return [name for name in _URI.findall(listed) if not SCRIPTS.match(name) or name in names]

    def _downloaded(self, names: Sequence[str]) -> list[Path]:
        folder = self._directory / "downloads"
        folder.mkdir(exist_ok=True)
        missing = [name for name in names if not list(folder.glob(f"{name}_*.deb"))]
        if missing:
            command = ["apt-get", *self._options, "download", *missing]
            subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE, check=True)
        return [next(folder.glob(f"{name}_*.deb")) for name in names]


def _merge(root: Path) -> None:
    """Move what packages still have in /bin and /lib to where those lead."""
    for name in MERGED:
        if (root / name).is_dir():
            subprocess.run(["cp", "--archive", "--link", "--force", f"{root / name}/.", root / "usr" / name], check=True)
            shutil.rmtree(root / name)


def _without_end(tar: bytes) -> bytes:
    """A tar whose end is not marked, so that another may follow: GNU tar fills its last record with zeros."""
    end = len(tar.rstrip(b"\0"))
    return tar[: -(-end // 512) * 512]
