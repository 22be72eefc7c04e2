"""Copy-up: what an image has where an empty volume is mounted becomes the volume's first content, with its owners and modes.

Docker's rules: named and anonymous volumes of every driver, unless `nocopy` says otherwise, but neither binds nor what `--volumes-from`
brings. It is done when a container is created, by a process of its own (`pyke.files`). A copy that is cut off, by an error or by the
engine's death, is taken back: half of it would count as content from then on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyke.codec import to_data
from pyke.engine.containers import mounts
from pyke.engine.containers.helpers import COMPARING, Helper
from pyke.model import Container, Mount, Volume
from pyke.runtime.root import Root

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

INTENT = "volume.fill"


def fill(engine: Engine, container: Container) -> None:
    """Give the empty volumes of a container in the making what its image has in their places. Its snapshot is there already."""
    wanted = [mount for mount in mounts.to_fill(engine, container) if _may_be_empty(engine.volumes.get(mount.name))]
    if not wanted:
        return
    plan = to_data(engine.plugins.call("storage", container.storage_driver, "mount_plan", container.id))
    for mount in wanted:
        if _may_have(plan, mount.target):
            _fill(engine, container, plan, mount)


def _may_be_empty(volume: Volume) -> bool:
    """False where a look at this host's own disk tells that it has content; others are looked at by a process that may hang."""
    return volume.driver != "local" or bool(volume.options) or not os.listdir(volume.mountpoint)


def _may_have(plan: Mapping[str, Any], target: str) -> bool:
    """False where no layer has even the first directory of a path: most volumes are mounted where their image has nothing."""
    if plan["kind"] != "overlay":
        return True
    return any(_has(layer, target.split("/")[1]) for layer in plan["lower"])


def _has(layer: str, name: str) -> bool:
    with Root.at(layer) as root:
        try:
            os.close(root.open(name, os.O_PATH, follow=False))
        except FileNotFoundError:
            return False
        return True


def _fill(engine: Engine, container: Container, plan: Mapping[str, Any], mount: Mount) -> None:
    source = engine.volumes.mount(mount.name, container.id)
    job = {
        "do": "fill",
        "container": container.id,
        "name": container.name,
        "stand": engine.layout.container_directory(container.id),
        "snapshot": plan,
        "path": mount.target,
        "volume": source,
    }
    try:
        with engine.locks.of("volume", mount.name), engine.state.intent(INTENT, mount.name, source=source):
            try:
                _do(job)
            except BaseException:
                empty(mount.name, source)
                raise
    finally:
        engine.volumes.let_go(mount.name, container.id)


def empty(name: str, source: str) -> None:
    """Take back a copy that was cut off, from the volume `name` whose data is at `source`."""
    _do({"do": "empty", "container": "", "name": name, "volume": source})


def _do(job: dict[str, Any]) -> None:
    with Helper(job) as helper:
        helper.answer(COMPARING)
