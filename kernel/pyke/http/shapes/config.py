"""The `Config` object of containers and images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyke.model import Container, ContainerSpec, HealthCheck, ImageConfig

Json = dict[str, Any]

EMPTY: Json = {  # Docker's order
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": False,
    "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None, "WorkingDir": "", "Entrypoint": None,
    "OnBuild": None, "Labels": None,
}  # fmt: skip


def image_config(config: ImageConfig) -> Json:
    """An image's configuration."""
    shaped = EMPTY | {
        "User": config.user,
        "Env": list(config.environment) or None,
        "Cmd": _list(config.command),
        "Volumes": key_set(config.volumes),
        "WorkingDir": config.working_directory,
        "Entrypoint": _list(config.entrypoint),
        "OnBuild": list(config.on_build) or None,
        "Labels": dict(config.labels) or None,
    }
    optional = {
        "ExposedPorts": key_set(config.exposed_ports),
        "Healthcheck": health_check(config.health) if config.health else None,
        "StopSignal": config.stop_signal,
        "Shell": list(config.shell),
    }
    return shaped | {key: value for key, value in optional.items() if value}


def container_config(container: Container) -> Json:
    """A container's configuration: its own wishes over its image's."""
    spec, image = container.spec, container.image_config
    own_entrypoint = spec.entrypoint is not None
    health = spec.health.over(image.health) if spec.health and image.health else spec.health or image.health
    shaped = EMPTY | {
        "Hostname": container.hostname,
        "Domainname": spec.domainname,
        "User": spec.user or image.user,
        "AttachStdin": spec.attach_stdin,
        "AttachStdout": spec.attach_stdout,
        "AttachStderr": spec.attach_stderr,
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "StdinOnce": spec.stdin_once,
        "Env": environment(spec, image),
        "Cmd": _list(spec.command or (None if own_entrypoint else image.command)),
        "Image": spec.image,
        "Volumes": key_set((*image.volumes, *spec.anonymous_volumes)),
        "WorkingDir": spec.working_directory or image.working_directory,
        "Entrypoint": _list(spec.entrypoint if own_entrypoint else image.entrypoint) or None,
        "OnBuild": list(image.on_build) or None,
        "Labels": {**image.labels, **spec.labels},
    }
    optional = {
        "ExposedPorts": key_set(all_exposed(container)),
        "Healthcheck": health_check(health) if health else None,
        "StopSignal": spec.stop_signal or image.stop_signal,
        "StopTimeout": spec.stop_timeout,
        "Shell": list(image.shell),
        "NetworkDisabled": spec.network_disabled,
    }
    return shaped | {key: value for key, value in optional.items() if value or (key == "StopTimeout" and value is not None)}


def reachable(container: Container) -> tuple[str, ...]:
    """The exposed ports of a container with an address of its own: in the host's network, in another's or in none they mean nothing."""
    return all_exposed(container) if any(each.ipv4 or each.ipv6 for each in container.endpoints) else ()


def all_exposed(container: Container) -> tuple[str, ...]:
    """Every exposed port, the image's, the wished and the published, as "80/tcp"."""
    published = (f"{port.container_port}/{port.protocol}" for port in container.spec.ports)
    return tuple(dict.fromkeys((*container.image_config.exposed_ports, *container.spec.exposed_ports, *published)))


def environment(spec: ContainerSpec, image: ImageConfig) -> list[str]:
    """The image's variables with the container's over them; a bare "A" removes the image's."""
    mine = {line.partition("=")[0] for line in spec.environment}
    inherited = [line for line in image.environment if line.partition("=")[0] not in mine]
    return [line for line in spec.environment if "=" in line] + inherited


def health_check(health: HealthCheck) -> Json:
    """Seconds as Docker's nanoseconds; what is not set is left out."""
    times = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    shaped: Json = {"Test": list(health.test)}
    shaped |= {key: round(seconds * 1e9) for key, seconds in times.items() if seconds}
    return shaped | ({"Retries": health.retries} if health.retries else {})


def key_set(keys: Iterable[str]) -> Json | None:
    """A Go set: {"80/tcp": {}}; null when it is empty."""
    return {key: {} for key in keys} or None


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)
