"""The flags of `run` and `create`."""

from __future__ import annotations

import _socket

from pyke.cli import units
from pyke.cli.flags import BOOL, BYTES, BYTES_OR_UNLIMITED, DECIMAL, DURATION, INT, LIST, MAP, SMALL, STRING, Flag, Kind, checked_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_SYSCTLS = (
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem"),
    *("kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"),
)


def _environment(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid environment variable: {text}")
    return text


def _label(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def _attach(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def _address(text: str) -> str:
    if not is_address(text.strip()):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text.strip()


def _domain(text: str) -> str:
    labels = text.strip(" ").split(".")
    if text.strip(" ") != "." and not all(label and set(label) <= _LABEL for label in labels):
        raise ValueError(f"{text} is not a valid domain")
    return text.strip(" ")


def _device_rule(text: str) -> str:
    kind, _, rest = text.partition(" ")
    numbers, _, permissions = rest.partition(" ")
    pair = numbers.split(":")
    if kind not in tuple("acb") or len(pair) != 2 or not all(part == "*" or part.isdigit() for part in pair):
        raise ValueError(f"invalid device cgroup format '{text}'")
    if not 1 <= len(permissions) <= 3 or not set(permissions) <= set("rwm"):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def _extra_host(text: str) -> str:
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not separator or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    address = address.removeprefix("[").removesuffix("]")
    if address != "host-gateway" and not is_address(address):
        raise ValueError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{address}"


def _ulimit(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = value.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {value}, can only have up to two, `soft[:hard]`")
    for part in parts:
        if not part.removeprefix("-").isdigit():
            raise ValueError(f'strconv.ParseInt: parsing "{part}": invalid syntax')
    if len(parts) == 2 and int(parts[1]) != -1 and (int(parts[0]) == -1 or int(parts[0]) > int(parts[1])):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {parts[0]} > {parts[1]}")
    return text


def _device_number(text: str, read: Callable[[str], int], refusal: str) -> dict[str, object]:
    """ "/dev/sda:NUMBER" as a device and its number, which may be refused with `refusal`."""
    path, colon, number = text.partition(":")
    if not colon:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    try:
        return {"Path": path, "Rate": read(number)}
    except ValueError:
        raise ValueError(refusal.format(text)) from None


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _weight(text: str) -> int:
    weight = _positive(text)
    if weight and not 10 <= weight <= 1000:
        raise ValueError(text)
    return weight


_NUMBER = "invalid rate for device: {}. The correct format is <device-path>:<number>%s. Number must be a positive integer%s"
_BYTES_A_SECOND = checked_list(
    lambda text: _device_number(text, units.parse_size, _NUMBER % ("[<unit>]", ". Unit is optional and can be kb, mb, or gb"))
)
_TIMES_A_SECOND = checked_list(lambda text: _device_number(text, _positive, _NUMBER % ("", "")))
_DEVICE_WEIGHT = checked_list(lambda text: _device_number(text, _weight, "invalid weight for device: {}"))


def _sysctl(text: str) -> str:
    name = text.partition("=")[0]
    if "=" not in text or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def _mount(text: str) -> object:
    from pyke.cli.containers import mounts

    return mounts.parse_mount(text)


_NETWORK_NAME = checked_list(str, "network")
_GPUS = Kind("gpu-request", str, empty="")

_IDENTITY = [
    Flag("name", "", STRING, "Assign a name to the container"),
    Flag("hostname", "h", STRING, "Container host name"),
    Flag("domainname", "", STRING, "Container NIS domain name"),
    Flag("label", "l", checked_list(_label), "Set meta data on a container"),
    Flag("label-file", "", LIST, "Read in a line delimited file of labels"),
    Flag("annotation", "", MAP, "Add an annotation to the container (passed through to the OCI runtime)"),
    Flag("cidfile", "", STRING, "Write the container ID to the file"),
    Flag("platform", "", STRING, "Set platform if server is multi-platform capable"),
    Flag("pull", "", STRING, "Pull image before running (always, missing, never)", "missing"),
    Flag("quiet", "q", BOOL, "Suppress the pull output"),
    Flag("runtime", "", STRING, "Runtime to use for this container"),
    Flag("isolation", "", STRING, "Container isolation technology"),
    Flag("disable-content-trust", "", BOOL, "Skip image verification", True),
]

_PROCESS = [
    Flag("attach", "a", checked_list(_attach), "Attach to STDIN, STDOUT or STDERR"),
    Flag("interactive", "i", BOOL, "Keep STDIN open even if not attached"),
    Flag("tty", "t", BOOL, "Allocate a pseudo-TTY"),
    Flag("entrypoint", "", STRING, "Overwrite the default ENTRYPOINT of the image"),
    Flag("env", "e", checked_list(_environment), "Set environment variables"),
    Flag("env-file", "", LIST, "Read in a file of environment variables"),
    Flag("user", "u", STRING, "Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag("group-add", "", LIST, "Add additional groups to join"),
    Flag("workdir", "w", STRING, "Working directory inside the container"),
    Flag("init", "", BOOL, "Run an init inside the container that forwards signals and reaps processes"),
    Flag("rm", "", BOOL, "Automatically remove the container and its associated anonymous volumes when it exits"),
    Flag("restart", "", STRING, "Restart policy to apply when a container exits", "no"),
    Flag("stop-signal", "", STRING, "Signal to stop the container"),
    Flag("stop-timeout", "", INT, "Timeout (in seconds) to stop a container"),
    Flag("health-cmd", "", STRING, "Command to run to check health"),
    Flag("health-interval", "", DURATION, "Time between running the check (ms|s|m|h)"),
    Flag("health-retries", "", INT, "Consecutive failures needed to report unhealthy"),
    Flag("health-start-period", "", DURATION, "Start period for the container to initialize before starting health-retries countdown"),
    Flag("health-start-interval", "", DURATION, "Time between running the check during the start period (ms|s|m|h)"),
    Flag("health-timeout", "", DURATION, "Maximum time to allow one check to run (ms|s|m|h)"),
    Flag("no-healthcheck", "", BOOL, "Disable any container-specified HEALTHCHECK"),
    Flag("log-driver", "", STRING, "Logging driver for the container"),
    Flag("log-opt", "", LIST, "Log driver options"),
]

_NETWORK = [
    Flag("network", "", _NETWORK_NAME, "Connect a container to a network"),
    Flag("net", "", _NETWORK_NAME, "The same as --network"),
    Flag("network-alias", "", LIST, "Add network-scoped alias for the container"),
    Flag("net-alias", "", LIST, "The same as --network-alias"),
    Flag("ip", "", STRING, "IPv4 address (e.g., 172.30.100.104)"),
    Flag("ip6", "", STRING, "IPv6 address (e.g., 2001:db8::33)"),
    Flag("link", "", LIST, "Add link to another container"),
    Flag("link-local-ip", "", LIST, "Container IPv4/IPv6 link-local addresses"),
    Flag("mac-address", "", STRING, "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag("publish", "p", LIST, "Publish a container's port(s) to the host"),
    Flag("publish-all", "P", BOOL, "Publish all exposed ports to random ports"),
    Flag("expose", "", LIST, "Expose a port or a range of ports"),
    Flag("add-host", "", checked_list(_extra_host), "Add a custom host-to-IP mapping (host:ip)"),
    Flag("dns", "", checked_list(_address), "Set custom DNS servers"),
    Flag("dns-option", "", LIST, "Set DNS options"),
    Flag("dns-opt", "", LIST, "The same as --dns-option"),
    Flag("dns-search", "", checked_list(_domain), "Set custom DNS search domains"),
]

_STORAGE = [
    Flag("volume", "v", LIST, "Bind mount a volume"),
    Flag("mount", "", checked_list(_mount, "mount"), "Attach a filesystem mount to the container"),
    Flag("tmpfs", "", LIST, "Mount a tmpfs directory"),
    Flag("volumes-from", "", LIST, "Mount volumes from the specified container(s)"),
    Flag("volume-driver", "", STRING, "Optional volume driver for the container"),
    Flag("read-only", "", BOOL, "Mount the container's root filesystem as read only"),
    Flag("shm-size", "", BYTES, "Size of /dev/shm"),
    Flag("storage-opt", "", LIST, "Storage driver options for the container"),
]

_ISOLATION = [
    Flag("privileged", "", BOOL, "Give extended privileges to this container"),
    Flag("cap-add", "", LIST, "Add Linux capabilities"),
    Flag("cap-drop", "", LIST, "Drop Linux capabilities"),
    Flag("security-opt", "", LIST, "Security Options"),
    Flag("device", "", LIST, "Add a host device to the container"),
    Flag("device-cgroup-rule", "", checked_list(_device_rule), "Add a rule to the cgroup allowed devices list"),
    Flag("gpus", "", _GPUS, "GPU devices to add to the container ('all' to pass all GPUs)"),
    Flag("sysctl", "", checked_list(_sysctl, "map"), "Sysctl options"),
    Flag("pid", "", STRING, "PID namespace to use"),
    Flag("ipc", "", STRING, "IPC mode to use"),
    Flag("uts", "", STRING, "UTS namespace to use"),
    Flag("userns", "", STRING, "User namespace to use"),
    Flag("cgroupns", "", STRING, "Cgroup namespace to use (host|private)"),
    Flag("cgroup-parent", "", STRING, "Optional parent cgroup for the container"),
]

_LIMITS = [
    Flag("memory", "m", BYTES, "Memory limit"),
    Flag("memory-reservation", "", BYTES, "Memory soft limit"),
    Flag("memory-swap", "", BYTES_OR_UNLIMITED, "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    Flag("memory-swappiness", "", INT, "Tune container memory swappiness (0 to 100)", -1),
    Flag("kernel-memory", "", BYTES, "Kernel memory limit"),
    Flag("oom-kill-disable", "", BOOL, "Disable OOM Killer"),
    Flag("oom-score-adj", "", INT, "Tune host's OOM preferences (-1000 to 1000)"),
    Flag("cpus", "", DECIMAL, "Number of CPUs"),
    Flag("cpu-shares", "c", INT, "CPU shares (relative weight)"),
    Flag("cpu-period", "", INT, "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag("cpu-quota", "", INT, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag("cpu-rt-period", "", INT, "Limit CPU real-time period in microseconds"),
    Flag("cpu-rt-runtime", "", INT, "Limit CPU real-time runtime in microseconds"),
    Flag("cpuset-cpus", "", STRING, "CPUs in which to allow execution (0-3, 0,1)"),
    Flag("cpuset-mems", "", STRING, "MEMs in which to allow execution (0-3, 0,1)"),
    Flag("pids-limit", "", INT, "Tune container pids limit (set -1 for unlimited)"),
    Flag("blkio-weight", "", SMALL, "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
    Flag("blkio-weight-device", "", _DEVICE_WEIGHT, "Block IO weight (relative device weight)"),
    Flag("device-read-bps", "", _BYTES_A_SECOND, "Limit read rate (bytes per second) from a device"),
    Flag("device-read-iops", "", _TIMES_A_SECOND, "Limit read rate (IO per second) from a device"),
    Flag("device-write-bps", "", _BYTES_A_SECOND, "Limit write rate (bytes per second) to a device"),
    Flag("device-write-iops", "", _TIMES_A_SECOND, "Limit write rate (IO per second) to a device"),
    Flag("ulimit", "", checked_list(_ulimit, "ulimit"), "Ulimit options"),
]

CREATE_FLAGS = [*_IDENTITY, *_PROCESS, *_NETWORK, *_STORAGE, *_ISOLATION, *_LIMITS]

RUN_FLAGS = [
    *CREATE_FLAGS,
    Flag("detach", "d", BOOL, "Run container in background and print container ID"),
    Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container"),
    Flag("sig-proxy", "", BOOL, "Proxy received signals to the process", True),
]
