"""The body of POST /containers/create (Config, HostConfig, NetworkingConfig) → `ContainerSpec`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from pyke.errors import InvalidRequest, NotFound
from pyke.http.fields import Fields
from pyke.http.requests import limits, mounts, networking, ports, security
from pyke.http.requests.health import health_check
from pyke.http.versions import Version
from pyke.model import ContainerSpec, LogConfig, RestartPolicy

SHM_SIZE = 64 << 20
LONGEST_CGROUP_PARENT = 1024  # characters
RESTART_POLICIES = ("no", "on-failure", "always", "unless-stopped")
JSON_FILE_OPTIONS = ("max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size")
NATIVE_RUNTIMES = ("", "pyke", "runc")  # Docker's name for its default is taken for ours, because tools write it out

_SIZE = re.compile(r"-1|\d{1,12}[kmg]?b?", re.IGNORECASE)


@dataclass(frozen=True)
class Installed:
    """What a request may name because a plugin brings it."""

    log_drivers: Collection[str] = ()
    runtimes: Collection[str] = ()


def container_spec(config: Fields, version: Version, installed: Installed) -> tuple[ContainerSpec, list[str]]:
    """The specification, and a warning for each wish that will not be fulfilled. Raises `InvalidRequest` naming the field."""
    host_config = config.object("HostConfig")
    mode = networking.network_mode(host_config)
    links = host_config.texts("Links")
    networking.check_mode_conflicts(mode, config, host_config, links)
    _check_unsupported(host_config)
    spec = ContainerSpec(
        image=_image(config),
        command=config.optional_texts("Cmd"),
        entrypoint=_entrypoint(config),
        environment=_environment(config),
        working_directory=_working_directory(config),
        user=config.text("User"),
        hostname=networking.host_name(config, "Hostname"),
        domainname=networking.host_name(config, "Domainname"),
        labels=config.mapping("Labels"),
        tty=config.flag("Tty"),
        open_stdin=config.flag("OpenStdin"),
        stdin_once=config.flag("StdinOnce"),
        attach_stdin=config.flag("AttachStdin"),
        attach_stdout=config.flag("AttachStdout"),
        attach_stderr=config.flag("AttachStderr"),
        console_size=console_size(host_config),
        stop_signal=config.text("StopSignal"),
        stop_timeout=config.optional_integer("StopTimeout"),
        health=health_check(config),
        network_mode=mode,
        endpoints=networking.endpoints(config.object("NetworkingConfig"), config, mode, version),
        network_disabled=config.flag("NetworkDisabled"),
        exposed_ports=ports.exposed_ports(config),
        ports=ports.port_bindings(host_config),
        publish_all_ports=host_config.flag("PublishAllPorts"),
        extra_hosts=networking.extra_hosts(host_config),
        dns=networking.dns_servers(host_config),
        dns_search=networking.resolver_words(host_config, "DnsSearch"),
        dns_options=networking.resolver_words(host_config, "DnsOptions"),
        links=links,
        mounts=mounts.all_mounts(host_config),
        anonymous_volumes=mounts.anonymous_volumes(config),
        volumes_from=_volumes_from(host_config),
        volume_driver=host_config.text("VolumeDriver"),
        binds=host_config.texts("Binds"),
        limits=limits.limits(host_config),
        security=security.security(host_config),
        namespaces=security.namespaces(host_config),
        restart=restart_policy(host_config),
        auto_remove=_auto_remove(host_config),
        init=host_config.flag("Init"),
        log=_log(host_config, installed),
        shm_size=_shm_size(host_config),
        cgroup_parent=_cgroup_parent(host_config),
        runtime=_runtime(host_config, installed),
        storage_options=host_config.mapping("StorageOpt"),
        annotations=host_config.mapping("Annotations"),
    )
    return spec, [*limits.warnings(host_config), *networking.warnings(mode, spec.ports)]


def _cgroup_parent(host_config: Fields) -> str:
    """The cgroup below which the container's is made. Its path stays in the hierarchy: "..", which could name another's, is refused."""
    parent = host_config.text("CgroupParent")
    if ".." in parent.split("/") or not parent.isprintable() or len(parent) > LONGEST_CGROUP_PARENT:
        raise InvalidRequest(f"invalid cgroup parent {parent[:80]!r}", hint="pyke run --cgroup-parent NAME IMAGE")
    return parent


def restart_policy(fields: Fields) -> RestartPolicy:
    """RestartPolicy of HostConfig or of an update; nothing given is "no"."""
    policy = fields.object("RestartPolicy")
    name, retries = policy.text("Name") or "no", policy.integer("MaximumRetryCount")
    if name not in RESTART_POLICIES:
        raise InvalidRequest(f"invalid restart policy '{name}'", hint="pyke run --help")
    if retries < 0:
        raise InvalidRequest("maximum retry count cannot be negative")
    if retries and name != "on-failure":
        raise InvalidRequest(
            f"maximum retry count cannot be used with restart policy '{name}'", hint="pyke run --restart on-failure:3 IMAGE"
        )
    return RestartPolicy(name, retries)


def console_size(fields: Fields) -> tuple[int, int]:
    """ConsoleSize: [rows, columns]; null or absent is (0, 0), which leaves the terminal's size alone."""
    numbers = fields.array("ConsoleSize")
    if not numbers:
        return 0, 0
    if len(numbers) != 2 or not all(type(each) is int and 0 <= each <= 65535 for each in numbers):
        raise InvalidRequest(f"{fields.name('ConsoleSize')} must be two numbers, rows and columns")
    return numbers[0], numbers[1]


def environment_lines(fields: Fields, key: str) -> tuple[str, ...]:
    """Env: "A=1", or a bare "A"."""
    found = fields.texts(key)
    for line in found:
        if not line or line.startswith("="):
            raise InvalidRequest(f"invalid environment variable: {line}")
    return found


def _image(config: Fields) -> str:
    if not config.text("Image"):
        raise InvalidRequest("invalid reference format: no image was named", hint="pyke images")
    return config.text("Image")


def _entrypoint(config: Fields) -> tuple[str, ...] | None:
    """`docker run --entrypoint ""` sends [""], which clears the image's."""
    given = config.optional_texts("Entrypoint")
    return () if given == ("",) else given or None


def _environment(config: Fields) -> tuple[str, ...]:
    return environment_lines(config, "Env")


def _working_directory(config: Fields) -> str:
    directory = config.text("WorkingDir")
    if directory and not directory.startswith("/"):
        raise InvalidRequest(f"the working directory '{directory}' is invalid, it needs to be an absolute path")
    return directory


def _volumes_from(host_config: Fields) -> tuple[str, ...]:
    found = host_config.texts("VolumesFrom")
    for text in found:
        name, _, mode = text.partition(":")
        if not name:
            raise InvalidRequest(f"invalid volumes-from specification: '{text}'")
        if mode and not set(mode.split(",")) <= {"ro", "rw", "z", "Z"}:
            raise InvalidRequest(f"invalid mode: {mode}")
    return found


def _auto_remove(host_config: Fields) -> bool:
    wanted = host_config.flag("AutoRemove")
    if wanted and restart_policy(host_config).name != "no":
        raise InvalidRequest("can't create 'AutoRemove' container with restart policy")
    return wanted


def _shm_size(host_config: Fields) -> int:
    size = host_config.integer("ShmSize")
    if size < 0:
        raise InvalidRequest("SHM size can not be less than 0")
    return size or SHM_SIZE


def _log(host_config: Fields, installed: Installed) -> LogConfig:
    fields = host_config.object("LogConfig")
    driver, options = fields.text("Type"), fields.mapping("Config")
    if driver not in ("", "json-file", "none", *installed.log_drivers):
        raise InvalidRequest(f'error looking up logging plugin {driver}: plugin "{driver}" not found', hint="pyke plugin ls")
    if driver in ("", "json-file"):
        _check_log_options(options)
    elif driver == "none" and options:
        raise InvalidRequest(f"unknown log opt '{next(iter(options))}' for none log driver")
    return LogConfig(driver, options)


def _check_log_options(options: dict[str, str]) -> None:
    for name, value in options.items():
        if name not in JSON_FILE_OPTIONS:
            raise InvalidRequest(f"unknown log opt '{name}' for json-file log driver", hint="pyke run --help")
        if name == "max-size" and not _SIZE.fullmatch(value):
            raise InvalidRequest(f"invalid size: '{value}'", hint="pyke run --log-opt max-size=10m IMAGE")
        if name == "max-file" and not (value.isdecimal() and 1 <= int(value[:6]) <= 1000):
            raise InvalidRequest("max-file cannot be less than 1", hint="pyke run --log-opt max-size=10m --log-opt max-file=3 IMAGE")
    if int(options.get("max-file", "1")) > 1 and options.get("max-size", "-1") == "-1":
        raise InvalidRequest("max-file cannot be used without max-size", hint="pyke run --log-opt max-size=10m --log-opt max-file=3 IMAGE")


def _runtime(host_config: Fields, installed: Installed) -> str:
    name = host_config.text("Runtime")
    if name in NATIVE_RUNTIMES:
        return ""
    if name not in installed.runtimes:
        raise InvalidRequest(f"Unknown runtime specified {name}", hint="pyke info --format '{{.Runtimes}}'")
    return name


def _check_unsupported(host_config: Fields) -> None:
    isolation = host_config.text("Isolation")
    if isolation not in ("", "default"):
        raise InvalidRequest(f"Invalid isolation: \"{isolation}\" - linux only supports 'default'")
    for option in host_config.mapping("StorageOpt"):
        if option != "size":
            raise InvalidRequest(f"Unknown option {option}")
    for request in host_config.objects("DeviceRequests"):
        groups = (group for group in request.array("Capabilities") if isinstance(group, list))
        capabilities = " ".join(f"[{' '.join(str(each) for each in group)}]" for group in groups)
        raise NotFound(f'could not select device driver "{request.text("Driver")}" with capabilities: [{capabilities}]')
