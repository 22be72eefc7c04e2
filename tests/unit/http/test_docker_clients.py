"""Docker's own command line, as far as one is installed, speaks to the API and does not notice."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

CLIENTS: list[Any] = [path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if shutil.which(path)]


@pytest.fixture(params=CLIENTS or [pytest.param("", marks=pytest.mark.skip(reason="no docker client is installed"))])
def docker(request: pytest.FixtureRequest, client: Any, root: Any) -> Any:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{client.path}", "DOCKER_CONFIG": str(root / "docker")}

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        done = subprocess.run([request.param, *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=30)
        return done.returncode, done.stdout, done.stderr

    return run


def test_run_prints_what_the_container_prints(docker: Any) -> None:
    assert docker("run", "--name", "c1", "busybox", "echo", "hello") == (0, "echo hello\n", "")
    assert docker("run", "--rm", "-t", "busybox", "echo", "tty") == (0, "echo tty\n", "")
    assert docker("ps", "-a", "--format", "{{.Names}}")[1] == "c1\n"


def test_a_background_container_is_seen_and_ended(docker: Any) -> None:
    status, id, _ = docker("run", "-d", "--name", "d1", "-p", "8080:80", "-v", "/tmp:/x:ro", "--mount", "type=tmpfs,dst=/t", "busybox")
    assert (status, len(id)) == (0, 65)
    assert docker("inspect", "-f", "{{.State.Status}} {{.HostConfig.Binds}}", "d1")[1] == "running [/tmp:/x:ro]\n"
    assert docker("logs", "-t", "d1")[1:] == ("2023-11-14T22:13:20.123456789Z hello\n", "2023-11-14T22:13:21.000000000Z oops\n")
    assert docker("exec", "d1", "echo", "out") == (0, "out\n", "")
    assert docker("top", "d1")[0] == 0
    assert docker("kill", "d1")[:2] == (0, "d1\n")
    assert docker("wait", "d1")[1] == "137\n"
    assert docker("rm", "d1")[:2] == (0, "d1\n")


def test_everything_about_the_engine_is_readable(docker: Any) -> None:
    assert docker("version", "--format", "{{.Server.Os}} {{.Server.MinAPIVersion}}")[1] == "linux 1.24\n"
    status, out, _ = docker("info", "--format", "{{.Driver}} {{.Name}}")
    assert status == 0
    assert out.startswith("memory ")
    assert docker("system", "df")[0] == 0
    assert docker("network", "ls", "--format", "{{.Name}} {{.Driver}}")[1].splitlines() == ["bridge bridge", "host host", "none null"]
    assert docker("plugin", "ls")[0] == 0
    assert docker("events", "--since", "1h", "--until", "0s")[0] == 0


def test_images_are_shown_made_and_removed(docker: Any) -> None:
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}")[1] == "busybox:latest 1.23kB\n"
    assert len(docker("history", "-q", "busybox")[1].splitlines()) == 2
    assert docker("import", "-", "made:1", stdin="tar")[0] == 0
    assert docker("rmi", "made:1")[1].startswith("Untagged: made:1\nDeleted: sha256:")


def test_errors_read_as_dockers(docker: Any) -> None:
    assert docker("stop", "nosuch")[2].startswith("Error response from daemon: No such container: nosuch\n")
    assert "Minimum memory limit allowed is 6MB" in docker("run", "-m", "1k", "busybox")[2]
    assert docker("pull", "nginx")[0] == 1
