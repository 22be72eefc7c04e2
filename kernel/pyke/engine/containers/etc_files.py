"""The files that an engine keeps for a container beside its image: hosts, hostname and resolv.conf, and where its log goes."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any

from pyke.errors import InvalidRequest
from pyke.model import Container

if TYPE_CHECKING:
    from pyke.engine.engine import Engine
    from pyke.settings import Settings

HOST_RESOLV_CONF = "/etc/resolv.conf"
FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")  # what Docker takes where the host has only a resolver on its own loopback
HOST_GATEWAY = "host-gateway"  # stands for an address at which a container reaches the host
LARGEST_RESOLV_CONF = 64 * 1024
LOCAL_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def paths(engine: Engine, container: Container) -> dict[str, str]:
    """{path inside: path on the host}. Joined networks share the other's files."""
    mode = container.spec.network_mode
    owner = mode.removeprefix("container:") if mode.startswith("container:") else container.id
    directory = engine.layout.container_directory(owner)
    return {f"/etc/{name}": os.path.join(directory, name) for name in ("resolv.conf", "hostname", "hosts")}


def write(engine: Engine, container: Container) -> dict[str, str]:
    """Write the files for a start, unless they are another container's, and return their `paths`."""
    files = paths(engine, container)
    if not container.spec.network_mode.startswith("container:"):
        shares = engine.networks.shares_host_namespace(container.spec)
        _replace(files["/etc/hostname"], container.hostname + "\n")
        _replace(files["/etc/hosts"], _hosts(engine, container, shares_host=shares))
        _replace(files["/etc/resolv.conf"], _resolv_conf(container, own_server=engine.networks.name_server(container)))
    return files


def _hosts(engine: Engine, container: Container, *, shares_host: bool) -> str:
    text = _read("/etc/hosts") if shares_host else LOCAL_HOSTS
    for entry in container.spec.extra_hosts:
        name, _, address = entry.partition(":")
        if address == HOST_GATEWAY:
            address = engine.networks.host_gateway(container)
        text += f"{address}\t{name}\n"
    text += "".join(f"{line}\n" for line in engine.containers.links.hosts(container))
    if not shares_host:
        names = " ".join(dict.fromkeys(filter(None, (_qualified(container), container.hostname))))
        for endpoint in container.endpoints:
            if endpoint.ipv4:
                text += f"{endpoint.ipv4.partition('/')[0]}\t{names}\n"
    return text


def _qualified(container: Container) -> str:
    domain = container.spec.domainname
    return f"{container.hostname}.{domain}" if domain else ""


def _resolv_conf(container: Container, *, own_server: str) -> str:
    """The host's resolver configuration with what the user asked for in its place; servers on the host's loopback cannot be reached
    from another network namespace and are left out."""
    spec = container.spec
    host = [line.split() for line in _read(HOST_RESOLV_CONF).splitlines() if line.strip() and line.lstrip()[0] not in "#;"]
    servers = spec.dns or tuple(words[1] for words in host if words[0] == "nameserver" and len(words) > 1)
    if spec.network_mode != "host" and not spec.dns:
        servers = tuple(server for server in servers if not _is_loopback(server)) or FALLBACK_SERVERS
    if own_server:
        servers = (own_server,)
    search = spec.dns_search or tuple(domain for words in host if words[0] in ("search", "domain") for domain in words[1:])
    options = spec.dns_options or tuple(option for words in host if words[0] == "options" for option in words[1:])
    lines = [f"search {' '.join(search)}"] if search and search != (".",) else []
    lines += [f"nameserver {server}" for server in servers]
    if own_server and not spec.dns_options:
        options = (*options, "ndots:0")
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST_RESOLV_CONF)
    except OSError:
        return ""


def _replace(path: str, text: str) -> None:
    """Write in place: a running container has the very file mounted, and a rename would leave it with the old one."""
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise InvalidRequest(f"a control character in what would be written to {os.path.basename(path)}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def log_plan(settings: Settings, container: Container) -> dict[str, Any]:
    """Where a container's output goes: its own options before the settings' defaults."""
    options = dict(container.spec.log.options)
    wanted = {key for key in ("labels", "env", "tag") if options.get(key)}
    return {
        "driver": container.spec.log.driver,
        "path": container.log_path,
        "max_size": _bytes(options["max-size"]) if "max-size" in options else settings.logs.max_size,
        "max_file": int(options.get("max-file", 1 if "max-size" in options else settings.logs.max_files)),  # 1 is Docker's
        "extra": _extra(container, options) if wanted else {},
    }


def _extra(container: Container, options: dict[str, str]) -> dict[str, str]:
    """Labels and variables that the log options ask to be written beside each line."""
    labels = {**container.image_config.labels, **container.spec.labels}
    environment = dict(entry.partition("=")[::2] for entry in (*container.image_config.environment, *container.spec.environment))
    found = {name: labels[name] for name in options.get("labels", "").split(",") if name in labels}
    found.update({name: environment[name] for name in options.get("env", "").split(",") if name in environment})
    return found | ({"tag": container.short_id} if options.get("tag") else {})


def _bytes(text: str) -> int:
    """ "10m" as the log options write sizes: powers of 1024; -1 for no limit."""
    number, unit = text.rstrip("bB"), 1
    if number and number[-1] in "kKmMgG":
        number, unit = number[:-1], 1024 ** ("kmg".index(number[-1].lower()) + 1)
    try:
        return int(number) * unit
    except ValueError as error:
        raise InvalidRequest(f"invalid size {text!r} in log options", hint="pyke run --log-opt max-size=10m ...") from error
