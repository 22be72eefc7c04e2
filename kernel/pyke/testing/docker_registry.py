"""Debian's `docker-registry` (apt-get install docker-registry) as a real peer: plain, with htpasswd, with TLS."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from pyke.testing.certificates import Certificate

PROGRAM = "docker-registry"
PATIENCE = 15.0  # seconds until it answers
USER, PASSWORD = "pyke", "secret"
HTPASSWD = "pyke:$2b$04$DrFTYHq1/uDCF06cT9FSOeZfL4z8vKShKJ.9J4mqrzU8vxQpBDOC.\n"  # bcrypt of PASSWORD


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


class DockerRegistry:
    """One registry below `directory`, on a free port of loopback."""

    def __init__(self, directory: Path, *, auth: bool = False, certificate: Certificate | None = None) -> None:
        self.directory, self._auth, self._certificate = directory, auth, certificate
        self.host = f"127.0.0.1:{_free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://{self.host}"

    def __enter__(self) -> DockerRegistry:
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = self.directory / "config.json"  # JSON is YAML, too
        settings.write_text(json.dumps(self._settings()))
        log = (self.directory / "registry.log").open("wb")
        with log:
            self._process = subprocess.Popen([PROGRAM, "serve", str(settings)], stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def _settings(self) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": self.host}
        if self._certificate is not None:
            http["tls"] = {"certificate": self._certificate.certificate, "key": self._certificate.key}
        settings: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "data")}, "delete": {"enabled": True}},
            "http": http,
        }
        if self._auth:
            (self.directory / "htpasswd").write_text(HTPASSWD)
            settings["auth"] = {"htpasswd": {"realm": "test", "path": str(self.directory / "htpasswd")}}
        return settings

    def _wait(self) -> None:
        host, _, port = self.host.partition(":")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return
            time.sleep(0.05)
        raise AssertionError(f"docker-registry does not answer: {(self.directory / 'registry.log').read_text()[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
