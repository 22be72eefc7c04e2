"""`pyke version` and `pyke info`."""

from __future__ import annotations

import os

from pyke import __version__
from pyke.cli import jsontext, units
from pyke.cli.client import ApiError
from pyke.cli.flags import STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.session import Session

API_VERSION = "1.47"  # the newest that this client knows
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def _client() -> dict[str, str]:
    system = os.uname()
    return {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "Os": system.sysname.lower(),
        "Arch": ARCHITECTURES.get(system.machine, system.machine),
        "Context": "default",
    }


def _version(session: Session, options: Options) -> int:
    client, template = _client(), options.text("format")
    failure: PykeError | None = None
    try:
        server = session.engine.get("/version")
    except ApiError:
        raise
    except PykeError as error:
        server, failure = None, error
    both: dict[str, Any] = {"Client": client, "Server": server}
    if template == "json":
        session.out(jsontext.dumps(both, escape_html=True))
    elif template:
        from pyke.cli.listing import BAD_TEMPLATE, Struct, compile_template

        fields = {name: _with_go_names(part) for name, part in both.items()}
        session.out(compile_template(template, (BAD_TEMPLATE, ""))(Struct("system.versionInfo", fields)))
    else:
        session.out(_version_text(client, server))
    if failure is not None:
        raise failure
    return 0


def _with_go_names(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """Go calls the API's "ApiVersion" APIVersion, and scripts' templates do."""
    return None if part is None else {**part, "APIVersion": part.get("ApiVersion", "")}


def _version_text(client: dict[str, str], server: dict[str, Any] | None) -> str:
    lines = ["Client:", *_aligned(1, {"Version": client["Version"], "API version": client["ApiVersion"], "OS/Arch": _platform(client)})]
    if server is None:
        return "\n".join(lines)
    lines += ["", "Server:", " Engine:"]
    rows = {
        "Version": server.get("Version", ""),
        "API version": f"{server.get('ApiVersion', '')} (minimum version {server.get('MinAPIVersion', '')})",
        "OS/Arch": _platform(server),
        "Kernel": server.get("KernelVersion", ""),
        "Built": server.get("BuildTime", ""),
        "Experimental": str(bool(server.get("Experimental"))).lower(),
    }
    lines += _aligned(2, {name: value for name, value in rows.items() if value})
    for component in server.get("Components") or []:
        if component["Name"] != "Engine":
            lines += [f" {component['Name']}:", *_aligned(2, {"Version": component.get("Version", "")})]
    return "\n".join(lines)


def _platform(part: dict[str, Any]) -> str:
    return f"{part.get('Os', '')}/{part.get('Arch', '')}"


def _aligned(indent: int, rows: dict[str, str]) -> list[str]:
    return [" " * indent + f"{name + ':':<18} {value}" for name, value in rows.items()]


def _info(session: Session, options: Options) -> int:
    info, template = session.engine.get("/info"), options.text("format")
    info["ClientInfo"] = {"Debug": session.debug, "Version": __version__, "Context": "default", "Plugins": [], "Warnings": None}
    if template == "json":
        session.out(jsontext.dumps(info, escape_html=True))
    elif template:
        from pyke.cli.listing import BAD_TEMPLATE, Struct, compile_template

        session.out(compile_template(template, (BAD_TEMPLATE, ""))(Struct("system.dockerInfo", info, _SPELT)))
    else:
        session.out("\n".join(_info_lines(info)))
        for warning in info.get("Warnings") or []:
            session.note(warning)
    return 0


def _info_lines(info: dict[str, Any]) -> list[str]:
    client = info["ClientInfo"]
    lines = ["Client:", f" Version:    {client['Version']}", f" Context:    default\n Debug Mode: {_yes(client['Debug'])}", "", "Server:"]
    lines += [f" Containers: {info['Containers']}"]
    lines += [f"  {name}: {info['Containers' + name]}" for name in ("Running", "Paused", "Stopped")]
    lines += [f" Images: {info['Images']}", f" Server Version: {info['ServerVersion']}", f" Storage Driver: {info['Driver']}"]
    lines += [f"  {name}: {value}" for name, value in info.get("DriverStatus") or []]
    lines += [f" {title}: {info[key]}" for title, key in _BEFORE_PLUGINS if info.get(key)]
    lines += [" Plugins:", *(f"  {kind}: {' '.join(names)}" for kind, names in (info.get("Plugins") or {}).items() if names)]
    lines += [f" Runtimes: {' '.join(sorted(info.get('Runtimes') or {}))}", f" Default Runtime: {info.get('DefaultRuntime', '')}"]
    lines += [*_security(info.get("SecurityOptions") or [])]
    lines += [f" {title}: {info[key]}" for title, key in _HOST if info.get(key) not in (None, "")]
    lines += [f" Total Memory: {units.binary_size(info.get('MemTotal', 0))}"]
    lines += [f" {title}: {info[key]}" for title, key in _AFTER_MEMORY if info.get(key)]
    lines += [f" Debug Mode: {_yes(info.get('Debug'))}"]
    lines += [f" {title}: {info[key]}" for title, key in _PROXIES if info.get(key)]
    lines += [f" Experimental: {_yes(info.get('ExperimentalBuild'))}"]
    lines += [" Labels:", *(f"  {label}" for label in info["Labels"])] if info.get("Labels") else []
    networks = (info.get("RegistryConfig") or {}).get("InsecureRegistryCIDRs") or []
    lines += [" Insecure Registries:", *(f"  {network}" for network in networks)] if networks else []
    return [*lines, f" Live Restore Enabled: {_yes(info.get('LiveRestoreEnabled'))}"]


_BEFORE_PLUGINS = (("Logging Driver", "LoggingDriver"), ("Cgroup Driver", "CgroupDriver"), ("Cgroup Version", "CgroupVersion"))
_HOST = (
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
)
_SPELT = {"HTTPProxy": "HttpProxy", "HTTPSProxy": "HttpsProxy"}
_PROXIES = (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy"))
_AFTER_MEMORY = (("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir"))


def _security(options: list[str]) -> list[str]:
    lines = [" Security Options:"] if options else []
    for option in options:
        fields = dict(field.partition("=")[::2] for field in option.split(","))
        lines.append(f"  {fields.pop('name', option)}")
        lines += [f"   {key.capitalize()}: {value}" for key, value in fields.items() if value]
    return lines


def _yes(value: object) -> str:
    return "true" if value else "false"


_FORMAT = Flag("format", "f", STRING, "Format output with a Go template: 'json' or a template")
VERSION = Command("version", "", "Show the pyke version information", _version, [_FORMAT])
INFO = Command("info", "", "Display system-wide information", _info, [_FORMAT])
