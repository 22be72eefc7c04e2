"""A container's files, from outside: looked at, copied in and out, exported, compared with its image.

Nothing of a container's is opened here: every job is done by a process of its own (`pyke.files`), which gets to know here what to mount.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any

from pyke.codec import to_data
from pyke.engine.containers import mounts, oci_mounts
from pyke.engine.containers.etc_files import paths
from pyke.engine.containers.helpers import COMPARING, Helper
from pyke.engine.images import commit as image_commit
from pyke.errors import InvalidRequest, NoSuchImage, PykeError
from pyke.model import Caller, Container, Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Change:
    """A path that a container changed; `kind` as in the API: 0 modified, 1 added, 2 deleted."""

    kind: int
    path: str


class Download:
    """A tar of a container's files, in pieces; `stat` is Docker's description of what was asked for, {} for a whole file system."""

    def __init__(self, stat: dict[str, Any], pieces: Iterator[bytes], resources: contextlib.ExitStack) -> None:
        self.stat, self._pieces, self._resources = stat, pieces, resources

    def __iter__(self) -> Iterator[bytes]:
        with self._resources:
            yield from self._pieces

    def close(self) -> None:
        """Let go of it, read or not; idempotent."""
        self._resources.close()


class Files:
    """The files of all containers. Every method takes a full ID, a name, or an unambiguous prefix of an ID."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def stat(self, ref: str, path: str) -> dict[str, Any]:
        """What is at `path`, as Docker's ContainerPathStat. `NotFound` where there is nothing."""
        container = self.engine.containers.get(ref)
        with self._while_it_is_there(container), contextlib.ExitStack() as resources:
            return dict(self._reading(resources, container, "stat", _checked(path)).answer()["stat"])

    def archive(self, ref: str, path: str) -> Download:
        """A tar of what is at `path` and below. Close it."""
        container = self.engine.containers.get(ref)
        download = self._download(container, "archive", _checked(path))
        self._tell("archive-path", container)
        return download

    def export(self, ref: str) -> Download:
        """A tar of the whole file system, without volumes and other mounts. Close it."""
        container = self.engine.containers.get(ref)
        download = self._download(container, "export", "/")
        self._tell("export", container)
        return download

    def changes(self, ref: str) -> list[Change]:
        """What differs from the image, sorted by path."""
        container = self.engine.containers.get(ref)
        with self._while_it_is_there(container), Helper(self.layer_job(container, "changes")) as helper:
            return [Change(kind, path) for kind, path in helper.answer(COMPARING)["changes"]]

    def place(self, ref: str, path: str, stream: BufferedIOBase, *, may_exchange: bool, caller: Caller) -> None:
        """Copy a tar, compressed or not, into the directory `path`. With `may_exchange`, a file may take a directory's place.

        `Forbidden` where it is mounted read-only; what was copied before an error stays. A container that does not run cannot be started
        meanwhile: its file system is mounted.
        """
        self.engine.ready()
        container = self.engine.containers.get(ref)
        self.engine.authorize(caller, "container.copy", container.id, container.spec)
        with contextlib.ExitStack() as resources:
            lock = resources.enter_context(contextlib.ExitStack())
            lock.enter_context(self.engine.locks.of("container", container.id))
            container = self.engine.containers.get(container.id)
            job = self._job(resources, container, "place", _checked(path), pid=_pid(container))
            job |= {"limits": to_data(self.engine.settings.archives.limits()), "may_exchange": may_exchange}
            if job["pid"]:
                lock.close()
            helper = resources.enter_context(Helper(job))
            helper.feed(stream)
            helper.answer(COMPARING)
        self._tell("extract-to-dir", container)

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
        """Make an image of a container: its image's layers, and one of what it changed.

        `reference` may be ""; `config` and `inherited` are Docker's JSON of configurations: `changes`, in a Dockerfile's words, are made to
        the first, and what it says nothing about then is as in the second. With `pause` a running container is frozen meanwhile.
        """
        self.engine.ready()
        container = self.engine.containers.get(ref)
        self.engine.authorize(caller, "container.commit", container.id, container.spec)
        wanted = image_commit.Commit(reference, config, inherited, changes, message, author)
        with image_commit.paused(self.engine, container, caller) if pause else contextlib.nullcontext():
            return image_commit.commit(self.engine, container, wanted)

    # jobs for the process that does it

    def _download(self, container: Container, do: str, path: str) -> Download:
        with self._while_it_is_there(container), contextlib.ExitStack() as resources:
            helper = self._reading(resources, container, do, path)
            answer = helper.answer()
            return Download(answer.get("stat") or {}, helper.pieces(), resources.pop_all())

    @contextlib.contextmanager
    def _while_it_is_there(self, container: Container) -> Iterator[None]:
        """What fails because the container is removed meanwhile, fails for that reason.

        Its files go first and its record last, so whoever misses them waits for the end of a removal that has begun.
        """
        try:
            yield
        except PykeError:
            with self.engine.locks.of("container", container.id):
                self.engine.containers.get(container.id)
            raise

    def _reading(self, resources: contextlib.ExitStack, container: Container, do: str, path: str) -> Helper:
        job = self._job(resources, container, do, path, pid=_pid(container))
        return resources.enter_context(Helper(job))

    def _job(self, resources: contextlib.ExitStack, container: Container, do: str, path: str, *, pid: int) -> dict[str, Any]:
        """What the process has to know. The snapshot of a running container is told, too, for it may end meanwhile."""
        plan = self.engine.plugins.call("storage", container.storage_driver, "mount_plan", container.id)
        binds: list[dict[str, Any]] = []
        if not pid:
            resources.callback(self._unmount, container)
            binds = self._binds(mounts.with_sources(self.engine, container))
        return {
            **self._common(container, do),
            "path": path,
            "pid": pid,
            "snapshot": to_data(plan),
            "binds": binds,
            "read_only": container.spec.security.read_only_root,
        }

    def layer_job(self, container: Container, do: str) -> dict[str, Any]:
        """A job that compares a container's own layer with its image: `changes` or `layer`."""
        call = self.engine.plugins.call
        return {
            **self._common(container, do),
            "upper": call("storage", container.storage_driver, "changes_path", container.id),
            "base": to_data(call("storage", container.storage_driver, "layer_path", self._chain_id(container))),
        }

    def _common(self, container: Container, do: str) -> dict[str, Any]:
        return {
            "do": do,
            "container": container.id,
            "name": container.name,
            "stand": self.engine.layout.container_directory(container.id),
        }

    def _chain_id(self, container: Container) -> str:
        try:
            return self.engine.images.get(container.image_id).chain_id
        except NoSuchImage as error:
            error.message = f"the image of container {container.name} is gone, so nothing can be compared with it: {error.message}"
            raise

    def _binds(self, container: Container) -> list[dict[str, Any]]:
        """Its volumes and binds, and its hosts, hostname and resolv.conf, which are there once it was started."""
        files = {path: source for path, source in paths(self.engine, container).items() if os.path.exists(source)}
        return [mount for mount in oci_mounts.mounts(container, files, {}) if mount["type"] == "bind"]

    def _unmount(self, container: Container) -> None:
        with self.engine.locks.of("container", container.id):
            now = self.engine.state.containers.get(container.id)
            if now is not None and not now.state.is_running:
                self.engine.volumes.unmount(container.id)

    def _tell(self, action: str, container: Container) -> None:
        self.engine.events.publish("container", action, container.id, self.engine.attributes(container))


def _pid(container: Container) -> int:
    return container.state.pid if container.state.is_running else 0


def _checked(path: str) -> str:
    if not path:
        raise InvalidRequest("bad parameter: path cannot be empty", hint="pyke cp CONTAINER:/PATH .")
    return path
