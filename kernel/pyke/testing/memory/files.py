"""Files of containers in memory: names and contents, flat, below "/"."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

from pyke.archive.pack import END, header, padding
from pyke.archive.source import Source
from pyke.archive.tar import FILE, TarReader
from pyke.errors import NotFound
from pyke.model import Caller, Image

if TYPE_CHECKING:
    from pyke.testing.memory.engine import MemoryEngine


class MemoryDownload:
    """A tar, and whether it was closed."""

    def __init__(self, stat: Mapping[str, Any], pieces: Sequence[bytes]) -> None:
        self.stat, self.is_closed = stat, False
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    def close(self) -> None:
        self.is_closed = True


class MemoryFiles:
    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine
        self.contents: dict[tuple[str, str], bytes] = {}  # by container's ID and path
        self.downloads: list[MemoryDownload] = []
        self.commits: list[dict[str, Any]] = []  # what was asked for

    def stat(self, ref: str, path: str) -> Mapping[str, Any]:
        content = self.contents.get((self.engine.containers.get(ref).id, path))
        if content is None:
            raise NotFound(f"Could not find the file {path} in container {ref}")
        return {"name": posixpath.basename(path), "size": len(content), "mode": 0o644, "mtime": "2026-01-01T00:00:00Z", "linkTarget": ""}

    def archive(self, ref: str, path: str) -> MemoryDownload:
        stat = self.stat(ref, path)
        return self._download(stat, {path: self.contents[self.engine.containers.get(ref).id, path]})

    def export(self, ref: str) -> MemoryDownload:
        container = self.engine.containers.get(ref).id
        return self._download({}, {path: content for (owner, path), content in self.contents.items() if owner == container})

    def _download(self, stat: Mapping[str, Any], contents: Mapping[str, bytes]) -> MemoryDownload:
        pieces = [part for path, data in contents.items() for part in (header(path.encode(), FILE, len(data)), data, padding(len(data)))]
        self.downloads.append(MemoryDownload(stat, [*pieces, END]))
        return self.downloads[-1]

    def changes(self, ref: str) -> Sequence[Any]:
        container = self.engine.containers.get(ref).id
        return [SimpleNamespace(kind=1, path=path) for owner, path in sorted(self.contents) if owner == container]

    def place(self, ref: str, path: str, stream: BinaryIO, *, may_exchange: bool, caller: Caller) -> None:
        container = self.engine.containers.get(ref).id
        reader = TarReader(Source(stream.read))
        for entry in reader:
            self.contents[container, posixpath.join(path, entry.name.decode())] = b"".join(map(bytes, reader.source.pieces(entry.size)))

    def commit(
        self,
        ref: str,
        *,
        reference: str,
        config: Mapping[str, Any],
        inherited: Mapping[str, Any],
        changes: Sequence[str],
        message: str,
        author: str,
        pause: bool,
        caller: Caller,
    ) -> Image:
        base = self.engine.images.get(self.engine.containers.get(ref).image_id)
        self.commits.append({"reference": reference, "config": config, "inherited": inherited, "changes": changes, "pause": pause})
        id = "sha256:" + hashlib.sha256(repr((base.id, reference, message, author, changes, pause, config, inherited)).encode()).hexdigest()
        tags = (f"docker.io/library/{reference}",) if reference else ()
        self.engine.images.records[id] = replace(base, id=id, tags=tags, author=author, comment=message, parent=base.id)
        return self.engine.images.records[id]
