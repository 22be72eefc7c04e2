"""An engine's directories, lost, damaged, exchanged for links, or looked at by users of the host."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from pyke.testing import images
from pyke.testing.engine import TestEngine

DAMAGES = ("gone", "empty", "cut off", "garbage")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_ends_the_start_and_sweeps_nothing(busybox: TestEngine, damage: str) -> None:
    """An engine that began anew would kill what runs and delete all that it does not know."""
    engine = busybox
    pid = engine.ok("run", "-d", "--name", "survivor", "busybox", "sleep", "60") and engine.ok(
        "inspect", "-f", "{{.State.Pid}}", "survivor"
    )
    engine.stop()
    database, kept = Path(engine.layout.database), Path(engine.layout.root) / "kept.db"
    shutil.copy(database, kept)
    _damage(database, damage)
    done = engine.pyke("ps")
    assert done.status == 1 and "state file" in done.stderr and str(database) in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert os.path.exists(f"/proc/{pid}") and os.listdir(engine.layout.containers)
    for rest in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
        rest.unlink(missing_ok=True)
    shutil.move(kept, database)
    assert engine.ok("ps", "--format", "{{.Names}} {{.State}}") == "survivor running"
    assert engine.ok("run", "--rm", "busybox", "echo", "whole") == "whole"


def _damage(database: Path, damage: str) -> None:
    for log in (Path(f"{database}-wal"), Path(f"{database}-shm")):
        log.unlink(missing_ok=True)
    if damage == "gone":
        database.unlink()
    elif damage == "empty":
        database.write_bytes(b"")
    elif damage == "cut off":
        os.truncate(database, database.stat().st_size // 2 // 4096 * 4096)
    else:
        database.write_bytes(b"SQLite format 3\0" + os.urandom(8192))


def test_links_in_place_of_an_engines_directories_are_not_followed(busybox: TestEngine, tmp_path: Path) -> None:
    """A container's directory, or a stray one that is to be swept, as a link to something of the host's."""
    engine, outside = busybox, tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("alive")
    id = engine.ok("create", "--name", "linked", "busybox", "true")
    engine.stop(signal.SIGKILL)
    directory = Path(engine.layout.container_directory(id))
    shutil.rmtree(directory)
    directory.symlink_to(outside)
    for place in (engine.layout.containers, engine.layout.container_runs):
        (Path(place) / ("0" * 64)).symlink_to(outside)
    (Path(engine.layout.container_runs) / ("1" * 64)).mkdir()
    (Path(engine.layout.container_runs) / ("1" * 64) / "bundle.json").symlink_to(outside / "canary")
    assert "linked" in engine.ok("ps", "-a", "--format", "{{.Names}}")
    engine.pyke("rm", "-f", "linked")
    assert [path.name for path in outside.iterdir()] == ["canary"] and (outside / "canary").read_text() == "alive"
    assert engine.ok("run", "--rm", "busybox", "echo", "works") == "works"


def test_users_of_the_host_reach_nothing_of_an_engine(busybox: TestEngine) -> None:
    """CVE-2021-41091: set-user-ID programs in images and volumes, secrets in bundles and the database, the sockets."""
    engine = busybox
    program = Path(images.find_busybox()).read_bytes()
    tree = {**images.busybox_tree(), "suid": images.executable(program, 0o4755)}
    archive = Path(engine.layout.root) / "suid.tar"
    archive.write_bytes(images.docker_archive(["suid"], [images.layer(tree)]))
    engine.ok("load", "-i", str(archive))
    archive.unlink()
    engine.ok("run", "-d", "-e", "SECRET=hidden", "-v", "data:/data", "suid", "sh", "-c", "cp -p /suid /data/suid; echo secret; sleep 60")
    places = [Path(engine.layout.root), Path(engine.layout.run)]
    reached = [path for place in places for path in _reachable(place)]
    files = [path for path in reached if path.is_file() and path.name not in ("hosts", "hostname", "resolv.conf")]
    assert {path.name for path in files} <= {"engine.pid", "spawner.pid", "spawner.build", "oci-layout", "index.json"}, files
    assert not [path for path in reached if path.is_socket() and path.stat().st_mode & stat.S_IWOTH]


def _reachable(directory: Path) -> list[Path]:
    """What a user without any right reaches below a directory whose path it may guess: it needs no right to list."""
    if not directory.stat().st_mode & stat.S_IXOTH:
        return []
    found: list[Path] = []
    for path in directory.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            found += _reachable(path)
        elif path.is_socket() or path.stat().st_mode & stat.S_IROTH or path.stat().st_mode & stat.S_IXOTH:
            found.append(path)
    return found


def test_a_firewall_that_somebody_flushed_is_put_right_by_the_next_start(busybox: TestEngine) -> None:
    """Only this engine's table is taken away: the host's ruleset is the host's."""
    engine = busybox
    table = f"pyke_{engine.layout.tag}"
    engine.ok("run", "-d", "--name", "first", "-p", "127.0.0.1:0:80", "busybox", "sleep", "60")
    before = _listed(table)
    subprocess.run(["nft", "delete", "table", "inet", table], check=True)
    engine.ok("run", "--rm", "busybox", "true")
    assert _listed(table) == before != ""
    subprocess.run(["nft", "delete", "table", "inet", table], check=True)
    engine.stop(signal.SIGKILL)
    engine.ok("run", "--rm", "--network", "none", "busybox", "true")
    assert _listed(table) == before


def _listed(table: str) -> str:
    return subprocess.run(["nft", "list", "table", "inet", table], capture_output=True, text=True, check=False).stdout
