"""From an OCI configuration to the operations that build a container's file systems, in the order in which they are done."""

from __future__ import annotations

import os

from pyke.runtime import cgroups, devices, linux, namespaces
from pyke.runtime.options import Options
from pyke.runtime.plan import (
    BindOperation,
    MaskOperation,
    MountOperation,
    Operation,
    ReadOnlyOperation,
    SharedMemoryOperation,
    attach,
    new_mount,
)
from pyke.runtime.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CgroupsOperation(Operation):
    """Show a container its own cgroup in every hierarchy of version 1: each bound on a directory of one tmpfs."""

    __slots__ = ("group", "hierarchies", "options", "target")

    def __init__(self, target: str, group: cgroups.Cgroup, options: list[str]) -> None:
        self.target, self.group = target, group
        self.options = Options([option for option in options if "=" not in option])
        self.hierarchies: list[tuple[str, tuple[str, ...], int]] = []

    def describe(self) -> str:
        return f"mount --bind {' '.join(self.group.directories())} {self.target}"

    def prepare(self) -> None:
        for names, mount in cgroups.hierarchies().items():
            if not names:
                continue
            origin = linux.open_tree(os.path.join(mount, self.group.path), 0)
            # The name that the host gives the mount: "systemd" for "name=systemd", "cpu,cpuacct" where two share one.
            self.hierarchies.append((os.path.basename(mount), names, origin))

    def execute(self, root: Root) -> None:
        attributes = Options(["nosuid", "nodev", "noexec", "mode=755"])
        attach(new_mount("tmpfs", "tmpfs", attributes), root, self.target, is_directory=True)
        for name, controllers, origin in self.hierarchies:
            mount = linux.open_tree("", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH, origin)
            os.close(origin)
            self.options.apply(mount)
            attach(mount, root, f"{self.target}/{name}", is_directory=True)
            for controller in controllers:
                if controller != name and "=" not in controller:
                    self._link(root, controller, name)

    def _link(self, root: Root, controller: str, name: str) -> None:
        directory = root.open(self.target)
        os.symlink(name, controller, dir_fd=directory)
        os.close(directory)


def mounts(oci: dict[str, Any], group: cgroups.Cgroup) -> list[Operation]:
    """What is mounted, in the configuration's order; and after a new /dev, what is in it."""
    operations: list[Operation] = []
    is_bound = "user" in namespaces.wanted(oci)
    for mount in oci.get("mounts") or []:
        operations.append(_mount(mount, group))
        if mount["destination"] == "/dev" and mount.get("type") == "tmpfs":
            operations += devices.populate(oci["linux"].get("devices") or [], is_bound)
    return operations


def _mount(mount: dict[str, Any], group: cgroups.Cgroup) -> Operation:
    target, kind, options = mount["destination"], mount.get("type") or "bind", list(mount.get("options") or [])
    if kind == "bind" or "bind" in options or "rbind" in options:
        is_memory = mount["source"].startswith("/proc/") and mount["source"].endswith("/root/dev/shm")
        return (SharedMemoryOperation if is_memory else BindOperation)(target, mount["source"], options)
    if kind == "cgroup" and any(cgroups.hierarchies()):
        return CgroupsOperation(target, group, options)
    if kind == "cgroup":
        return MountOperation(target, "cgroup2", "cgroup", options)
    return MountOperation(target, kind, mount.get("source") or kind, options)


def covers(oci: dict[str, Any]) -> list[Operation]:
    """What is made read-only and what is hidden, when everything is mounted."""
    config = oci["linux"]
    operations: list[Operation] = [ReadOnlyOperation(path) for path in config.get("readonlyPaths") or []]
    if masked := config.get("maskedPaths"):
        operations.append(MaskOperation(masked))
    return operations
