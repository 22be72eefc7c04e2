"""`login`, `search` and `manifest inspect`, and where credentials come from."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyke.cli.registries import credentials
from pyke.errors import PykeError

Pyke = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_login_that_is_refused_keeps_nothing(pyke: Pyke, home: Path) -> None:
    done = pyke("login", "-u", "me", "--password-stdin", "registry.test", stdin="wrong")
    assert done.returncode == 1
    assert done.stderr == "pyke: unauthorized: incorrect username or password\n  hint: pyke login registry.test\n"
    assert not list(home.rglob("*"))


def test_a_login_keeps_what_a_pull_sends(pyke: Pyke, home: Path) -> None:
    done = pyke("login", "-u", "me", "-p", "secret", "registry.test")
    assert done.stdout == "Login Succeeded\n"
    assert done.stderr.startswith("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    assert (home / ".config" / "pyke").stat().st_mode & 0o777 == 0o700
    assert pyke("pull", "registry.test/app").stdout.splitlines()[1].startswith("me: Pulling from")
    assert "me: Pulling" not in pyke("pull", "registry.test/app", stdin="").stderr


def test_a_login_without_a_terminal_wants_the_password_on_stdin(pyke: Pyke) -> None:
    assert "non TTY device" in pyke("login", "registry.test").stderr
    assert "Must provide --username" in pyke("login", "--password-stdin", "registry.test", stdin="secret").stderr


def test_a_search_is_a_table(pyke: Pyke) -> None:
    lines = pyke("search", "--limit", "2", "redis").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"],
        ["redis2", "an", "image", "2", "[OK]"],
        ["redis1", "an", "image", "1"],
    ]
    assert "outside the range of [1, 100]" in pyke("search", "--limit", "101", "redis").stderr


def test_a_manifest_is_shown(pyke: Pyke) -> None:
    assert json.loads(pyke("manifest", "inspect", "registry.test/app:1").stdout) == {"schemaVersion": 2}


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("redis", "docker.io"),
        ("team/app", "docker.io"),
        ("index.docker.io/redis", "docker.io"),
        ("registry.corp/app", "registry.corp"),
        ("localhost/app", "localhost"),
        ("host:5000/app@sha256:0", "host:5000"),
    ],
)
def test_a_reference_names_its_registry(reference: str, registry: str) -> None:
    assert credentials.registry_of(reference) == registry


def test_docker_s_file_is_read_and_look_alikes_get_nothing(home: Path) -> None:
    word = base64.b64encode(b"me:a:b").decode()
    (home / ".docker").mkdir()
    config = {"auths": {"https://index.docker.io/v1/": {"auth": word}, "registry.corp": {"identitytoken": "token"}}}
    (home / ".docker" / "config.json").write_text(json.dumps(config))
    assert credentials.lookup("docker.io") == {"username": "me", "password": "a:b", "serveraddress": "https://index.docker.io/v1/"}
    assert credentials.lookup("registry.corp") == {"identitytoken": "token", "serveraddress": "registry.corp"}
    for other in ("registry.corp:5000", "registry.corp.evil", "corp", "evil"):
        assert credentials.lookup(other) == {} and credentials.header(other) == {}


def test_a_broken_file_is_named(home: Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text("{")
    with pytest.raises(PykeError, match=r"config\.json cannot be read"):
        credentials.lookup("registry.corp")


def test_a_helper_s_name_is_a_program_s(home: Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(json.dumps({"credsStore": "../../bin/sh"}))
    with pytest.raises(PykeError, match="has a name that no program has"):
        credentials.lookup("registry.corp")
