"""What an image, a container, a network and a mount are: frozen dataclasses that survive JSON.

Everything that crosses a border (engine and driver, engine and database, hook and hook) is one of these or a builtin.
`codec.to_data` and `codec.from_data` carry them through JSON. Units: bytes, seconds (float) and, for instants,
nanoseconds since the epoch (int), unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# --- what a user asks for ------------------------------------------------------------------------------------------


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
    """A health check: `test` as in an image's configuration (["CMD", ...], ["CMD-SHELL", "..."], ["NONE"]); seconds."""

    test: tuple[str, ...] = ()
    interval: float = 0
    timeout: float = 0
    start_period: float = 0
    retries: int = 0


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


# --- images --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an image's configuration that a container starts from. It is data: it never configures the engine."""

    environment: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_directory: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    health: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    created: str = ""  # RFC 3339
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in an image: the digest of its plain tar, and of the stack that it completes. `size` is unpacked bytes."""

    diff_id: str
    chain_id: str
    blob: str  # digest of the blob as stored in the OCI layout
    size: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """An image. `id` is the digest of its configuration, as `docker images --no-trunc` shows it."""

    id: str
    manifest: str  # digest in the OCI layout
    tags: tuple[str, ...] = ()  # "docker.io/library/busybox:latest": canonical; `references.familiar` shortens
    repo_digests: tuple[str, ...] = ()
    created: str = ""  # RFC 3339
    architecture: str = ""
    variant: str = ""
    os: str = ""
    author: str = ""
    comment: str = ""
    config: ImageConfig = ImageConfig()
    layers: tuple[Layer, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    parent: str = ""
    size: int = 0
    removed: bool = False  # by force, and kept only because containers stand on its layers; no list shows it

    @property
    def chain_id(self) -> str:
        """The chain ID of the topmost layer, or "" for an image without layers."""
        return self.layers[-1].chain_id if self.layers else ""


# --- networks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subnet:
    subnet: str  # "172.30.0.0/16"
    gateway: str = ""  # an address inside it
    ip_range: str = ""  # where to allocate, a part of `subnet`
    reserved: Mapping[str, str] = field(default_factory=dict)  # auxiliary addresses


@dataclass(frozen=True, slots=True)
class Network:
    """A network. `interface` is the driver's own name for its host side (a bridge), "" where there is none."""

    id: str
    name: str
    driver: str
    created: int = 0  # ns
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    interface: str = ""
    builtin: bool = False  # bridge, host, none: made by the engine, cannot be removed


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port as it is really published."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a network: reserved when it is created or connected, attached while it runs."""

    id: str
    network: str  # ID
    network_name: str
    container: str  # ID
    ipv4: str = ""  # "172.30.0.2/16"
    ipv6: str = ""
    gateway: str = ""
    mac: str = ""
    interface: str = ""  # inside: "eth0"
    host_interface: str = ""  # on the host, where there is one
    aliases: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    default_route: bool = True  # whether this endpoint's gateway is the container's
    driver_options: Mapping[str, str] = field(default_factory=dict)
    requested_ipv4: str = ""  # what the user asked for, kept over restarts
    requested_mac: str = ""
    requested_ipv6: str = ""
    gateway6: str = ""
    links: tuple[str, ...] = ()


# --- mounts and file systems ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RootFilesystem:
    """How to mount a snapshot, told by a storage driver and done by init inside the container's own mount namespace.

    `kind` overlay: lower directories topmost first, `upper` and `work` ("" for a read-only stack); each of `images` is mounted
    first, as (file, file system type, directory), and may serve as a lower directory. `kind` bind: `source` alone.
    """

    kind: str
    source: str = ""
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    images: tuple[tuple[str, str, str], ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount as it is in a container: what `inspect` shows under Mounts. `source` is the host path that is bound."""

    kind: str  # bind, volume, tmpfs
    target: str
    source: str = ""
    name: str = ""  # of the volume
    driver: str = ""
    read_only: bool = False
    propagation: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Volume:
    name: str
    driver: str = "local"
    mountpoint: str = ""
    created: int = 0  # ns
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False


# --- containers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where a container is in its life. `status`: created, running, paused, restarting, removing, exited, dead."""

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0  # ns, 0 never
    finished_at: int = 0  # ns, 0 never
    restart_count: int = 0
    manually_stopped: bool = False  # `unless-stopped` and `always` ask for it

    @property
    def is_running(self) -> bool:
        """Whether its process is alive: paused counts, as for Docker."""
        return self.status in ("running", "paused")


@dataclass(frozen=True, slots=True)
class Container:
    """A container: what was asked, what it was made from, where its parts are and how it fares."""

    id: str
    name: str  # without Docker's leading slash
    created: int  # ns
    spec: ContainerSpec
    image_id: str
    image_name: str  # as the user named it
    image_config: ImageConfig
    argv: tuple[str, ...]  # entrypoint and command, resolved
    storage_driver: str
    hostname: str
    state: ContainerState = ContainerState()
    endpoints: tuple[Endpoint, ...] = ()
    mounts: tuple[Mount, ...] = ()
    log_path: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:12]


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """A command to be run inside a running container, as a request asks for it."""

    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    working_directory: str = ""
    user: str = ""  # "" is the container's
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""  # as given: "ctrl-p,ctrl-q"
    console_size: tuple[int, int] = (0, 0)  # rows, columns


@dataclass(frozen=True, slots=True)
class Exec:
    """A command inside a container: made by `exec_create`, run by `exec_start`, asked about for a while after its end."""

    id: str
    container: str  # ID
    spec: ExecSpec
    pid: int = 0
    is_running: bool = False
    exit_code: int | None = None  # None until it has ended


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as `docker events` tells it."""

    time: int  # ns
    kind: str  # container, image, network, volume, plugin, daemon
    action: str  # create, start, die, ...
    object: str  # ID or name
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who speaks to the engine, as the kernel says (SO_PEERCRED), never as the request says."""

    uid: int
    gid: int
    pid: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an authoriser is asked: the caller, the operation, and the normalised object, never the request's body."""

    caller: Caller
    operation: str  # "container.create", "container.start", "image.load", ...
    object: str = ""  # ID or name
    spec: ContainerSpec | None = None
