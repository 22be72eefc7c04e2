"""What is mounted in a container, in Docker's order: the kernel's file systems, the engine's files, and what was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pyke.model import Container, Mount

SHM_SIZE = 64 * 1024 * 1024  # bytes

#: /etc/resolv.conf comes first, as in Docker's list; others follow in the engine's order.
FILE_ORDER = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


def mounts(container: Container, files: Mapping[str, str], namespaces: Mapping[str, str]) -> list[dict[str, Any]]:
    """OCI mounts. A user's mount takes the place of a default one with the same target, and comes where the depth of its path puts it."""
    chosen = {mount.target for mount in container.mounts}
    defaults = [mount for mount in _defaults(container, namespaces) if mount["destination"] not in chosen]
    ordered = sorted(files, key=lambda path: FILE_ORDER.index(path) if path in FILE_ORDER else len(FILE_ORDER))
    own = [_file(path, files[path], container.spec.security.read_only_root) for path in ordered if path not in chosen]
    asked = [_mount(mount) for mount in sorted(container.mounts, key=lambda mount: mount.target.rstrip("/").count("/"))]
    return [*defaults, *own, *asked]


def _defaults(container: Container, namespaces: Mapping[str, str]) -> list[dict[str, Any]]:
    writable = "rw" if container.spec.security.privileged else "ro"
    return [
        _new("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _new("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _new("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        _new("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", writable),
        _new("/sys/fs/cgroup", "cgroup", "cgroup", writable, "nosuid", "noexec", "nodev"),
        *_of_ipc(container, namespaces.get("ipc", "")),
    ]


def _of_ipc(container: Container, shared: str) -> list[dict[str, Any]]:
    """Shared memory goes with the IPC namespace: the container's own, the host's, another container's, or none."""
    if shared == "host":
        shared_directories = [path for path in ("/dev/mqueue", "/dev/shm") if os.path.isdir(path)]  # a small system may mount neither
        return [_bind(path, path, []) for path in shared_directories]
    queue = _new("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
    if shared:
        return [queue, _bind("/dev/shm", shared.removesuffix("ns/ipc") + "root/dev/shm", [])]
    if container.spec.namespaces.ipc == "none":
        return [queue]
    size = (container.spec.shm_size or SHM_SIZE) // 1024
    return [queue, _new("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={size}k")]


def _mount(mount: Mount) -> dict[str, Any]:
    if mount.kind == "tmpfs":
        return _tmpfs(mount)
    # Read-only means everything below as well, where the kernel can (Linux 5.12), as Docker since 25.
    options = ["ro", "rro"] if mount.read_only else []
    is_recursive = mount.options.get("bind-recursive") != "false"
    return _bind(mount.target, mount.source, options, mount.propagation or "rprivate", is_recursive=is_recursive)


def _tmpfs(mount: Mount) -> dict[str, Any]:
    chosen = mount.options.get("tmpfs-options", "")
    options = ["noexec", "nosuid", "nodev", *filter(None, chosen.split(","))]
    options += [f"{key}={mount.options[f'tmpfs-{key}']}" for key in ("size", "mode") if f"tmpfs-{key}" in mount.options]
    return _new(mount.target, "tmpfs", "tmpfs", *options, *(["ro"] if mount.read_only else []))


def _file(path: str, source: str, read_only: bool) -> dict[str, Any]:
    return _bind(path, source, ["ro"] if read_only else [])


def _bind(target: str, source: str, options: list[str], propagation: str = "rprivate", *, is_recursive: bool = True) -> dict[str, Any]:
    return _new(target, "bind", source, "rbind" if is_recursive else "bind", propagation, *options)


def _new(target: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}
