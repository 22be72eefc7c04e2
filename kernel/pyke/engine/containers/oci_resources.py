"""A container's share of the machine, in OCI's words: resources, limits of its processes, devices."""

from __future__ import annotations

import os
import stat
from typing import Any

from pyke.errors import InvalidRequest
from pyke.model import ContainerSpec, DeviceSpec, Limits, Security
from pyke.runtime import cgroups

PERIOD = 100_000  # microseconds, over which --cpus is measured out
UNLIMITED = 2**64 - 1  # RLIM_INFINITY

#: What every container may use: Docker's rules and those that runc adds to any configuration. Nodes may be made, but not used.
DEFAULT_RULES: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pts
)
THROTTLES = {
    "read_bps": "throttleReadBpsDevice",
    "write_bps": "throttleWriteBpsDevice",
    "read_iops": "throttleReadIOPSDevice",
    "write_iops": "throttleWriteIOPSDevice",
}
TYPES = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}


def is_unified() -> bool:
    """Whether this system has version 2 of cgroups alone."""
    return not any(cgroups.hierarchies())


def resources(spec: ContainerSpec) -> dict[str, Any]:
    """OCI linux.resources, with the device rules of the container."""
    return {**limits(spec.limits), "devices": device_rules(spec.security)}


def limits(wanted: Limits) -> dict[str, Any]:
    """The limits alone, as `update` takes them; what is not asked for is not mentioned."""
    found = {
        "memory": _memory(wanted),
        "cpu": _present(
            shares=wanted.cpu_shares,
            quota=wanted.cpu_quota or wanted.nano_cpus * PERIOD // 1_000_000_000,
            period=wanted.cpu_period or (PERIOD if wanted.nano_cpus else 0),
            cpus=wanted.cpuset_cpus,
            mems=wanted.cpuset_mems,
        ),
        "pids": _present(limit=wanted.pids),
        "blockIO": _block_devices(wanted),
    }
    return {key: value for key, value in found.items() if value}


def _memory(wanted: Limits) -> dict[str, Any]:
    # Docker: swap of the same size as the memory, unless said otherwise.
    swap = wanted.memory_swap or wanted.memory * 2
    memory = _present(limit=wanted.memory, swap=swap, reservation=wanted.memory_reservation, disableOOMKiller=wanted.oom_kill_disable)
    if wanted.memory_swappiness is not None and wanted.memory_swappiness >= 0:
        memory["swappiness"] = wanted.memory_swappiness
    return memory


def _block_devices(wanted: Limits) -> dict[str, Any]:
    found = _present(weight=wanted.blkio_weight)
    for what, path, rate in wanted.throttles:
        try:
            status = os.stat(path)
        except OSError as error:
            raise InvalidRequest(f"stat {path}: {(error.strerror or str(error)).lower()}", hint="lsblk --paths") from error
        if not stat.S_ISBLK(status.st_mode):
            raise InvalidRequest(f"{path} is no block device: what goes to it cannot be limited", hint="lsblk --paths")
        device = {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
        found.setdefault(THROTTLES[what], []).append({**device, "rate": rate})
    return found


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def rlimits(wanted: Limits) -> list[dict[str, Any]]:
    """Limits of processes (setrlimit(2)); -1 is none."""
    return [{"type": f"RLIMIT_{name.upper()}", "soft": _rlimit(soft), "hard": _rlimit(hard)} for name, soft, hard in wanted.ulimits]


def _rlimit(value: int) -> int:
    return UNLIMITED if value < 0 else value


def device_rules(security: Security) -> list[dict[str, Any]]:
    """Who may use which device. A privileged container may use all."""
    if security.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules += [_rule(kind, major, minor, access) for kind, major, minor, access in DEFAULT_RULES]
    for spec in security.devices:
        rules += [_rule(each["type"], each["major"], each["minor"], spec.permissions) for each in _nodes(spec)]
    rules += [_parsed_rule(text) for text in security.device_cgroup_rules]
    return rules


def devices(security: Security) -> list[dict[str, Any]]:
    """The nodes that a container gets beside the default ones; a privileged one gets the host's, as far as they have one name only."""
    if security.privileged:
        return _nodes(DeviceSpec("/dev", "/dev"))
    return [node for spec in security.devices for node in _nodes(spec)]


def _nodes(spec: DeviceSpec) -> list[dict[str, Any]]:
    """A device, or those in a directory of the host."""
    if not os.path.isdir(spec.host_path):
        return [_node(spec.host_path, spec.container_path)]
    found = []
    for name in sorted(os.listdir(spec.host_path)):
        path = os.path.join(spec.host_path, name)
        if name in ("pts", "shm", "fd", "mqueue", "console", "ptmx", ".lxc", ".udev") or os.path.islink(path):
            continue  # they belong to the container, or lead to what has another name
        inner = DeviceSpec(path, os.path.join(spec.container_path, name), spec.permissions)
        if os.path.isdir(path):
            found += _nodes(inner)
        elif stat.S_IFMT(os.stat(path).st_mode) in TYPES:
            found.append(_node(path, inner.container_path))
    return found


def _node(host_path: str, container_path: str) -> dict[str, Any]:
    try:
        status = os.stat(host_path)
        kind = TYPES[stat.S_IFMT(status.st_mode)]
    except (OSError, KeyError) as error:
        reason = "no such file or directory" if isinstance(error, FileNotFoundError) else "not a device node"
        message = f'error gathering device information while adding custom device "{host_path}": {reason}'
        raise InvalidRequest(message, hint=f"ls -l {host_path}") from error
    return {
        "path": container_path,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    numbers = {key: value for key, value in (("major", major), ("minor", minor)) if value is not None}
    return {"allow": True, "type": kind, **numbers, "access": access}


def _parsed_rule(text: str) -> dict[str, Any]:
    """--device-cgroup-rule: "c 1:3 rwm", with * for any number."""
    try:
        kind, numbers, access = text.split()
        major, minor = (None if each == "*" else int(each) for each in numbers.split(":"))
        if kind not in ("a", "b", "c") or not set(access) <= set("rwm"):
            raise ValueError
    except ValueError as error:
        hint = "pyke run --device-cgroup-rule 'c 1:3 rwm' ..."
        raise InvalidRequest(f"invalid device cgroup rule format: '{text}'", hint=hint) from error
    return _rule(kind, major, minor, access)
