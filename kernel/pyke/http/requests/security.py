"""Capabilities, security options, devices, sysctls and namespaces of HostConfig."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.model import DeviceSpec, Namespaces, Security

CAPABILITIES = frozenset(  # linux/capability.h, as far as Linux 5.9
    """AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK
    IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP
    SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG SYSLOG WAKE_ALARM""".split()
)

SYSCTLS = frozenset(  # those that belong to a namespace of the container, as runc allows them
    """kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced
    kernel.domainname kernel.hostname""".split()
)

_SYSCTL = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_-]+)+")
_DEVICE_RULE = re.compile(r"[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}")
_CONTAINER = re.compile(r"container:[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def security(host_config: Fields) -> Security:
    """What the process may do. Raises `InvalidRequest`."""
    return Security(
        privileged=host_config.flag("Privileged"),
        cap_add=_capabilities(host_config, "CapAdd"),
        cap_drop=_capabilities(host_config, "CapDrop"),
        security_opt=_security_options(host_config.texts("SecurityOpt")),
        read_only_root=host_config.flag("ReadonlyRootfs"),
        masked_paths=host_config.optional_texts("MaskedPaths"),
        readonly_paths=host_config.optional_texts("ReadonlyPaths"),
        devices=_devices(host_config),
        device_cgroup_rules=_device_rules(host_config),
        group_add=host_config.texts("GroupAdd"),
        sysctls=_sysctls(host_config),
        oom_score_adj=_oom_score(host_config),
    )


def namespaces(host_config: Fields) -> Namespaces:
    """Which namespaces are shared. Raises `InvalidRequest` with Docker's words for a mode that there is not."""
    return Namespaces(
        pid=_mode(host_config, "PidMode", "Invalid PID mode", ("host",), shares=True),
        ipc=_mode(host_config, "IpcMode", "Invalid IPC mode", ("none", "private", "shareable", "host"), shares=True),
        uts=_mode(host_config, "UTSMode", "Invalid UTS mode", ("host",)),
        user=_mode(host_config, "UsernsMode", "Invalid userns mode", ("host",)),
        cgroup=_mode(host_config, "CgroupnsMode", "invalid cgroup namespace mode", ("private", "host")),
    )


def _mode(fields: Fields, key: str, complaint: str, words: Iterable[str], shares: bool = False) -> str:
    mode = fields.text(key)
    if not mode or mode in words or (shares and _CONTAINER.fullmatch(mode)):
        return mode
    raise InvalidRequest(f"{complaint}: {mode}", hint="pyke run --help")


def _capabilities(fields: Fields, key: str) -> tuple[str, ...]:
    """As they were given, with CAP_ or without it, which `inspect` shows."""
    names = fields.texts(key)
    for name in names:
        short = name.upper().removeprefix("CAP_")
        if short != "ALL" and short not in CAPABILITIES:
            raise InvalidRequest(f'invalid {key}: unknown capability: "CAP_{short}"', hint="man 7 capabilities")
    return names


def _security_options(options: tuple[str, ...]) -> tuple[str, ...]:
    for option in options:
        key, *rest = re.split("[=:]", option, maxsplit=1)
        if not rest and key != "no-new-privileges":
            raise InvalidRequest(f'invalid --security-opt 1: "{option[:80]}"', hint="pyke run --security-opt no-new-privileges IMAGE")
        if key not in ("no-new-privileges", "seccomp", "apparmor", "label") or (key == "no-new-privileges" and not _is_bool(rest)):
            raise InvalidRequest(f'invalid --security-opt 2: "{option[:80]}"', hint="pyke run --security-opt no-new-privileges IMAGE")
    return options


def _is_bool(words: list[str]) -> bool:
    """Whether this is nothing, or what Go's strconv.ParseBool takes."""
    return not words or words[0] in ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False")


def _devices(fields: Fields) -> tuple[DeviceSpec, ...]:
    found = []
    for each in fields.objects("Devices"):
        host_path = each.text("PathOnHost")
        container_path = each.text("PathInContainer") or host_path
        permissions = each.text("CgroupPermissions") or "rwm"
        if not re.fullmatch("[rwm]{1,3}", permissions):
            raise InvalidRequest(f"invalid device mode: {permissions}")
        for path in (host_path, container_path):
            if not path.startswith("/"):
                raise InvalidRequest(f"{path} is not an absolute path")
        found.append(DeviceSpec(host_path, container_path, permissions))
    return tuple(found)


def _device_rules(fields: Fields) -> tuple[str, ...]:
    rules = fields.texts("DeviceCgroupRules")
    for rule in rules:
        if not _DEVICE_RULE.fullmatch(rule):
            raise InvalidRequest(f"invalid device cgroup rule format: '{rule}'", hint='pyke run --device-cgroup-rule "c 1:3 rwm" IMAGE')
    return rules


def _sysctls(fields: Fields) -> dict[str, str]:
    found = fields.mapping("Sysctls")
    for name, value in found.items():
        dotted = name.replace("/", ".") if "/" in name and "." not in name else name
        is_known = dotted in SYSCTLS or dotted.startswith(("net.", "fs.mqueue."))
        if not _SYSCTL.fullmatch(name) or not is_known or "\n" in value:
            raise InvalidRequest(f"sysctl '{name}={value}' is not allowed", hint="man 7 namespaces")
    if host_network := next((name for name in found if name.startswith("net") and fields.text("NetworkMode") == "host"), ""):
        raise InvalidRequest(f'sysctl "{host_network}" not allowed in host network namespace')
    return found


def _oom_score(fields: Fields) -> int:
    score = fields.integer("OomScoreAdj")
    if not -1000 <= score <= 1000:
        raise InvalidRequest(f"Invalid value {score}, range for oom score adj is [-1000, 1000]")
    return score
