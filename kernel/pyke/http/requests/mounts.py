"""Binds, Mounts, Tmpfs and Volumes of Docker's JSON → `MountSpec`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.model import MountSpec

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
CONSISTENCIES = ("consistent", "cached", "delegated", "default")  # for Docker Desktop; they mean nothing on Linux
VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
MOUNT_TYPES = ("bind", "volume", "tmpfs")

_SIZE = re.compile(r"(\d{1,18})([kmgt]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def all_mounts(host_config: Fields) -> tuple[MountSpec, ...]:
    """Everything that HostConfig mounts. Raises `InvalidRequest`, also for two mounts at one target."""
    found = (
        *(parse_bind(bind) for bind in host_config.texts("Binds")),
        *(_mount(each) for each in host_config.objects("Mounts")),
        *_tmpfs(host_config),
    )
    targets: set[str] = set()
    for mount in found:
        if mount.target in targets:
            raise InvalidRequest(f"Duplicate mount point: {mount.target}")
        targets.add(mount.target)
    return found


def anonymous_volumes(fields: Fields) -> tuple[str, ...]:
    """The targets in Volumes: {"/data": {}}."""
    return tuple(check_target(target, "volume") for target in fields.keys("Volumes"))


def parse_bind(text: str) -> MountSpec:
    """One entry of Binds: "/host:/target", "name:/target:ro", "/target"."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0] or not all(parts[:2]):
        raise InvalidRequest(f"invalid volume specification: '{text}'", hint="pyke run -v /host/path:/container/path:ro IMAGE")
    if len(parts) == 1:
        return MountSpec("volume", _bind_target(text, parts[0], "volume"))
    source, target = parts[0], parts[1]
    kind = "bind" if source.startswith("/") else "volume"
    read_only, options = _bind_mode(parts[2], kind) if len(parts) == 3 else (False, {})
    target = _bind_target(text, target, kind)
    if kind == "bind":
        return MountSpec("bind", target, posixpath.normpath(source), read_only, options, create_source=True)
    return MountSpec("volume", target, check_volume_name(source), read_only, options)


def check_volume_name(name: str) -> str:
    """The name itself, where Docker would take it. Raises `InvalidRequest`."""
    if VOLUME_NAME.fullmatch(name):
        return name
    if len(name) == 1 and name.isalnum():
        raise InvalidRequest("volume name is too short, names should be at least two alphanumeric characters")
    raise InvalidRequest(
        f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
        "If you intended to pass a host directory, use absolute path"
    )


def check_target(target: str, kind: str) -> str:
    """A mount's target, normalised. Raises `InvalidRequest` unless it is absolute and not the root."""
    prefix = f'invalid mount config for type "{kind}": '
    if not target:
        raise InvalidRequest(f"{prefix}field Target must not be empty")
    if not target.startswith("/"):
        raise InvalidRequest(f"{prefix}invalid mount path: '{target}' mount path must be absolute")
    normal = "/" + posixpath.normpath(target).lstrip("/")
    if normal == "/":
        raise InvalidRequest(f"{prefix}invalid specification: destination can't be '/'")
    return normal


def _bind_target(text: str, target: str, kind: str) -> str:
    try:
        return check_target(target, kind)
    except InvalidRequest as error:
        raise InvalidRequest(f"invalid volume specification: '{text}': {error}") from None


def _bind_mode(mode: str, kind: str) -> tuple[bool, dict[str, str]]:
    """ "ro,rslave,nocopy" as read-only or not, and options. Each kind of word may come once, as Docker has it."""
    read_only, options = False, dict[str, str]()
    words = mode.split(",")
    for word in words:
        if word in ("ro", "rw"):
            read_only = word == "ro"
        elif word in ("z", "Z"):
            options["relabel"] = word
        elif word in PROPAGATIONS and kind == "bind":
            options["propagation"] = word
        elif word == "nocopy" and kind == "volume":
            options["nocopy"] = "true"
        elif word not in CONSISTENCIES:
            raise InvalidRequest(f"invalid mode: {mode}", hint="pyke run -v SOURCE:TARGET:ro IMAGE")
    if len(set(words)) != len(words) or {"ro", "rw"} <= set(words):
        raise InvalidRequest(f"invalid mode: {mode}", hint="pyke run -v SOURCE:TARGET:ro IMAGE")
    return read_only, options


def _mount(fields: Fields) -> MountSpec:
    """One entry of HostConfig.Mounts."""
    kind = fields.text("Type")
    if kind not in MOUNT_TYPES:
        raise InvalidRequest(f'invalid mount config for type "{kind}": mount type unknown', hint="pyke run --help")
    target = check_target(fields.text("Target"), kind)
    _check_options_belong(fields, kind)
    read_only = fields.flag("ReadOnly")
    if kind == "bind":
        return MountSpec(
            kind, target, _bind_source(fields), read_only, _bind_options(fields.object("BindOptions")), create_source=_creates(fields)
        )
    if kind == "tmpfs":
        return _tmpfs_mount(fields, target, read_only)
    return _volume_mount(fields, target, read_only)


def _check_options_belong(fields: Fields, kind: str) -> None:
    for other, key in (("bind", "BindOptions"), ("volume", "VolumeOptions"), ("tmpfs", "TmpfsOptions")):
        if other != kind and fields.has(key):
            raise InvalidRequest(f'invalid mount config for type "{kind}": field {key} must not be specified')


def _creates(fields: Fields) -> bool:
    return fields.object("BindOptions").flag("CreateMountpoint")


def _bind_source(fields: Fields) -> str:
    source = fields.text("Source")
    if not source:
        raise InvalidRequest('invalid mount config for type "bind": field Source must not be empty')
    if not source.startswith("/"):
        raise InvalidRequest(f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute")
    return posixpath.normpath(source)


def _bind_options(fields: Fields) -> dict[str, str]:
    options = {}
    if propagation := fields.text("Propagation"):
        if propagation not in PROPAGATIONS:
            raise InvalidRequest(f'invalid mount config for type "bind": invalid propagation mode: {propagation}')
        options["propagation"] = propagation
    for key, name in (("NonRecursive", "nonrecursive"), ("ReadOnlyNonRecursive", "readonly-nonrecursive")):
        if fields.flag(key):
            options[name] = "true"
    return options


def _volume_mount(fields: Fields, target: str, read_only: bool) -> MountSpec:
    options = fields.object("VolumeOptions")
    driver = options.object("DriverConfig")
    source = fields.text("Source")
    return MountSpec(
        "volume",
        target,
        check_volume_name(source) if source else "",
        read_only,
        _volume_options(options),
        driver=driver.text("Name"),
        driver_options=driver.mapping("Options"),
        labels=options.mapping("Labels"),
    )


def _volume_options(fields: Fields) -> dict[str, str]:
    options = {"nocopy": "true"} if fields.flag("NoCopy") else {}
    if subpath := fields.text("Subpath"):
        if subpath.startswith("/") or ".." in subpath.split("/"):
            raise InvalidRequest(f'invalid mount config for type "volume": subpath {subpath!r} must be a relative path within the volume')
        options["subpath"] = posixpath.normpath(subpath)
    return options


def _tmpfs_mount(fields: Fields, target: str, read_only: bool) -> MountSpec:
    if fields.text("Source"):
        raise InvalidRequest('invalid mount config for type "tmpfs": field Source must not be specified')
    wishes = fields.object("TmpfsOptions")
    size, mode = wishes.integer("SizeBytes"), wishes.integer("Mode")
    if size < 0 or not 0 <= mode <= 0o7777:
        raise InvalidRequest('invalid mount config for type "tmpfs": the size or the mode is out of range')
    options = {"tmpfs-size": str(size)} if size else {}
    if mode:
        options["tmpfs-mode"] = f"{mode:o}"
    return MountSpec("tmpfs", target, "", read_only, options)


def _tmpfs(host_config: Fields) -> Iterator[MountSpec]:
    """HostConfig.Tmpfs: {"/run": "size=1m,noexec"}. `given` keeps the words for `inspect`."""
    for target, text in host_config.mapping("Tmpfs").items():
        if not target.startswith("/"):
            raise InvalidRequest(f"invalid mount path: '{target}' mount path must be absolute")
        words = [word for word in text.split(",") if word]
        yield MountSpec("tmpfs", check_target(target, "tmpfs"), "", "ro" in words, {**_tmpfs_options(words), "given": text})


def _tmpfs_options(words: list[str]) -> dict[str, str]:
    """tmpfs(5)'s options: size and mode by themselves, flags and the rest together."""
    options: dict[str, str] = {}
    rest = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "size":
            options["tmpfs-size"] = _tmpfs_size(value)
        elif key == "mode":
            options["tmpfs-mode"] = _tmpfs_mode(value)
        elif word not in ("ro", "rw"):
            rest.append(_tmpfs_flag(word))
    return options | ({"tmpfs-options": ",".join(rest)} if rest else {})


def _tmpfs_size(text: str) -> str:
    match = _SIZE.fullmatch(text)
    if match is not None:
        return str(int(match[1]) * _UNITS[match[2].lower()])
    if re.fullmatch(r"\d{1,3}%", text):
        return text
    raise InvalidRequest(f'invalid tmpfs option ["size={text}"]')


def _tmpfs_mode(text: str) -> str:
    if not re.fullmatch(r"[0-7]{1,5}", text):
        raise InvalidRequest(f'invalid tmpfs option ["mode={text}"]')
    return f"{int(text, 8):o}"


_FLAGS = {"exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "atime", "noatime", "diratime", "nodiratime", "relatime",
          "norelatime", "strictatime", "nostrictatime", "mand", "nomand", "defaults", *PROPAGATIONS}  # fmt: skip
_VALUES = {"uid", "gid", "nr_inodes", "nr_blocks", "mpol"}


def _tmpfs_flag(word: str) -> str:
    key, equals, value = word.partition("=")
    if word not in _FLAGS and not (key in _VALUES and equals and re.fullmatch(r"[\w:,.-]+", value)):
        raise InvalidRequest(f'invalid tmpfs option ["{word}"]')
    return word
