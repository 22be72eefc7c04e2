"""Images as people have them: redis, nginx, Flask and MariaDB from a registry, run as in a tutorial. Made of Debian's packages."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.errors import PykeError
from pyke.testing.docker_registry import DockerRegistry
from pyke.testing.engine import TestEngine

pytestmark = pytest.mark.timeout(900)  # the first of them makes all images
PATIENCE = 30.0  # seconds for a service to answer


@pytest.fixture(scope="module")
def hub(services: Path) -> Iterator[str]:
    """Where the images are: a registry's address, and a folder in it."""
    with DockerRegistry(services) as registry:
        yield f"{registry.host}/library"


def until(ask: Callable[[], str], expected: str) -> str:
    """The first answer that has the expected text in it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = ask()
        except (OSError, PykeError) as error:
            answer = str(error)
        if expected in answer:
            return answer
        assert time.monotonic() < deadline, f"{expected!r} is not in {answer!r}"
        time.sleep(0.1)


def page(engine: TestEngine, container: str, port: str) -> Callable[[], str]:
    """What a published port serves on loopback."""
    address = engine.ok("port", container, port).splitlines()[0].replace("0.0.0.0", "127.0.0.1")

    def ask() -> str:
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as reply:
            return str(reply.read().decode())

    return ask


def test_redis_keeps_its_data_on_a_named_volume(shared: TestEngine, hub: str) -> None:
    missing = shared.pyke("run", "-d", "--name", "store", "-v", "redis-data:/data", "-p", "127.0.0.1::6379", f"{hub}/redis")
    assert missing.status == 0 and f"Unable to find image '{hub}/redis:latest' locally\n" in missing.stderr
    until(lambda: shared.pyke("exec", "store", "redis-cli", "ping").stdout, "PONG")
    assert shared.ok("exec", "store", "redis-cli", "set", "name", "pyke") == "OK"
    assert shared.ok("exec", "store", "stat", "-c", "%U", "/data", "/proc/1") == "redis\nredis"
    until(lambda: shared.ok("inspect", "-f", "{{.State.Health.Status}}", "store"), "healthy")
    shared.ok("restart", "store")
    until(lambda: shared.pyke("exec", "store", "redis-cli", "get", "name").stdout, "pyke")
    assert shared.ok("stop", "store") == "store" and "User requested shutdown" in shared.ok("logs", "store")
    assert shared.ok("inspect", "-f", "{{.State.ExitCode}}", "store") == "0"
    shared.ok("rm", "store")
    shared.ok("run", "-d", "--name", "store", "-v", "redis-data:/data", f"{hub}/redis", "--appendonly", "no")
    until(lambda: shared.pyke("exec", "store", "redis-cli", "get", "name").stdout, "pyke")
    shared.ok("rm", "-f", "store")


def test_flask_counts_in_redis_by_name(shared: TestEngine, hub: str) -> None:
    shared.ok("network", "create", "demo")
    shared.ok("run", "-d", "--network", "demo", "--name", "redis-server", f"{hub}/redis")
    flags = ("--network", "demo", "-e", "REDIS_HOST=redis-server", "-p", "127.0.0.1::5000")
    shared.ok("run", "-d", "--name", "web", *flags, f"{hub}/flask-demo")
    ask = page(shared, "web", "5000")
    until(ask, "I have been seen")
    first, second = (int(ask().split()[-2]) for _ in range(2))
    assert second == first + 1
    assert shared.ok("exec", "web", "id", "-un") == "www-data"
    shared.ok("rm", "-fv", "web", "redis-server")


def test_nginx_serves_and_logs(shared: TestEngine, hub: str) -> None:
    shared.ok("run", "-d", "--name", "site", "-p", "127.0.0.1::80", f"{hub}/nginx")
    until(page(shared, "site", "80"), "Welcome to nginx!")
    until(lambda: shared.ok("logs", "site"), '"GET / HTTP/1.1" 200')
    assert "/docker-entrypoint.sh: Configuration complete; ready for start up" in shared.ok("logs", "site")
    assert '"/docker-entrypoint.…"' in shared.ok("ps", "--filter", "name=site")
    shared.ok("stop", "site")
    assert shared.ok("inspect", "-f", "{{.State.ExitCode}}", "site") == "0"  # SIGQUIT lets it end well
    shared.ok("rm", "site")


def test_a_database_outlives_its_container(shared: TestEngine, hub: str) -> None:
    def sql(text: str) -> str:
        done = shared.pyke("exec", "base", "mariadb", "-uroot", "-p123456", "-N", "-e", text)
        return done.stdout + done.stderr

    flags = ("-e", "MARIADB_ROOT_PASSWORD=123456", "-v", "mysql-data:/var/lib/mysql")
    shared.ok("run", "-d", "--name", "base", *flags, f"{hub}/mysql")
    until(lambda: sql("SELECT 'is up'"), "is up")
    sql("CREATE DATABASE user; CREATE TABLE user.info (name VARCHAR(30)); INSERT INTO user.info VALUES ('moss')")
    shared.ok("stop", "base")
    shared.ok("rm", "base")
    shared.ok("run", "-d", "--name", "base", *flags, f"{hub}/mysql")
    until(lambda: sql("SELECT name FROM user.info"), "moss")
    shared.ok("rm", "-f", "base")
