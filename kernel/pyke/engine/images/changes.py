"""Changes to an image's configuration in a Dockerfile's words: `import --change` and `commit --change`.

CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR. The configuration is JSON as in the
image (OCI image-spec, config.md), not yet a model object.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from pyke.engine.images import health_words
from pyke.errors import InvalidRequest

Config = dict[str, Any]

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z")
_SHELL = ["/bin/sh", "-c"]


def apply(config: Config, changes: Sequence[str]) -> Config:
    """The configuration with all changes carried out in order; `InvalidRequest` names one that cannot be."""
    changed = dict(config)
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        maker = MAKERS.get(word.upper())
        if maker is None:
            raise InvalidRequest(f"{word.lower()} is not a valid change command", hint="pyke import --change 'CMD [\"sh\"]' FILE IMAGE")
        if not rest.strip():
            raise InvalidRequest(f"{word.upper()} requires at least one argument")
        maker(changed, rest.strip())
    return changed


def inherit(config: Config, inherited: Config) -> Config:
    """The configuration, and where it says nothing, another one's. A command is not for another entry point."""
    left_out = {"Cmd", "OnBuild"} if config.get("Entrypoint") else {"OnBuild"}
    joined = {key: value for key, value in inherited.items() if key not in left_out} | config
    for key in ("ExposedPorts", "Labels", "Volumes"):
        if isinstance(config.get(key), dict) and isinstance(inherited.get(key), dict):
            joined[key] = inherited[key] | config[key]
    if isinstance(config.get("Env"), list):
        own = {str(line).partition("=")[0] for line in config["Env"]}
        joined["Env"] = [*config["Env"], *(line for line in inherited.get("Env", ()) if line.partition("=")[0] not in own)]
    return joined


def _command(key: str) -> Callable[[Config, str], None]:
    def change(config: Config, text: str) -> None:
        words = _words(text)
        config[key] = words if words is not None else [*_SHELL, text]

    return change


def _words(text: str) -> list[str] | None:
    """The words of the JSON form `["a", "b"]`; None for the shell form."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _environment(config: Config, text: str) -> None:
    environment = dict(each.partition("=")[::2] for each in config.get("Env") or [])
    environment.update(_pairs(text, "ENV"))
    config["Env"] = [f"{name}={value}" for name, value in environment.items()]


def _label(config: Config, text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **_pairs(text, "LABEL")}


def _expose(config: Config, text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in text.split():
        found = _PORT.match(word)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if found is None or not 0 < first <= last < 65536:
            raise InvalidRequest(f"invalid containerPort: {word[:80]}")
        ports |= {f"{port}/{found[3] or 'tcp'}": {} for port in range(first, last + 1)}
    config["ExposedPorts"] = ports


def _on_build(config: Config, text: str) -> None:
    trigger = text.split(maxsplit=1)[0].upper()
    if trigger in ("ONBUILD", "FROM", "MAINTAINER"):
        raise InvalidRequest(f"{trigger} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or []), text]


def _volume(config: Config, text: str) -> None:
    targets = _words(text) or text.split()
    if not all(target.strip() for target in targets):
        raise InvalidRequest("VOLUME specified can not be an empty string")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{target.strip(): {} for target in targets}}


def _working_directory(config: Config, text: str) -> None:
    config["WorkingDir"] = posixpath.normpath(posixpath.join(config.get("WorkingDir") or "/", text))


def _user(config: Config, text: str) -> None:
    config["User"] = text


def _stop_signal(config: Config, text: str) -> None:
    config["StopSignal"] = text


def _health_check(config: Config, text: str) -> None:
    config["Healthcheck"] = health_words.parse(text)


def _pairs(text: str, word: str) -> dict[str, str]:
    """`A=1 B="two words"`, or the old form `A the rest of the line`."""
    first = text.split(maxsplit=1)
    if "=" not in first[0]:
        if len(first) < 2:
            raise InvalidRequest(f"{word} must have two arguments")
        return {first[0]: first[1]}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidRequest(f"{word} {text[:200]!r}: {error}") from error
    pairs = dict(each.partition("=")[::2] for each in words)
    if "" in pairs or not all("=" in each for each in words):
        raise InvalidRequest(f"Syntax error - can't find = in {text[:200]!r}. Must be of the form: name=value")
    return pairs


MAKERS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _environment,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _working_directory,
}
