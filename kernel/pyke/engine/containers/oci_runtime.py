"""A container as an OCI runtime configuration (runtime-spec 1.0.2), in the words of which the native runtime, runc and crun are told.

Two keys are our own, and ignored by others: process.user.additionalGroups, groups that have to be looked up inside the container, and
process.reaper, a first process that buries orphans (`--init`). The user is process.user.username, as somebody wrote it; the numbers are
added where it is made of numbers, for a runtime that looks nobody up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyke.engine.containers import oci_mounts, oci_resources
from pyke.errors import InvalidRequest
from pyke.model import Container, ContainerSpec, ExecSpec, Security
from pyke.paths import Layout
from pyke.runtime import capabilities, seccomp, sysctl

VERSION = "1.0.2"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("mount", "network", "uts", "pid", "ipc")

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

#: Docker's: a container may serve low ports and use ping without any capability; its network is its own.
NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}


def runtime_config(
    container: Container, *, layout: Layout, files: Mapping[str, str], namespaces: Mapping[str, str], linked: Sequence[str] = ()
) -> dict[str, Any]:
    """The configuration for a start. Raises InvalidRequest for options that make no sense.

    `files` are single files that the engine keeps ({path inside: path on the host}), `namespaces` what is shared: "pid", "ipc",
    "network", "uts" to "host" or to the path of the namespace to join; `linked` are variables that tell of others. `root.path` is
    empty: the storage driver's plan stands beside.
    """
    spec, security = container.spec, container.spec.security
    granted = capabilities.chosen(security.cap_add, security.cap_drop, privileged=security.privileged)
    return {
        "ociVersion": VERSION,
        "process": _process(container, granted, linked),
        "root": {"path": "", "readonly": security.read_only_root},
        **_names(container, namespaces),
        "mounts": oci_mounts.mounts(container, files, namespaces),
        "annotations": dict(spec.annotations),
        "linux": {
            "cgroupsPath": f"/{spec.cgroup_parent.strip('/') or layout.cgroup}/{container.id}",
            "namespaces": _namespaces(spec, namespaces),
            "resources": oci_resources.resources(spec),
            "devices": oci_resources.devices(security),
            "sysctl": _sysctls(spec, namespaces),
            "seccomp": _seccomp(security, granted),
            "maskedPaths": _paths(security, security.masked_paths, MASKED_PATHS),
            "readonlyPaths": _paths(security, security.readonly_paths, READONLY_PATHS),
        },
    }


def exec_process(container: Container, spec: ExecSpec, linked: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration for a further command in a running container: its process, and the filter."""
    security = container.spec.security
    granted = capabilities.chosen(security.cap_add, security.cap_drop, privileged=security.privileged or spec.privileged)
    user = spec.user or container.spec.user or container.image_config.user
    process = {
        **_common_process(container, granted),
        "terminal": spec.tty,
        "args": list(spec.command),
        "env": _environment(container, tty=spec.tty, linked=linked, extra=spec.environment),
        "cwd": spec.working_directory or _working_directory(container),
        "user": _user(user, security.group_add),
    }
    return {"ociVersion": VERSION, "process": process, "linux": {"seccomp": None if spec.privileged else _seccomp(security, granted)}}


def environment(container: Container) -> tuple[str, ...]:
    """What a container's own settings say: the request's variables, then those of the image that it neither sets nor removes.

    "A" without "=" takes A out of the environment, also out of the image's.
    """
    mentioned = {word.partition("=")[0] for word in container.spec.environment}
    inherited = (word for word in container.image_config.environment if word.partition("=")[0] not in mentioned)
    return (*container.spec.environment, *inherited)


def _process(container: Container, granted: list[str], linked: Sequence[str]) -> dict[str, Any]:
    spec = container.spec
    process = {
        **_common_process(container, granted),
        "terminal": spec.tty,
        "args": list(container.argv),
        "env": _environment(container, tty=spec.tty, linked=linked),
        "cwd": _working_directory(container),
        "user": _user(spec.user or container.image_config.user, spec.security.group_add),
    }
    if spec.security.oom_score_adj:
        process["oomScoreAdj"] = spec.security.oom_score_adj
    if spec.init:
        process["reaper"] = True
    return process


def _common_process(container: Container, granted: list[str]) -> dict[str, Any]:
    return {
        "capabilities": {"bounding": granted, "effective": granted, "permitted": granted},
        "noNewPrivileges": _option(container.spec.security, "no-new-privileges", "false") in ("", "1", "t", "T", "true", "TRUE", "True"),
        "rlimits": oci_resources.rlimits(container.spec.limits),
    }


def _environment(container: Container, *, tty: bool, linked: Sequence[str], extra: Sequence[str] = ()) -> list[str]:
    """Docker's order: PATH, HOSTNAME, TERM, links, then everything else; what is set again keeps its place."""
    variables: dict[str, str] = {"PATH": DEFAULT_PATH, "HOSTNAME": container.hostname}
    if tty:
        variables["TERM"] = "xterm"
    for word in (*linked, *environment(container), *extra):
        name, has_value, value = word.partition("=")
        if has_value:
            variables[name] = value
        else:
            variables.pop(name, None)
    return [f"{name}={value}" for name, value in variables.items()]


def _working_directory(container: Container) -> str:
    return container.spec.working_directory or container.image_config.working_directory or "/"


def _user(user: str, groups: tuple[str, ...]) -> dict[str, Any]:
    name, _, group = user.partition(":")
    numbers = {"uid": int(name or "0"), "gid": int(group or "0")} if all(not part or part.isdecimal() for part in (name, group)) else {}
    return {**numbers, "username": user, "additionalGroups": list(groups)}


def _names(container: Container, namespaces: Mapping[str, str]) -> dict[str, str]:
    if namespaces.get("uts"):
        return {}
    names = {"hostname": container.hostname, "domainname": container.spec.domainname}
    return {key: value for key, value in names.items() if value}


def _namespaces(spec: ContainerSpec, shared: Mapping[str, str]) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = []
    for kind in NAMESPACES:
        where = shared.get(kind, "")
        if where != "host":
            listed.append({"type": kind, "path": where} if where else {"type": kind})
    # Version 1 shows the host's paths unless asked not to, as Docker; version 2 hides them unless asked not to, also from the privileged.
    mode = spec.namespaces.cgroup or ("private" if oci_resources.is_unified() else "host")
    if mode == "private":
        listed.append({"type": "cgroup"})
    return listed


def _sysctls(spec: ContainerSpec, shared: Mapping[str, str]) -> dict[str, str]:
    own = frozenset(kind for kind in ("network", "ipc", "uts") if not shared.get(kind))
    for name in spec.security.sysctls:
        if reason := sysctl.refusal(name, own):
            raise InvalidRequest(reason, hint="pyke run --sysctl net.ipv4.ip_forward=1 --help")
    defaults = NETWORK_SYSCTLS if "network" in own else {}
    return {**defaults, **spec.security.sysctls}


def _paths(security: Security, chosen: tuple[str, ...] | None, default: tuple[str, ...]) -> list[str]:
    if chosen is not None:
        return list(chosen)
    is_unconfined = security.privileged or _option(security, "systempaths", "") == "unconfined"
    return [] if is_unconfined else list(default)


def _seccomp(security: Security, granted: list[str]) -> dict[str, Any] | None:
    """The profile with its conditions resolved, as OCI has it; None for a container that is not confined."""
    chosen = _option(security, "seccomp", "")
    if chosen == "unconfined" or (security.privileged and not chosen):
        return None
    if not chosen or chosen == "builtin":
        return seccomp.resolved(seccomp.default_profile(), granted)
    try:
        return seccomp.resolved(json.loads(chosen), granted)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"Decoding seccomp profile failed: {error}", hint="pyke run --security-opt seccomp=unconfined ...") from error


def _option(security: Security, name: str, default: str) -> str:
    """The value of the last --security-opt of this name: "name=value", "name:value" (as of old), or "" for the name alone."""
    value = default
    for option in security.security_opt:
        key, _, rest = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if key == name:
            value = rest
    return value
