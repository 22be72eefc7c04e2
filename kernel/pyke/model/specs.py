"""What a user asks of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a container; None or 0 means unlimited (or the kernel's default)."""

    memory: int = 0
    memory_swap: int = 0  # memory plus swap; -1 unlimited, 0 unset (then twice `memory`, as Docker)
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    nano_cpus: int = 0
    cpu_period: int = 0  # microseconds
    cpu_quota: int = 0  # microseconds
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    blkio_weight: int = 0
    throttles: tuple[tuple[str, str, int], ...] = ()  # (read_bps, write_bps, read_iops or write_iops; a device; how many a second)
    pids: int = 0
    ulimits: tuple[tuple[str, int, int], ...] = ()  # (name, soft, hard)


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A host device made visible inside."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class Security:
    """Who the process may be and what it may touch."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()  # as given: "no-new-privileges", "seccomp=<JSON or unconfined>", ...
    read_only_root: bool = False
    masked_paths: tuple[str, ...] | None = None  # None: the defaults
    readonly_paths: tuple[str, ...] | None = None
    devices: tuple[DeviceSpec, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Which namespaces are shared, in Docker's words: "" (own), "host", "container:<ID>", "private", "shareable"."""

    pid: str = ""
    ipc: str = ""
    uts: str = ""
    user: str = ""
    cgroup: str = ""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    name: str = "no"  # no, on-failure, always, unless-stopped
    maximum_retries: int = 0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A health check: `test` as in an image's configuration (["CMD", ...], ["CMD-SHELL", "..."], ["NONE"]); seconds. 0 is the default."""

    test: tuple[str, ...] = ()
    interval: float = 0
    timeout: float = 0
    start_period: float = 0
    retries: int = 0
    start_interval: float = 0

    def over(self, other: HealthCheck) -> HealthCheck:
        """This one, with what it leaves open as `other` has it."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(other, **{name: value for name, value in mine.items() if value})


@dataclass(frozen=True, slots=True)
class LogConfig:
    driver: str = ""  # "" is the engine's default
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MountSpec:
    """A mount that was asked for: kind is bind, volume or tmpfs. `source` is a host path, a volume name, or ""."""

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    options: Mapping[str, str] = field(default_factory=dict)  # propagation, nocopy, tmpfs-size (bytes), tmpfs-mode (octal), ...
    driver: str = ""
    driver_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    create_source: bool = False  # `-v` makes a missing host directory, `--mount` does not


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A published port. `host_port` 0 lets the engine choose; `host_ip` "" means all addresses."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0  # with a range, the engine takes the first free port of it


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """A wish to be connected to a network, with the address and names asked for."""

    network: str  # name or ID as given
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    driver_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that a request asks of a container, normalised. None means "as the image says"."""

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None  # () clears the image's
    environment: tuple[str, ...] = ()  # "A=1"; a bare "A" removes the image's A
    working_directory: str = ""
    user: str = ""
    hostname: str = ""
    domainname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    console_size: tuple[int, int] = (0, 0)  # rows, columns
    stop_signal: str = ""
    stop_timeout: int | None = None  # seconds
    health: HealthCheck | None = None
    network_mode: str = "default"  # default, none, host, bridge, container:<ID>, or a network's name
    endpoints: tuple[EndpointSpec, ...] = ()
    network_disabled: bool = False
    exposed_ports: tuple[str, ...] = ()  # "80/tcp"
    ports: tuple[PortSpec, ...] = ()
    publish_all_ports: bool = False
    extra_hosts: tuple[str, ...] = ()  # "name:address"
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    anonymous_volumes: tuple[str, ...] = ()  # targets
    volumes_from: tuple[str, ...] = ()
    volume_driver: str = ""
    binds: tuple[str, ...] = ()  # `-v` as it was given, for `inspect` only
    limits: Limits = Limits()
    security: Security = Security()
    namespaces: Namespaces = Namespaces()
    restart: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    init: bool = False
    log: LogConfig = LogConfig()
    shm_size: int = 0
    cgroup_parent: str = ""
    runtime: str = ""  # "" is the engine's default
    storage_options: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
