"""A container as `inspect` shows it."""

from __future__ import annotations

from typing import Any

from pyke.engine.identifiers import is_full_id
from pyke.http.facade import Engine
from pyke.http.shapes.config import container_config, reachable
from pyke.http.shapes.host_config import host_config
from pyke.http.shapes.times import rfc3339
from pyke.http.versions import Version
from pyke.model import Container, ContainerState, Endpoint, EndpointSpec, Health, Mount

Json = dict[str, Any]

NO_BRIDGE = Version(1, 44)  # from here on Docker leaves out what only the default bridge had


def inspect(engine: Engine, container: Container, version: Version, *, with_size: bool = False) -> Json:
    """All of it. `with_size` adds SizeRw and SizeRootFs, which costs a look at the disk."""
    directory = engine.layout.container_directory(container.id)
    shaped = {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": container.argv[0] if container.argv else "",
        "Args": list(container.argv[1:]),
        "State": state(container.state),
        "Image": container.image_id,
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": container.log_path,
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": container.storage_driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": engine.containers.exec_ids(container.id) or None,
        "HostConfig": host_config(container.spec, version) | {"Links": list(engine.containers.links.shown(container)) or None},
        "GraphDriver": {"Data": None, "Name": container.storage_driver},
        "Mounts": [mount(each) for each in listed_mounts(container)],
        "Config": container_config(container) | _mac_address(container, version),
        "NetworkSettings": network_settings(container, version),
    }
    if with_size:
        shaped["SizeRw"], shaped["SizeRootFs"] = engine.containers.size(container)
    return shaped


def _mac_address(container: Container, version: Version) -> Json:
    """The address that was wished for, where older clients look for it."""
    main = "bridge" if container.spec.network_mode == "default" else container.spec.network_mode
    found = next((each.mac for each in container.spec.endpoints if each.mac and each.network in (main, container.spec.network_mode)), "")
    return {"MacAddress": found} if found and version < NO_BRIDGE else {}


def state(found: ContainerState) -> Json:
    """State: `Running` is true while paused or restarting too, as for Docker. `Health` is there where something is checked."""
    shaped = {
        "Status": found.status,
        "Running": found.is_running or found.status == "restarting",
        "Paused": found.status == "paused",
        "Restarting": found.status == "restarting",
        "OOMKilled": found.oom_killed,
        "Dead": found.status == "dead",
        "Pid": found.pid,
        "ExitCode": found.exit_code,
        "Error": found.error,
        "StartedAt": rfc3339(found.started_at),
        "FinishedAt": rfc3339(found.finished_at),
    }
    return shaped | ({"Health": health(found.health)} if found.health else {})


def health(found: Health) -> Json:
    """State.Health, with the last probes, oldest first."""
    entries = [
        {"Start": rfc3339(each.start), "End": rfc3339(each.end), "ExitCode": each.exit_code, "Output": each.output} for each in found.log
    ]
    return {"Status": found.status, "FailingStreak": found.failing_streak, "Log": entries}


def listed_mounts(container: Container) -> list[Mount]:
    """Those that Mounts tells of: a tmpfs of `--tmpfs` stands in HostConfig alone."""
    return [each for each in container.mounts if each.kind != "tmpfs" or "given" not in each.options]


def mount(found: Mount) -> Json:
    """One entry of Mounts, in `inspect` and in `ps`."""
    mode = "" if found.kind == "tmpfs" else ",".join(_mode_words(found))
    shaped: Json = {"Type": found.kind}
    if found.kind == "volume":
        shaped |= {"Name": found.name, "Source": found.source, "Destination": found.target, "Driver": found.driver}
    else:
        shaped |= {"Source": found.source, "Destination": found.target}
    return shaped | {"Mode": mode, "RW": not found.read_only, "Propagation": found.propagation}


def _mode_words(found: Mount) -> list[str]:
    words = ["ro"] if found.read_only else []
    words += [found.options["relabel"]] if "relabel" in found.options else []
    words += ["nocopy"] if found.options.get("nocopy") else []
    is_named = found.kind == "volume" and not is_full_id(found.name)
    return words or (["z"] if is_named else [])  # what Docker writes for a named volume of which nothing was said


def network_settings(container: Container, version: Version) -> Json:
    """NetworkSettings. The fields at its top tell of the default bridge alone, as they always did."""
    is_running = container.state.is_running
    default = next((each for each in container.endpoints if each.network_name == "bridge"), None) if is_running else None
    return {
        "Bridge": "",
        "SandboxID": container.id if is_running else "",
        "SandboxKey": f"/proc/{container.state.pid}/ns/net" if is_running else "",
        "Ports": ports(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **dict(sorted(_addresses(default).items())),
        "Networks": networks(container, version),
    }


def ports(container: Container) -> Json:
    """Every exposed port, with its places on the host while the container runs."""
    if not container.state.is_running:
        return {}
    found: Json = dict.fromkeys(reachable(container))
    for endpoint in container.endpoints:
        for port in endpoint.ports:
            key = f"{port.container_port}/{port.protocol}"
            found[key] = [*(found.get(key) or []), {"HostIp": port.host_ip or "0.0.0.0", "HostPort": str(port.host_port)}]
    return found


def networks(container: Container, version: Version) -> Json:
    """Networks: the endpoints that there are, or, before the first start, the wishes."""
    if container.endpoints:
        wishes = {each.network: each for each in container.spec.endpoints}
        is_running = container.state.is_running
        return {
            each.network_name: endpoint(container, each, wishes.get(each.network_name), version, is_running) for each in container.endpoints
        }
    if container.spec.network_mode.startswith("container:"):
        return {}
    return {"bridge" if each == "default" else each: _unconnected() for each in _wished_networks(container)}


def _wished_networks(container: Container) -> list[str]:
    return list(dict.fromkeys((*(each.network for each in container.spec.endpoints), container.spec.network_mode)))


def endpoint(container: Container, found: Endpoint, wish: EndpointSpec | None, version: Version, is_running: bool) -> Json:
    """EndpointSettings."""
    aliases = list(found.aliases)
    if version < Version(1, 45) and aliases and container.short_id not in aliases:
        aliases.append(container.short_id)  # Docker had it there until 1.45
    names = list(dict.fromkeys([container.name, container.short_id, *found.aliases]))
    shaped: Json = {
        "IPAMConfig": _wished_addresses(found),
        "Links": list(found.links) or (list(wish.links) if wish and wish.links else None),
        "Aliases": aliases or None,
        "MacAddress": found.mac if is_running else "",
        "DriverOpts": dict(found.driver_options) or None,
        "NetworkID": found.network if container.state.started_at else "",
        "EndpointID": found.id if is_running else "",
        **{key: value for key, value in _addresses(found if is_running else None).items() if key not in ("MacAddress", "EndpointID")},
    }
    return shaped | ({"DNSNames": names if found.network_name not in ("bridge", "host", "none") else None} if version >= NO_BRIDGE else {})


def _wished_addresses(found: Endpoint) -> Json | None:
    wishes = {"IPv4Address": found.requested_ipv4, "IPv6Address": found.requested_ipv6}
    return {key: value for key, value in wishes.items() if value} or None


def _addresses(found: Endpoint | None) -> Json:
    ipv4, _, length = found.ipv4.partition("/") if found else ("", "", "")
    ipv6, _, length6 = found.ipv6.partition("/") if found else ("", "", "")
    return {
        "EndpointID": found.id if found else "",
        "Gateway": found.gateway if found else "",
        "IPAddress": ipv4,
        "IPPrefixLen": int(length or 0),
        "IPv6Gateway": found.gateway6 if found else "",
        "GlobalIPv6Address": ipv6,
        "GlobalIPv6PrefixLen": int(length6 or 0),
        "MacAddress": found.mac if found else "",
    }


def _unconnected() -> Json:
    return {
        "IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": "", "DriverOpts": None, "NetworkID": "", "EndpointID": "",
        "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
    }  # fmt: skip
