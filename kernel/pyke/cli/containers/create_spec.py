"""From the flags of `run` and `create` to the API's JSON: one function for each part of it."""

from __future__ import annotations

from pyke.cli.containers import mounts, ports
from pyke.cli.files import environment, pairs, read_pairs
from pyke.cli.flags import split_csv
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.flags import Options

_NAMESPACE_FLAGS = (
    *(("pid", "PID", ("host",)), ("uts", "UTS", ("host",))),
    *(("userns", "USER", ("host",)), ("cgroupns", "CGROUP", ("host", "private"))),
)
DEFAULT_NETWORKS = ("default", "bridge", "host", "none", "")


def request(options: Options, *, detached: bool = False) -> dict[str, Any]:
    """The body of POST /containers/create. PykeError if flags contradict each other or do not make sense."""
    _check(options)
    binds, anonymous = mounts.parse_volumes([*dict.fromkeys(options.texts("volume"))])
    published = ports.parse_published(options.texts("publish"))
    body = {**_config(options, detached), "HostConfig": _host_config(options)}
    body["ExposedPorts"] = {port: {} for port in [*published, *ports.parse_exposed(options.texts("expose"))]}
    body["Volumes"] = anonymous
    body["HostConfig"] |= {"Binds": binds or None, "PortBindings": published, "PublishAllPorts": options.yes("publish-all")}
    mode, endpoints = _networks(options)
    body["HostConfig"]["NetworkMode"] = mode
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return body


def _check(options: Options) -> None:
    if options.yes("rm") and options.text("restart") not in ("no", ""):
        raise PykeError("conflicting options: cannot specify both --restart and --rm")
    for flag, word, others in _NAMESPACE_FLAGS:
        value = options.text(flag)
        if value and value not in others and not (flag == "pid" and value.partition("container:")[2]):
            raise PykeError(f"--{flag}: invalid {word} mode")
    swappiness = options.number("memory-swappiness")
    if not -1 <= swappiness <= 100:
        raise PykeError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    address = options.text("mac-address")
    if address and not _is_mac(address):
        raise PykeError(f"{address} is not a valid mac address")


def _is_mac(text: str) -> bool:
    parts = text.replace("-", ":").split(":")
    return len(parts) == 6 and all(len(part) == 2 and part.strip("0123456789abcdefABCDEF") == "" for part in parts)


def _config(options: Options, detached: bool) -> dict[str, Any]:
    image, *command = options.arguments
    attached = [] if detached else options.texts("attach") or ["stdout", "stderr", *(["stdin"] if options.yes("interactive") else [])]
    entrypoint = [options.text("entrypoint")] if options.given("entrypoint") else None
    config: dict[str, Any] = {
        "Image": image,
        "Cmd": command or None,
        "Entrypoint": entrypoint,
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "AttachStdin": "stdin" in attached,
        "AttachStdout": "stdout" in attached,
        "AttachStderr": "stderr" in attached,
        "Tty": options.yes("tty"),
        "OpenStdin": options.yes("interactive"),
        "StdinOnce": options.yes("interactive") and "stdin" in attached,
        "Env": environment(options),
        "WorkingDir": options.text("workdir"),
        "Labels": pairs([*read_pairs(options.texts("label-file")), *options.texts("label")]),
        "StopSignal": options.text("stop-signal"),
        "MacAddress": options.text("mac-address"),
        "Healthcheck": _healthcheck(options),
    }
    if options.given("stop-timeout"):
        config["StopTimeout"] = options.number("stop-timeout")
    return config


def _healthcheck(options: Options) -> dict[str, Any] | None:
    command, durations = options.text("health-cmd"), ("interval", "timeout", "start-period", "start-interval")
    names = ("cmd", "retries", *durations)
    wanted = any(options.given(f"health-{name}") for name in names)
    if options.yes("no-healthcheck"):
        if wanted:
            raise PykeError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not wanted:
        return None
    for name in durations:
        if options.number(f"health-{name}") < 0:
            raise PykeError(f"--health-{name} cannot be negative")
    if options.number("health-retries") < 0:
        raise PykeError("--health-retries cannot be negative")
    return {
        "Test": ["CMD-SHELL", command] if command else None,
        "Interval": options.number("health-interval"),
        "Timeout": options.number("health-timeout"),
        "StartPeriod": options.number("health-start-period"),
        "StartInterval": options.number("health-start-interval"),
        "Retries": options.number("health-retries"),
    }


def _host_config(options: Options) -> dict[str, Any]:
    return {**_isolation(options), **_surroundings(options), **limits(options), "RestartPolicy": restart_policy(options.text("restart"))}


def _isolation(options: Options) -> dict[str, Any]:
    from pyke.cli.containers import security

    settings, unmasked = security.options(options.texts("security-opt"))
    config: dict[str, Any] = {
        "Privileged": options.yes("privileged"),
        **security.capabilities(options.texts("cap-add"), options.texts("cap-drop")),
        "SecurityOpt": settings or None,
        "Devices": [security.device(text) for text in options.texts("device")],
        "DeviceCgroupRules": options.texts("device-cgroup-rule") or None,
        "DeviceRequests": security.gpus(options.text("gpus")),
        "GroupAdd": options.texts("group-add") or None,
        "Sysctls": pairs(options.texts("sysctl")),
        "PidMode": options.text("pid"),
        "IpcMode": options.text("ipc"),
        "UTSMode": options.text("uts"),
        "UsernsMode": options.text("userns"),
        "CgroupnsMode": options.text("cgroupns"),
        "CgroupParent": options.text("cgroup-parent"),
        "Isolation": options.text("isolation"),
        "ReadonlyRootfs": options.yes("read-only"),
    }
    return config | ({"MaskedPaths": [], "ReadonlyPaths": []} if unmasked else {})


def _surroundings(options: Options) -> dict[str, Any]:
    config: dict[str, Any] = {
        "AutoRemove": options.yes("rm"),
        "ContainerIDFile": options.text("cidfile"),
        "Runtime": options.text("runtime"),
        "Dns": options.texts("dns"),
        "DnsOptions": [*options.texts("dns-option"), *options.texts("dns-opt")],
        "DnsSearch": options.texts("dns-search"),
        "ExtraHosts": options.texts("add-host") or None,
        "Links": options.texts("link") or None,
        "LogConfig": {"Type": options.text("log-driver"), "Config": pairs(options.texts("log-opt"))},
        "Mounts": options.values("mount"),
        "Tmpfs": mounts.parse_tmpfs(options.texts("tmpfs")),
        "VolumesFrom": options.texts("volumes-from") or None,
        "VolumeDriver": options.text("volume-driver"),
        "ShmSize": options.number("shm-size"),
        "StorageOpt": pairs(options.texts("storage-opt")),
        "Annotations": pairs(options.texts("annotation")),
    }
    if options.given("init"):
        config["Init"] = options.yes("init")
    return config


def limits(options: Options) -> dict[str, Any]:
    """The resource limits that `run`, `create` and `update` share."""
    config: dict[str, Any] = {
        "Memory": options.number("memory"),
        "MemoryReservation": options.number("memory-reservation"),
        "MemorySwap": options.number("memory-swap"),
        "KernelMemory": options.number("kernel-memory"),
        "OomKillDisable": options.yes("oom-kill-disable"),
        "OomScoreAdj": options.number("oom-score-adj"),
        "NanoCpus": options.number("cpus"),
        "CpuShares": options.number("cpu-shares"),
        "CpuPeriod": options.number("cpu-period"),
        "CpuQuota": options.number("cpu-quota"),
        "CpuRealtimePeriod": options.number("cpu-rt-period"),
        "CpuRealtimeRuntime": options.number("cpu-rt-runtime"),
        "CpusetCpus": options.text("cpuset-cpus"),
        "CpusetMems": options.text("cpuset-mems"),
        "BlkioWeight": options.number("blkio-weight"),
        "BlkioWeightDevice": [{"Path": each["Path"], "Weight": each["Rate"]} for each in options.values("blkio-weight-device")],
        "BlkioDeviceReadBps": options.values("device-read-bps"),
        "BlkioDeviceReadIOps": options.values("device-read-iops"),
        "BlkioDeviceWriteBps": options.values("device-write-bps"),
        "BlkioDeviceWriteIOps": options.values("device-write-iops"),
        "Ulimits": [ulimit(text) for text in sorted(options.texts("ulimit"))],
    }
    if options.given("pids-limit"):
        config["PidsLimit"] = options.number("pids-limit")
    if options.number("memory-swappiness") >= 0:
        config["MemorySwappiness"] = options.number("memory-swappiness")
    return config


def ulimit(text: str) -> dict[str, Any]:
    """ "nofile=100:200" as the API has it; the flag has been checked already."""
    name, _, value = text.partition("=")
    soft, _, hard = value.partition(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}


def restart_policy(text: str) -> dict[str, Any]:
    """ "on-failure:3" as the API has it."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise PykeError("invalid restart policy format: no policy provided before colon")
    if colon and not count.removeprefix("-").isdigit():
        raise PykeError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _networks(options: Options) -> tuple[str, dict[str, Any]]:
    """The network mode, and an endpoint for each network that has something to say or is not the only one."""
    wishes = [_network(text) for text in [*options.texts("network"), *options.texts("net")]] or [("default", {})]
    mode, first = wishes[0]
    _add_flags(options, mode, first)
    endpoints = {name: endpoint for name, endpoint in wishes if endpoint or len(wishes) > 1 or name not in DEFAULT_NETWORKS}
    if mode.startswith("container:") or (mode in ("host", "none") and not first):
        endpoints.pop(mode, None)
    return mode, endpoints


def _add_flags(options: Options, mode: str, endpoint: dict[str, Any]) -> None:
    aliases = [*options.texts("network-alias"), *options.texts("net-alias")]
    if aliases:
        endpoint["Aliases"] = [*endpoint.get("Aliases", []), *aliases]
    addresses = {"IPv4Address": options.text("ip"), "IPv6Address": options.text("ip6"), "LinkLocalIPs": options.texts("link-local-ip")}
    if given := {key: value for key, value in addresses.items() if value}:
        endpoint.setdefault("IPAMConfig", {}).update(given)
    if options.text("mac-address") and mode not in DEFAULT_NETWORKS:
        endpoint["MacAddress"] = options.text("mac-address")
    if options.texts("link") and mode not in DEFAULT_NETWORKS:
        endpoint["Links"] = options.texts("link")


def _network(text: str) -> tuple[str, dict[str, Any]]:
    """Read `--network NAME` or `--network name=NAME,alias=A,ip=...,driver-opt=K=V`."""
    if "=" not in text or text.startswith("container:"):
        return text, {}
    name = ""
    endpoint: dict[str, Any] = {}
    for field in split_csv(text):
        key, _, value = field.partition("=")
        if key == "name":
            name = value
        elif key == "alias":
            endpoint.setdefault("Aliases", []).append(value)
        elif key in ("ip", "ip6"):
            endpoint.setdefault("IPAMConfig", {})["IPv4Address" if key == "ip" else "IPv6Address"] = value
        elif key == "mac-address":
            endpoint["MacAddress"] = value
        elif key == "driver-opt":
            option, _, setting = value.partition("=")
            endpoint.setdefault("DriverOpts", {})[option] = setting
        else:
            raise PykeError(f"invalid field key {key} in --network {text}")
    return name, endpoint
