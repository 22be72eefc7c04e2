"""The storage driver `overlay`: a layer is a directory, a container's file system an overlay of several.

    HOME/layers/HEX/        one layer, named by its chain ID: `diff` (the tree), `parent` (a chain ID or nothing), `size` (bytes)
    HOME/snapshots/ID/      a container's: `upper`, `work`, and `layers` (the chain IDs that it stands on, topmost last)
    HOME/staging/           what is in the making; nothing in here counts
    HOME/trash/             what was removed, until it is really gone
    HOME/empty/             the bottom of every stack that would otherwise be too short for overlayfs

What is listed was renamed into its place when it was whole, so a crash of the engine leaves only staging and trash behind. The engine
syncs, unless it asks for a durable layer, and knows after a loss of power which layers to remove.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pyke.api import (
    ArchiveLimits,
    DriverHome,
    InvalidRequest,
    LayerRequest,
    LayerStream,
    NotFound,
    RootFilesystem,
    Source,
    StorageDriver,
    extract,
    size_of,
    syncfs,
)
from pyke_storage_overlay.trash import Trash

CHAIN_ID = re.compile(r"sha256:([0-9a-f]{64})\Z")
CONTAINER_ID = re.compile(r"[0-9a-f]{64}\Z")
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_STACK = 500  # OVL_MAX_STACK of the kernel
# A renamed directory or a changed mode must be told by the upper directory alone, or `diff` and `commit` would not see it.
OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")


class OverlayDriver(StorageDriver):
    """Layers unpacked once into directories and stacked by the kernel. Works on ext4, xfs (ftype=1), btrfs and tmpfs."""

    def __init__(self, home: DriverHome) -> None:
        super().__init__(home)
        self._layers = os.path.join(home.directory, "layers")
        self._snapshots = os.path.join(home.directory, "snapshots")
        self._staging = os.path.join(home.directory, "staging")
        self._empty = os.path.join(home.directory, "empty")
        self._trash = Trash(os.path.join(home.directory, "trash"))

    def is_supported(self) -> str:
        if not _kernel_has_overlay():
            return "this kernel has no overlayfs"
        with self._staged("probe") as directory:
            try:
                os.mknod(os.path.join(directory, "whiteout"), stat.S_IFCHR, 0)
                os.setxattr(directory, "trusted.overlay.opaque", b"y")
            except OSError as error:
                return f"{self.home.directory} cannot hold overlayfs's whiteouts: {error.strerror}"
        return ""

    # layers

    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        place = self._layer(layer.chain_id)
        if layer.parent:
            self._layer(layer.parent)
        source = Source(stream.read)
        if not os.path.isdir(place):
            with self._staged(os.path.basename(place)) as staged:
                size = _unpack(layer, source, staged)
                _rename_unless_there(staged, place)
                return size
        for _ in source.rest():
            pass
        return self._layer_size(place)

    def has_layer(self, chain_id: str) -> bool:
        return os.path.isdir(self._layer(chain_id))

    def layers(self) -> Sequence[str]:
        return [f"sha256:{name}" for name in _names(self._layers)]

    def rename_layer(self, chain_id: str, name: str, parent: str) -> None:
        place, target = self._existing(chain_id), self._layer(name)
        if parent:
            self._layer(parent)
        _write(os.path.join(place, "parent"), parent)
        _rename_unless_there(place, target)
        self._trash.take(place)

    def remove_layer(self, chain_id: str) -> None:
        place = self._layer(chain_id)
        self._trash.take(place)
        for name in _names(self._staging):
            if name.startswith(f"{os.path.basename(place)}."):  # of a process that was killed while it added the layer
                self._trash.take(os.path.join(self._staging, name))
        self._trash.empty()  # of what such a process has thrown away, too, which did not live long enough for that

    def layer_path(self, chain_id: str) -> RootFilesystem:
        stack: list[str] = []
        while chain_id:
            stack.append(chain_id)
            chain_id = _read(os.path.join(self._existing(chain_id), "parent"))
        os.makedirs(self._empty, 0o755, exist_ok=True)
        return RootFilesystem("overlay", lower=(*map(self._tree, stack), self._empty), options=("ro", *OPTIONS))

    # snapshots

    def prepare(self, snapshot: str, layers: Sequence[str]) -> RootFilesystem:
        place = self._snapshot(snapshot)
        if os.path.isdir(place):
            return self.mount_plan(snapshot)
        if len(layers) > MAX_STACK:
            raise InvalidRequest(f"the image has {len(layers)} layers, and overlayfs stacks no more than {MAX_STACK}")
        for chain_id in layers:
            self._existing(chain_id)
        with self._staged(snapshot) as staged:
            self._furnish(staged, layers)
            os.rename(staged, place)
        return self.mount_plan(snapshot)

    def _furnish(self, directory: str, layers: Sequence[str]) -> None:
        upper = os.path.join(directory, "upper")
        os.mkdir(upper)
        os.mkdir(os.path.join(directory, "work"), 0o700)
        _write(os.path.join(directory, "layers"), "\n".join(layers))
        os.makedirs(self._empty, 0o755, exist_ok=True)
        os.chmod(upper, 0o755)  # whatever the umask is

    def mount_plan(self, snapshot: str) -> RootFilesystem:
        place = self._existing_snapshot(snapshot)
        layers = _read(os.path.join(place, "layers")).split()
        return RootFilesystem(
            "overlay",
            lower=tuple(self._tree(each) for each in reversed(layers)) or (self._empty,),
            upper=os.path.join(place, "upper"),
            work=os.path.join(place, "work"),
            options=OPTIONS,
        )

    def changes_path(self, snapshot: str) -> str:
        return os.path.join(self._existing_snapshot(snapshot), "upper")

    def remove(self, snapshot: str) -> None:
        self._trash.take(self._snapshot(snapshot))

    def usage(self, snapshot: str) -> int:
        upper = os.open(self.changes_path(snapshot), DIRECTORY)
        try:
            return size_of(upper)
        finally:
            os.close(upper)

    def reconcile(self, layers: Sequence[str], snapshots: Sequence[str]) -> Sequence[str]:
        removed = []
        expected = {each.removeprefix("sha256:") for each in layers}
        for kind, directory, kept in (
            ("layer", self._layers, expected),
            ("snapshot", self._snapshots, set(snapshots)),
            ("half-made", self._staging, set()),
        ):
            for name in _names(directory):
                if name not in kept:
                    self._trash.take(os.path.join(directory, name))
                    removed.append(f"removed {kind} {name}")
        self._trash.empty()
        return removed

    # where things are

    def _layer(self, chain_id: str) -> str:
        found = CHAIN_ID.match(chain_id)
        if found is None:
            raise InvalidRequest(f"{chain_id[:80]!r} is not a chain ID")
        return os.path.join(self._layers, found[1])

    def _existing(self, chain_id: str) -> str:
        place = self._layer(chain_id)
        if not os.path.isdir(place):
            raise NotFound(f"the layer {chain_id} is not in {self._layers}", hint="pyke pull IMAGE")
        return place

    def _tree(self, chain_id: str) -> str:
        return os.path.join(self._layer(chain_id), "diff")

    def _snapshot(self, snapshot: str) -> str:
        if not CONTAINER_ID.match(snapshot):
            raise InvalidRequest(f"{snapshot[:80]!r} is not a container's ID")
        return os.path.join(self._snapshots, snapshot)

    def _existing_snapshot(self, snapshot: str) -> str:
        place = self._snapshot(snapshot)
        if not os.path.isdir(place):
            raise NotFound(f"the files of the container {snapshot[:12]} are not in {self._snapshots}", hint=f"pyke rm {snapshot[:12]}")
        return place

    def _layer_size(self, place: str) -> int:
        return int(_read(os.path.join(place, "size")))

    @contextmanager
    def _staged(self, name: str) -> Iterator[str]:
        """A new directory that nobody else can enter; thrown away at the end of the block unless it was renamed."""
        for directory in (self._layers, self._snapshots, self._staging):
            os.makedirs(directory, 0o700, exist_ok=True)
        staged = os.path.join(self._staging, f"{name}.{secrets.token_hex(8)}")
        os.mkdir(staged, 0o700)
        try:
            yield staged
        finally:
            self._trash.take(staged)


def _unpack(layer: LayerRequest, source: Source, staged: str) -> int:
    """Fill a staged layer and return its size."""
    limits = ArchiveLimits()
    limits = ArchiveLimits(max_bytes=layer.max_bytes or limits.max_bytes, max_entries=layer.max_entries or limits.max_entries)
    tree = os.path.join(staged, "diff")
    os.mkdir(tree, 0o755)
    os.chmod(tree, 0o755)  # whatever the umask is
    root = os.open(tree, DIRECTORY)
    try:
        size = extract(source, root, limits=limits, overlay=True).size
        _write(os.path.join(staged, "parent"), layer.parent)
        _write(os.path.join(staged, "size"), str(size))
        if layer.durable:
            syncfs(root)
    finally:
        os.close(root)
    return size


def _rename_unless_there(staged: str, place: str) -> None:
    try:
        os.rename(staged, place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another call was quicker, with the same layer
            raise


def _kernel_has_overlay() -> bool:
    if "\toverlay\n" in _read("/proc/filesystems"):
        return True
    with suppress(OSError):
        subprocess.run(["modprobe", "-q", "overlay"], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, check=False)
    return "\toverlay\n" in _read("/proc/filesystems")


def _names(directory: str) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(directory))
    return []


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
