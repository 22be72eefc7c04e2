"""The engine and its host: /version and /info."""

from __future__ import annotations

import functools
import os
import platform
import threading
import time
from typing import Any

from pyke import __version__
from pyke.http.facade import Engine
from pyke.http.shapes.times import rfc3339
from pyke.http.versions import NEWEST, OLDEST
from pyke.registries import RegistryProxies

Json = dict[str, Any]

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # the kernel's names and Go's
_DRIVER_NAMES = {"none": "null"}  # what Docker calls them
NEEDED = {  # families without which little can be done, and what brings them
    "storage": "no storage driver is installed: pip install pyke-storage-overlay",
    "network": "no network driver is installed: pip install pyke-network-bridge",
    "registry": "no registry plugin is installed, images cannot be pulled: pip install pyke-registry-dockerhub",
}


def version() -> Json:
    """/version."""
    details = {
        "ApiVersion": str(NEWEST),
        "Arch": go_architecture(),
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": f"python{platform.python_version()}",
        "KernelVersion": platform.release(),
        "MinAPIVersion": str(OLDEST),
        "Os": "linux",
    }
    return {
        "Platform": {"Name": "pyke"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
        "Version": __version__,
        **{key: value for key, value in details.items() if key not in ("Experimental",)},
    }


def info(engine: Engine) -> Json:
    """/info."""
    containers = engine.containers.all()
    drivers = drivers_by_family(engine)
    running = sum(each.state.is_running for each in containers)
    paused = sum(each.state.status == "paused" for each in containers)
    return {
        "ID": engine.id,
        "Containers": len(containers),
        "ContainersRunning": running - paused,
        "ContainersPaused": paused,
        "ContainersStopped": len(containers) - running,
        "Images": len(engine.images.all()),
        "Driver": engine.images.storage_driver if "storage" in drivers else "",
        "DriverStatus": [],
        "Plugins": {
            "Volume": drivers.get("volume", []),
            "Network": [_DRIVER_NAMES.get(name, name) for name in drivers.get("network", [])],
            "Authorization": None,
            "Log": sorted({"json-file", "none", *drivers.get("log", [])}),
        },
        **_host(),
        **_proxies(engine.registries.proxies()),
        **ABILITIES,
        "NGoroutines": threading.active_count(),
        "SystemTime": rfc3339(time.time_ns()),
        "DockerRootDir": engine.layout.root,
        "Runtimes": {name: {"path": name} for name in ("pyke", "runc", *drivers.get("runtime", []))},
        "Warnings": [text for family, text in NEEDED.items() if not drivers.get(family)] or None,
    }


def _proxies(proxies: RegistryProxies) -> Json:
    shown = proxies.masked
    return {"HttpProxy": shown.http, "HttpsProxy": shown.https, "NoProxy": shown.exempt}


ABILITIES: Json = {
    "MemoryLimit": True, "SwapLimit": True, "CpuCfsPeriod": True, "CpuCfsQuota": True, "CPUShares": True, "CPUSet": True,
    "PidsLimit": True, "OomKillDisable": True, "IPv4Forwarding": True, "BridgeNfIptables": False, "BridgeNfIp6tables": False,
    "Debug": False, "NEventsListener": 0, "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs",
    "IndexServerAddress": "https://index.docker.io/v1/",
    "RegistryConfig": {
        "AllowNondistributableArtifactsCIDRs": None, "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}}, "Mirrors": [],
    },
    "GenericResources": None, "Labels": [], "ExperimentalBuild": False,
    "ServerVersion": __version__, "DefaultRuntime": "pyke",
    "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "", "RemoteManagers": None},
    "LiveRestoreEnabled": True, "Isolation": "", "InitBinary": "pyke-init", "ContainerdCommit": {"ID": "", "Expected": ""},
    "RuncCommit": {"ID": "", "Expected": ""}, "InitCommit": {"ID": "", "Expected": ""},
    "SecurityOptions": ["name=seccomp,profile=builtin"], "ProductLicense": "", "CDISpecDirs": [],
}  # fmt: skip


def drivers_by_family(engine: Engine) -> dict[str, list[str]]:
    """The names of all drivers that installed plugins bring."""
    found: dict[str, set[str]] = {}
    for plugin in engine.plugins.report():
        for family, names in plugin.drivers.items():
            found.setdefault(family, set()).update(names)
    return {family: sorted(names) for family, names in found.items() if names}


def go_architecture() -> str:
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _host() -> Json:
    release = _os_release()
    return {
        "NFd": len(os.listdir("/proc/self/fd")),
        "CgroupVersion": "2" if _has_unified_cgroups() else "1",
        "KernelVersion": platform.release(),
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": platform.node(),
    }


@functools.cache
def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


@functools.cache
def _has_unified_cgroups() -> bool:
    """Whether version 2 has the whole hierarchy; beside version 1 it holds no controllers."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
