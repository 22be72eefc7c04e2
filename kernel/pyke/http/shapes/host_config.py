"""The `HostConfig` object of a container: what its user asked of the host."""

from __future__ import annotations

from typing import Any

from pyke.http.requests.limits import THROTTLES
from pyke.http.requests.mounts import parse_bind
from pyke.http.versions import Version
from pyke.model import ContainerSpec, Limits, MountSpec, PortSpec

Json = dict[str, Any]

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

ALWAYS_EMPTY: Json = {  # parts of Docker's object that mean nothing here, or that pyke does not enforce
    "ContainerIDFile": "", "Cgroup": "", "Isolation": "", "BlkioWeightDevice": [], "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0,
    "DeviceRequests": None, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
}  # fmt: skip
ORDER = (  # Docker's: what people see when they read `inspect`
    "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom Mounts ConsoleSize "
    "Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode "
    "Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime Isolation CpuShares "
    "Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps "
    "BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules "
    "DeviceRequests KernelMemory KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount "
    "CpuPercent IOMaximumIOps IOMaximumBandwidth MaskedPaths ReadonlyPaths Init"
).split()
KERNEL_MEMORY_GONE = Version(1, 42)
DEFAULT_RUNTIME = "pyke"


def host_config(spec: ContainerSpec, version: Version) -> Json:
    """Every key that Docker has, in null, [] or "" where Docker's own engine has it so."""
    shaped = ALWAYS_EMPTY | _general(spec) | _network(spec) | _security(spec) | _limits(spec.limits) | _optional(spec)
    if version < KERNEL_MEMORY_GONE:
        shaped |= {"KernelMemory": 0, "KernelMemoryTCP": 0}
    return {key: shaped[key] for key in ORDER if key in shaped}


def _general(spec: ContainerSpec) -> Json:
    return {
        "Binds": _or_null(spec.binds),
        "LogConfig": {"Type": spec.log.driver or "json-file", "Config": dict(spec.log.options)},
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.maximum_retries},
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": spec.volume_driver,
        "VolumesFrom": _or_null(spec.volumes_from),
        "ShmSize": spec.shm_size,
        "Runtime": spec.runtime or DEFAULT_RUNTIME,
        "ConsoleSize": list(spec.console_size),
        "CgroupParent": spec.cgroup_parent,
    }


def _network(spec: ContainerSpec) -> Json:
    return {
        "NetworkMode": spec.network_mode,
        "PortBindings": port_bindings(spec.ports),
        "PublishAllPorts": spec.publish_all_ports,
        "Dns": list(spec.dns),
        "DnsOptions": list(spec.dns_options),
        "DnsSearch": list(spec.dns_search),
        "ExtraHosts": _or_null(spec.extra_hosts),
        "Links": _or_null(spec.links),
    }


def _security(spec: ContainerSpec) -> Json:
    security, shared = spec.security, spec.namespaces
    masked = () if security.privileged else MASKED_PATHS if security.masked_paths is None else security.masked_paths
    readonly = () if security.privileged else READONLY_PATHS if security.readonly_paths is None else security.readonly_paths
    return {
        "CapAdd": _or_null(security.cap_add),
        "CapDrop": _or_null(security.cap_drop),
        "GroupAdd": _or_null(security.group_add),
        "OomScoreAdj": security.oom_score_adj,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "SecurityOpt": _or_null(security.security_opt),
        "Devices": [
            {"PathOnHost": each.host_path, "PathInContainer": each.container_path, "CgroupPermissions": each.permissions}
            for each in security.devices
        ],
        "DeviceCgroupRules": _or_null(security.device_cgroup_rules),
        "CgroupnsMode": shared.cgroup or "private",
        "IpcMode": shared.ipc or "private",
        "PidMode": shared.pid,
        "UTSMode": shared.uts,
        "UsernsMode": shared.user,
        "MaskedPaths": list(masked) or None,
        "ReadonlyPaths": list(readonly) or None,
    }


def _limits(limits: Limits) -> Json:
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "BlkioWeight": limits.blkio_weight,
        **{
            key: [{"Path": device, "Rate": rate} for each, device, rate in limits.throttles if each == what]
            for key, what in THROTTLES.items()
        },
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap or limits.memory * 2,
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids or None,
        "Ulimits": [{"Name": name, "Hard": hard, "Soft": soft} for name, soft, hard in limits.ulimits],
    }


def _optional(spec: ContainerSpec) -> Json:
    """Keys that Docker leaves out while they are empty."""
    found: Json = {
        "Mounts": [mount(each) for each in spec.mounts if each not in _from_binds(spec) and "given" not in each.options],
        "Tmpfs": {each.target: each.options["given"] for each in spec.mounts if "given" in each.options},
        "Init": spec.init,
        "Sysctls": dict(spec.security.sysctls),
        "StorageOpt": dict(spec.storage_options),
        "Annotations": dict(spec.annotations),
    }
    return {key: value for key, value in found.items() if value}


def _from_binds(spec: ContainerSpec) -> list[MountSpec]:
    return [parse_bind(text) for text in spec.binds]


def port_bindings(ports: tuple[PortSpec, ...]) -> Json:
    """The published ports, as they were asked for."""
    found: Json = {}
    for port in ports:
        text = f"{port.host_port}-{port.host_port_end}" if port.host_port_end else str(port.host_port or "")
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append({"HostIp": port.host_ip, "HostPort": text})
    return found


def mount(spec: MountSpec) -> Json:
    """A mount, as `--mount` asked for it."""
    shaped: Json = {"Type": spec.kind, "Source": spec.source, "Target": spec.target, "ReadOnly": spec.read_only}
    options = {"bind": _bind_options, "volume": _volume_options, "tmpfs": _tmpfs_options}[spec.kind](spec)
    key = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions"}[spec.kind]
    return {name: value for name, value in (shaped | {key: options}).items() if value}


def _bind_options(spec: MountSpec) -> Json:
    words = {
        "Propagation": spec.options.get("propagation"),
        "NonRecursive": "nonrecursive" in spec.options,
        "CreateMountpoint": spec.create_source,
        "ReadOnlyNonRecursive": "readonly-nonrecursive" in spec.options,
    }
    return {key: value for key, value in words.items() if value}


def _volume_options(spec: MountSpec) -> Json:
    driver = {"Name": spec.driver, "Options": dict(spec.driver_options)} if spec.driver or spec.driver_options else None
    words = {
        "NoCopy": "nocopy" in spec.options,
        "Labels": dict(spec.labels),
        "DriverConfig": driver,
        "Subpath": spec.options.get("subpath"),
    }
    return {key: value for key, value in words.items() if value}


def _tmpfs_options(spec: MountSpec) -> Json:
    size, mode = spec.options.get("tmpfs-size"), spec.options.get("tmpfs-mode")
    return ({"SizeBytes": int(size)} if size else {}) | ({"Mode": int(mode, 8)} if mode else {})


def _or_null(words: tuple[str, ...]) -> list[str] | None:
    return list(words) or None
