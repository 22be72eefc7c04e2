"""Credentials for registries: looked up, kept and forgotten on the user's side; the engine is told those of one registry, for one request.

Read, in this order: pyke's own file, and Docker's config.json ($DOCKER_CONFIG or ~/.docker) with its helpers. A helper is a program
`docker-credential-NAME` that reads from its standard input and answers in JSON. Kept: with a helper where one is configured, else in
pyke's own file, ~/.config/pyke/auth.json ($XDG_CONFIG_HOME), which nobody else may read.
"""

from __future__ import annotations

import binascii
import os

from pyke.cli import jsontext
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"  # what Docker calls its Hub in config.json
TOKEN_USER = "<token>"  # a helper's word for "the secret is an identity token"


def registry_of(reference: str) -> str:
    """The registry that a reference names: "docker.io" where it names none."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return HUB if first in ("index.docker.io", "registry-1.docker.io") else first
    return HUB


def server_of(text: str) -> str:
    """The registry that a user means with "https://registry.corp/", "index.docker.io", or nothing."""
    host = text.rpartition("://")[2].partition("/")[0]
    return HUB if host in ("", HUB, "index.docker.io", "registry-1.docker.io", "hub.docker.com") else host


def header(registry: str) -> dict[str, str]:
    """The header X-Registry-Auth for a registry; nothing where no credentials are known."""
    found = lookup(registry)
    if not found:
        return {}
    return {"X-Registry-Auth": _base64(jsontext.dumps(found).encode("utf-8", "surrogateescape")).replace("+", "-").replace("/", "_")}


def lookup(registry: str) -> dict[str, str]:
    """What is known of a registry: {"username", "password"} or {"identitytoken"}, with "serveraddress"; {} for nothing."""
    for path in (own_file(), docker_file()):
        config = _read(path)
        helper = _helper(config, registry)
        found = _from_helper(helper, registry) if helper else _from_auths(config, registry)
        if found:
            return {**found, "serveraddress": _key(registry)}
    return {}


def keep(registry: str, username: str, secret: str, *, is_token: bool = False) -> str:
    """Keep credentials; returns the file in which they now lie unencrypted, or "" where a helper has them."""
    if helper := _helper(_read(docker_file()), registry) or _helper(_read(own_file()), registry):
        answer = {"ServerURL": _key(registry), "Username": TOKEN_USER if is_token else username, "Secret": secret}
        _run_helper(helper, "store", jsontext.dumps(answer))
        return ""
    config = _read(own_file())
    entry = {"auth": _base64(f"{username}:{'' if is_token else secret}".encode()), **({"identitytoken": secret} if is_token else {})}
    config["auths"] = {**_object(config.get("auths")), _key(registry): entry}
    _write(own_file(), config)
    return own_file()


def forget(registry: str) -> bool:
    """Forget a registry's credentials; whether there were any. Docker's own file is not touched, its helpers are told."""
    config, known = _read(own_file()), False
    auths = _object(config.get("auths"))
    for key in _keys(registry):
        known = auths.pop(key, None) is not None or known
    if known:
        config["auths"] = auths
        _write(own_file(), config)
    helper = _helper(_read(docker_file()), registry) or _helper(config, registry)
    if helper and _from_helper(helper, registry):
        _run_helper(helper, "erase", _key(registry))
        known = True
    return known


# files


def own_file() -> str:
    """Where pyke keeps credentials."""
    return os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "pyke", "auth.json")


def docker_file() -> str:
    """Where Docker's command line keeps its own."""
    return os.path.join(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"), "config.json")


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return _object(jsontext.loads(file.read()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PykeError(f"the credentials in {path} cannot be read: {error}", hint=f"ls -l {path}") from error


def _write(path: str, config: dict[str, Any]) -> None:
    """Atomically, and for nobody else's eyes from the beginning."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(jsontext.dumps(config) + "\n")
    os.replace(temporary, path)


def _from_auths(config: dict[str, Any], registry: str) -> dict[str, str]:
    auths = _object(config.get("auths"))
    for key in _keys(registry):
        entry = _object(auths.get(key))
        if entry.get("identitytoken"):
            return {"identitytoken": str(entry["identitytoken"])}
        if entry.get("username"):
            return {"username": str(entry["username"]), "password": str(entry.get("password", ""))}
        if entry.get("auth"):
            try:
                username, _, password = binascii.a2b_base64(str(entry["auth"])).decode("utf-8", "surrogateescape").partition(":")
            except ValueError as error:
                raise PykeError(f"the credentials for {registry} are not base64", hint=f"pyke login {registry}") from error
            return {"username": username, "password": password.rstrip("\0")}
    return {}


def _key(registry: str) -> str:
    return HUB_KEY if registry == HUB else registry


def _keys(registry: str) -> tuple[str, ...]:
    """The spellings under which a registry stands in config.json: exact ones, so that a look-alike gets nothing."""
    if registry == HUB:
        return (HUB_KEY, "index.docker.io", "docker.io", "https://index.docker.io/v1", "https://docker.io")
    return (registry, f"https://{registry}", f"https://{registry}/", f"https://{registry}/v1/", f"https://{registry}/v2/")


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


# helpers


def _helper(config: dict[str, Any], registry: str) -> str:
    helpers = _object(config.get("credHelpers"))
    name = next((str(helpers[key]) for key in _keys(registry) if helpers.get(key)), str(config.get("credsStore") or ""))
    if name and not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise PykeError(f"the credential helper {name!r} has a name that no program has", hint=f"cat {docker_file()}")
    return name


def _from_helper(helper: str, registry: str) -> dict[str, str]:
    answer = _run_helper(helper, "get", _key(registry))
    if not answer:
        return {}
    username, secret = str(answer.get("Username", "")), str(answer.get("Secret", ""))
    return {"identitytoken": secret} if username == TOKEN_USER else {"username": username, "password": secret}


def _run_helper(helper: str, action: str, text: str) -> dict[str, Any]:
    """Run a helper; {} where it knows nothing, or has nothing to say."""
    import subprocess  # 14 ms: only for those who have helpers

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, action], input=text, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PykeError(f"the credential helper {program} cannot be run: {error}", hint=f"command -v {program}") from error
    if done.returncode != 0:
        if "not found" in done.stdout.lower():
            return {}
        raise PykeError(f"the credential helper {program} failed: {done.stdout.strip()[:200]}", hint=f"cat {docker_file()}")
    try:
        return _object(jsontext.loads(done.stdout.encode())) if done.stdout.strip() and action == "get" else {}
    except ValueError as error:
        raise PykeError(f"the credential helper {program} did not answer in JSON", hint=f"cat {docker_file()}") from error


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
