"""Credentials that a helper keeps (docker-credential-helpers' protocol): `login`, `pull`, `push` and `logout` go through it alone."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.images import layer
from pyke.testing.registry import PlayRegistry

SECRET = "a secret, with spaces"
HELPER = f"""#!{sys.executable}
import json, os, sys
store, word, text = os.environ["HELPER_STORE"], sys.argv[1], sys.stdin.read()
kept = json.load(open(store)) if os.path.exists(store) else {{}}
with open(store + ".log", "a") as log:
    log.write(word + "\\n")
if word == "store":
    entry = json.loads(text)
    kept[entry["ServerURL"]] = [entry["Username"], entry["Secret"]]
elif word == "list":
    print(json.dumps({{server: name for server, (name, _) in kept.items()}}))
elif text.strip() not in kept:
    print("credentials not found in native keychain")
    sys.exit(1)
elif word == "get":
    name, secret = kept[text.strip()]
    print(json.dumps({{"ServerURL": text.strip(), "Username": name, "Secret": secret}}))
elif word == "erase":
    del kept[text.strip()]
json.dump(kept, open(store, "w"))
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What the helper keeps: {server: [name, secret]}."""
    return tmp_path / "keychain"


@pytest.fixture
def engine(tmp_path: Path, store: Path) -> Iterator[TestEngine]:
    home, programs = tmp_path / "home", tmp_path / "programs"
    (home / ".docker").mkdir(parents=True)
    programs.mkdir()
    helper = programs / "docker-credential-play"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    with TestEngine(tmp_path / "root", {"HOME": str(home), "PATH": path, "HELPER_STORE": str(store), "XDG_CONFIG_HOME": ""}) as engine:
        yield engine


@pytest.fixture
def registry() -> Iterator[PlayRegistry]:
    with PlayRegistry(users={"me": SECRET}) as registry:
        yield registry


def files_below(path: Path) -> str:
    """All that lies in files there."""
    found = (each for each in path.rglob("*") if stat.S_ISREG(each.lstat().st_mode))
    return "\n".join(each.read_text(errors="replace") for each in found)


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_helper_keeps_what_a_login_gives(
    engine: TestEngine, registry: PlayRegistry, store: Path, tmp_path: Path, key: str, auth: str
) -> None:
    registry.put_image("team/app", "1", [layer({"a": os.urandom(20)})])
    registry.auth = auth
    helpers = "play" if key == "credsStore" else {registry.host: "play"}
    (tmp_path / "home" / ".docker" / "config.json").write_text(json.dumps({key: helpers}))
    assert engine.pyke("pull", f"{registry.host}/team/app:1").status == 1

    done = engine.pyke("login", "-u", "me", "--password-stdin", registry.host, input=SECRET)
    assert (done.status, done.stdout.strip()) == (0, "Login Succeeded")
    assert "unencrypted" not in done.stderr
    kept = json.loads(store.read_text())[registry.host]
    assert kept == (["me", SECRET] if auth == "basic" else ["<token>", "a-refresh-token"])
    assert SECRET not in files_below(tmp_path / "home") + engine.log_tail(1000)

    if auth == "basic":  # a `PlayRegistry` gives tokens for a password alone
        engine.ok("pull", f"{registry.host}/team/app:1")
        engine.ok("tag", f"{registry.host}/team/app:1", f"{registry.host}/team/other:1")
        engine.ok("push", f"{registry.host}/team/other:1")
    assert "Removing login credentials" in engine.ok("logout", registry.host)
    assert json.loads(store.read_text()) == {}
    assert engine.pyke("pull", f"{registry.host}/team/third:1").status == 1
    assert "erase" in Path(f"{store}.log").read_text().split()


def test_a_helper_that_is_missing_is_named(engine: TestEngine, registry: PlayRegistry, tmp_path: Path) -> None:
    (tmp_path / "home" / ".docker" / "config.json").write_text(json.dumps({"credsStore": "nosuch"}))
    done = engine.pyke("pull", f"{registry.host}/team/app:1")
    assert done.status == 1 and "docker-credential-nosuch" in done.stderr and "Traceback" not in done.stderr
