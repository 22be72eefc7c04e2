"""Volumes: data that outlives containers. The engine makes them, counts who uses them, and mounts each once for all its users."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyke.engine.containers.remove import Pruned
from pyke.engine.disk import tree_size
from pyke.engine.filters import Filters, prune_filter
from pyke.engine.identifiers import NAME, new_id
from pyke.errors import Conflict, InvalidRequest, NoSuchVolume, PykeError
from pyke.model import Caller, Container, MountSpec, Volume

if TYPE_CHECKING:
    from pyke.engine.engine import Engine


class Volumes:
    """All volumes. Who uses one is not counted but looked up: the containers' records say it, and they survive everything."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def all(self) -> list[Volume]:
        return sorted(self.engine.state.volumes.all(), key=lambda volume: volume.name)

    def get(self, name: str) -> Volume:
        volume = self.engine.state.volumes.get(name)
        if volume is None:
            raise NoSuchVolume(f"get {name}: no such volume", hint="pyke volume ls")
        return volume

    def users(self, name: str) -> list[Container]:
        """The containers that have the volume among their mounts, running or not."""
        return [container for container in self.engine.state.containers.all() if any(mount.name == name for mount in container.mounts)]

    def create(self, volume: Volume, *, caller: Caller | None = None) -> Volume:
        """Make a volume ("" gets a name of 64 digits), or return the one that exists with the same driver."""
        if volume.name and not NAME.match(volume.name):
            raise InvalidRequest(
                f'create {volume.name}: "{volume.name}" includes invalid characters for a local volume name, '
                'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
                hint="pyke volume create NAME",
            )
        if caller is not None:
            self.engine.authorize(caller, "volume.create", volume.name)
        volume = replace(volume, name=volume.name or new_id(), created=time.time_ns(), anonymous=volume.anonymous or not volume.name)
        with self.engine.locks.of("volume", volume.name):
            return self._create(volume)

    def _create(self, volume: Volume) -> Volume:
        existing = self.engine.state.volumes.get(volume.name)
        if existing is not None:
            if existing.driver != volume.driver:
                raise Conflict(f"create {volume.name}: conflict: volume name must be unique", hint=f"pyke volume inspect {volume.name}")
            return existing
        with self.engine.state.intent("volume.create", volume.name, driver=volume.driver):
            self._call(volume, "validate")
            self._call(volume, "create")
            volume = replace(volume, mountpoint=self._call(volume, "mount"))
            self.engine.state.volumes.put(volume)
        self.engine.events.publish("volume", "create", volume.name, driver=volume.driver)
        return volume

    def obtain(self, spec: MountSpec, container: str) -> Volume:
        """The volume that a container's mount names, made where it is missing; "" is an anonymous one."""
        return self.create(
            Volume(spec.source, spec.driver or "local", labels=spec.labels, options=spec.driver_options, anonymous=not spec.source)
        )

    def mount(self, name: str, container: str) -> str:
        """Make the data reachable for a container about to start, and return the host path."""
        with self.engine.locks.of("volume", name):
            return str(self._call(self.get(name), "mount"))

    def unmount(self, container: str) -> None:
        """A container has ended: a volume that no running container uses any more is unmounted."""
        record = self.engine.state.containers.get(container)
        for mount in record.mounts if record else ():
            if mount.kind == "volume":
                self.let_go(mount.name, container)

    def let_go(self, name: str, container: str) -> None:
        """Unmount a volume that no running container but this one uses."""
        with self.engine.locks.of("volume", name):
            volume = self.engine.state.volumes.get(name)
            in_use = any(user.id != container and user.state.is_running for user in self.users(name))
            if volume is not None and not in_use:
                self._call(volume, "unmount")

    def tell_mounted(self, container: Container) -> None:
        """An event for each volume of a container that has begun to run."""
        for mount in container.mounts:
            if mount.kind == "volume":
                attributes = {"read/write": "false" if mount.read_only else "true", "propagation": "", "destination": mount.target}
                self.engine.events.publish("volume", "mount", mount.name, attributes, driver=mount.driver, container=container.id)

    def tell_unmounted(self, container: Container) -> None:
        """An event for each volume of a container that has ended."""
        for mount in container.mounts:
            if mount.kind == "volume":
                self.engine.events.publish("volume", "unmount", mount.name, driver=mount.driver, container=container.id)

    def release(self, container: str, *, remove_anonymous: bool = True) -> None:
        """A container goes: its anonymous volumes go with it, where asked, unless another container has them too."""
        record = self.engine.state.containers.get(container)
        if record is None or not remove_anonymous:
            return
        for mount in record.mounts:
            volume = self.engine.state.volumes.get(mount.name)
            if volume is not None and volume.anonymous and all(user.id == container for user in self.users(mount.name)):
                self._delete(volume)

    def remove(self, name: str, *, force: bool = False, caller: Caller) -> None:
        """Delete a volume that no container has. With `force`, one that does not exist is fine."""
        self.engine.authorize(caller, "volume.remove", name)
        with self.engine.locks.of("volume", name):
            volume = self.engine.state.volumes.get(name)
            if volume is None:
                if force:
                    return
                raise NoSuchVolume(f"get {name}: no such volume", hint="pyke volume ls")
            users = self.users(name)
            if users:
                raise Conflict(
                    f"remove {name}: volume is in use - [{', '.join(user.id for user in users)}]", hint=f"pyke rm -f {users[0].name}"
                )
            self._delete(volume)

    def prune(self, filters: Filters | None, *, caller: Caller) -> Pruned:
        """Delete every volume that no container has: the anonymous ones, or with the filter `all=true` the named ones too."""
        wanted = prune_filter(filters, allowed=("all",))
        with_named = any(text.lower() in ("1", "true") for text in (filters or {}).get("all", ()))
        deleted, reclaimed = [], 0
        for volume in self.all():
            if (with_named or volume.anonymous) and wanted(volume.labels, volume.created) and not self.users(volume.name):
                size = self.size(volume)
                try:
                    self.remove(volume.name, caller=caller)
                except PykeError:
                    continue  # a container took it meanwhile
                deleted.append(volume.name)
                reclaimed += max(size, 0)
        self.engine.events.publish("volume", "prune", "", reclaimed=str(reclaimed))
        return Pruned(tuple(deleted), reclaimed)

    def size(self, volume: Volume) -> int:
        """Bytes of a volume on this host's disk; -1 for one that is elsewhere, which nobody should have to wait for."""
        return tree_size(volume.mountpoint) if volume.driver == "local" else -1

    def _delete(self, volume: Volume) -> None:
        with self.engine.state.intent("volume.remove", volume.name, driver=volume.driver):
            self._call(volume, "unmount")
            self._call(volume, "remove")
            with self.engine.state.transaction():
                self.engine.state.volumes.delete(volume.name)
                self.engine.events.publish("volume", "destroy", volume.name, driver=volume.driver)

    def _call(self, volume: Volume, method: str) -> Any:
        return self.engine.plugins.call("volume", volume.driver, method, volume)
