"""A tutorial for Docker, typed from its beginning to its end: each command that neither builds nor composes, `docker` being pyke.

The images are made of Debian's packages, and come from a registry that stands for Docker Hub. What each command has to print is a
pattern, in the form in which the tutorial shows it; statuses are 0 unless it says otherwise. All happens on a host of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyke.testing.docker_registry import DockerRegistry
from pyke.testing.engine import TestEngine
from pyke.testing.fakehost import FakeHost
from pyke.testing.patience import eventually

pytestmark = pytest.mark.timeout(1800)
ID, SHORT = r"[0-9a-f]{64}\n", r"[0-9a-f]{12}"
AGO = r"(Less than a second|About a minute|\d+ \w+) ago"
SLEEP = '/bin/sh -c "while true; do sleep 3600; done"'
CRON = 'sh -c "while true; do date >> /app/test.txt; sleep 1; done"'
NETWORKS = r"NETWORK ID +NAME +DRIVER +SCOPE\n"


@dataclass(frozen=True)
class Step:
    """A command as it is typed, what it prints (standard output and errors together), and its status."""

    command: str
    prints: str = r"[\s\S]*"
    status: int = 0
    serves: str = ""  # URL=PATTERN, after it


def patiently(command: str) -> str:
    """A command that is repeated until it succeeds: a service needs its time."""
    return f"for i in $(seq 500); do {command} && exit; sleep 0.2; done; exit 1"


CHAPTERS: dict[str, list[Step]] = {
    "commands": [
        Step("docker", r"Usage: +pyke \[OPTIONS\] COMMAND\n[\s\S]*\n  run +[\s\S]*"),
        Step("docker ps -a", r"CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n"),
        Step("docker version", r"Client:[\s\S]* API version: +1\.\d\d\n[\s\S]*Server:[\s\S]*Engine:\n[\s\S]*"),
        Step(
            "docker info",
            r"Client:\n[\s\S]*Server:\n Containers: 0\n  Running: 0\n  Paused: 0\n  Stopped: 0\n Images: 0\n"
            r"[\s\S]*Logging Driver: json-file\n[\s\S]*",
        ),
        Step("docker image ls", r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\n"),
        Step(
            "docker pull ubuntu",
            r"Using default tag: latest\nlatest: Pulling from library/ubuntu\n[\s\S]*\ndocker\.io/library/ubuntu:latest\n",
        ),
        Step(
            "docker image rm ubuntu", rf"Untagged: ubuntu:latest\nUntagged: ubuntu@sha256:{ID}Deleted: sha256:{ID}(Deleted: sha256:{ID})*"
        ),
        Step("docker container ls", r"CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n"),
    ],
    "containers": [
        Step(
            "docker container run -d nginx",
            r"Unable to find image 'nginx:latest' locally\nlatest: Pulling from library/nginx\n[\s\S]*"
            rf"({SHORT}: Pull complete\n)+Digest: sha256:{ID}Status: Downloaded newer image for nginx:latest\n{ID}",
        ),
        Step("docker container ls", rf"CONTAINER ID .*\n{SHORT} +nginx +\"/docker-entrypoint\.…\" +{AGO} +Up .* +80/tcp +[a-z]+_[a-z]+\n"),
        Step("docker run -d nginx", ID),
        Step(
            "docker run ubuntu:15.10 /bin/echo 'Hello world'",
            r"Unable to find [\s\S]*Downloaded newer image for ubuntu:15\.10\nHello world\n",
        ),
        Step(
            "docker ps -a",
            rf"CONTAINER ID .*\n{SHORT} +ubuntu:15\.10 +\"/bin/echo 'Hello wo…\" +{AGO} +Exited \(0\) {AGO} +\w+\n({SHORT}"
            rf" +nginx .* 80/tcp .*\n){{2}}",
        ),
        Step("docker ps -aq", rf"({SHORT}\n){{3}}"),
        Step("docker container stop $(docker ps -aq)", rf"({SHORT}\n){{3}}"),
        Step("docker ps", r"CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n"),
        Step("docker container start $(docker ps -aq)", rf"({SHORT}\n){{3}}"),
        Step("docker container rm $(docker ps -aq)", rf"{SHORT}\n[\s\S]*You cannot remove a running container[\s\S]*", 1),
        Step("docker container stop $(docker ps -q)", rf"({SHORT}\n){{2}}"),
        Step("docker container rm $(docker ps -aq)", rf"({SHORT}\n){{2}}"),
    ],
    "attached, detached, interactive": [
        Step("timeout -s INT 3 docker container run -p 80:80 nginx", r"[\s\S]*Configuration complete; ready for start up\n[\s\S]*", 124),
        Step("docker container run -d -p 80:80 --name webhost nginx", ID, serves="http://127.0.0.1/=Welcome to nginx"),
        Step("docker container logs webhost", r"[\s\S]*ready for start up\n[\s\S]*"),
        Step("timeout 2 docker container logs -f webhost", r"[\s\S]*ready for start up\n[\s\S]*", 124),
        Step("echo 'echo inside; exit' | docker container run -i ubuntu sh", r"Unable to find [\s\S]*\ninside\n"),
        Step("docker exec webhost sh -c 'ls /etc/nginx/nginx.conf'", r"/etc/nginx/nginx\.conf\n"),
        Step("echo cat /etc/hostname | docker exec -i webhost sh", rf"{SHORT}\n"),
        Step("docker container top webhost", r"UID +PID .*\n[\s\S]*nginx: master process[\s\S]*"),
        Step("docker container rm webhost", r"[\s\S]*running container[\s\S]*", 1),
        Step("docker container rm -f webhost", r"webhost\n"),
    ],
    "images": [
        Step("docker image pull redis", r"[\s\S]*Status: Downloaded newer image for redis:latest\ndocker\.io/library/redis:latest\n"),
        Step("docker pull redis:4.4.20-rc0", r"[\s\S]*manifest for redis:4\.4\.20-rc0 not found: manifest unknown[\s\S]*", 1),
        Step("docker run --name used ubuntu:15.10 true", ""),
        Step(
            "docker image rm ubuntu:15.10",
            r"[\s\S]*conflict: unable to remove repository reference \"ubuntu:15\.10\" \(must force\) - container [\s\S]*",
            1,
        ),
        Step("docker rm used && docker image save ubuntu:15.10 -o ubuntu.image && ls", r"used\n[\s\S]*ubuntu\.image\n"),
        Step("docker image rm ubuntu:15.10", r"Untagged: ubuntu:15\.10\n[\s\S]*"),
        Step("docker image load -i ./ubuntu.image", r"([0-9a-f]{12}: Loading layer .*\n)*Loaded image: ubuntu:15\.10\n"),
        Step("docker images", rf"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\n[\s\S]*ubuntu +15\.10 +{SHORT} +.* ago +[\d.]+MB\n[\s\S]*"),
        Step(
            "docker image history nginx",
            rf"IMAGE +CREATED +CREATED BY +SIZE +COMMENT\n{SHORT} +.* ago +layer 2 +[\d.]+MB *\n<missing> +.* ago +layer 1 +[\d.]+MB *\n",
        ),
        Step("docker image inspect nginx", r'\[\n    \{\n        "Id": "sha256:[\s\S]*'),
        Step("docker image tag ubuntu iceymoss/hello:1.0", ""),
        Step("echo word | docker login -u iceymoss --password-stdin", r"[\s\S]*Login Succeeded\n"),
        Step(
            "docker image push iceymoss/hello:1.0",
            r"The push refers to repository \[docker\.io/iceymoss/hello\]\n[\s\S]*"
            rf"{SHORT}: (Pushed|Layer already exists|Mounted from library/[a-z-]+)\n1\.0: digest: sha256:[0-9a-f]{{64}} size: \d+\n",
        ),
        Step("docker image rm iceymoss/hello:1.0 && docker pull iceymoss/hello:1.0", r"[\s\S]*docker\.io/iceymoss/hello:1\.0\n"),
        Step("docker run -d --name web nginx", ID),
        Step("docker exec web sh -c 'echo mine > /usr/share/nginx/html/index.html'", ""),
        Step("docker container commit web iceymoss/nginx", rf"sha256:{ID}"),
        Step("docker run -d -p 80:80 iceymoss/nginx", ID, serves="http://127.0.0.1/=mine"),
        Step("docker container run dome-cmd", r"[\s\S]*hello,docker\n"),
        Step('docker container run dome-cmd echo "hi,iceymoss"', r"hi,iceymoss\n"),
        Step('docker container run dome-ent echo "hi,iceymoss"', r"[\s\S]*hello,docker echo hi,iceymoss\n"),
        Step("docker container run dome-both", r"[\s\S]*\n"),
        Step('docker container run dome-both "吃了吗?"', r"吃了吗\?\n"),
        Step("docker rm -f $(docker ps -aq)", rf"({SHORT}\n)+"),
        Step("docker system prune -f", r"[\s\S]*Total reclaimed space: [\d.]+\w?B\n"),
        Step("docker image prune -a -f", r"[\s\S]*Total reclaimed space: [\d.]+MB\n"),
    ],
    "storage": [
        Step(f"docker run -d my-cron {CRON}", rf"[\s\S]*\n{ID}"),
        Step("docker volume ls", rf"DRIVER +VOLUME NAME\nlocal +{ID}"),
        Step(
            "docker inspect $(docker volume ls -q)",
            r'\[\n    \{\n        "CreatedAt": "[\s\S]*"Mountpoint": ".*/volumes/[0-9a-f]{64}/_data",[\s\S]*"Scope": "local"\n    \}\n\]\n',
        ),
        Step(f"docker container run -d -v cron-data:/app my-cron {CRON}", ID),
        Step("docker volume ls", rf"DRIVER +VOLUME NAME\n(local +{ID}local +cron-data\n|local +cron-data\nlocal +{ID})"),
        Step("docker volume inspect cron-data", r'[\s\S]*"Mountpoint": ".*/volumes/cron-data/_data",\n        "Name": "cron-data",[\s\S]*'),
        Step("ls $(docker volume inspect -f '{{.Mountpoint}}' cron-data)", r"my-cron\n(test\.txt\n)?"),
        Step("docker rm -f $(docker container ps -aq)", rf"({SHORT}\n){{2}}"),
        Step("docker system prune -f", r"[\s\S]*Total reclaimed space: .*\n"),
        Step("docker volume prune -f", r"Deleted Volumes:\n[\s\S]*Total reclaimed space: .*\n"),
        Step("docker pull mysql:latest", r"[\s\S]*docker\.io/library/mysql:latest\n"),
        Step(
            "docker container run --name demo-mysql -e MARIADB_ROOT_PASSWORD=123456 -d -p 3307:3306 "
            "-v mysql-data:/var/lib/mysql mysql:latest",
            ID,
        ),
        Step(
            patiently("docker exec demo-mysql mariadb -uroot -p123456 -e 'CREATE DATABASE IF NOT EXISTS demo' 2>/dev/null"),
            "",
        ),
        Step("docker rm -f demo-mysql && docker volume ls", r"demo-mysql\n[\s\S]*local +mysql-data\n"),
        Step("docker run --name again -d -v mysql-data:/var/lib/mysql mysql:latest", ID),
        Step(
            patiently("docker exec again mariadb -uroot -p123456 -e 'SHOW DATABASES' 2>/dev/null | grep demo"),
            r"demo\n",
        ),
        Step("docker run --rm -v $(pwd):/root/work busybox sh -c 'echo bound > /root/work/here'; cat here", r"[\s\S]*bound\n"),
        Step("docker rm -f again", r"again\n"),
    ],
    "networks": [
        Step("docker network ls", NETWORKS + rf"{SHORT} +bridge +bridge +local\n{SHORT} +host +host +local\n{SHORT} +none +null +local\n"),
        Step("docker network inspect bridge", r'\[\n    \{\n        "Name": "bridge",[\s\S]*"Gateway": "172\.\d+\.0\.1"[\s\S]*'),
        Step("docker run -d -p 8080:80 nginx:latest", rf"[\s\S]*\n{ID}", serves="http://127.0.0.1:8080/=Welcome to nginx"),
        Step("docker ps", rf"CONTAINER ID .*\n{SHORT} +nginx:latest +\"/docker-entrypoint\.…\" .* 0\.0\.0\.0:8080->80/tcp.*\n"),
        Step("docker network create -d bridge mybridge", ID),
        Step("docker network ls", NETWORKS + rf"[\s\S]*{SHORT} +mybridge +bridge +local\n[\s\S]*"),
        Step(
            "docker network inspect mybridge",
            r'[\s\S]*"Name": "mybridge",[\s\S]*"Subnet": "[\d.]+/\d+",\n +"Gateway": "[\d.]+"[\s\S]*"Containers": \{\},[\s\S]*',
        ),
        Step(f"docker run -d --rm --name box1 busybox:latest {SLEEP}", rf"([\s\S]*\n)?{ID}"),
        Step(f"docker run -d --rm --name box2 --network mybridge busybox:latest {SLEEP}", ID),
        Step(f"docker run -d --rm --name box3 --network mybridge busybox:latest {SLEEP}", ID),
        Step(
            "docker network inspect mybridge",
            r'[\s\S]*"Name": "box[23]",\n +"EndpointID": "[0-9a-f]{64}",'
            r'\n +"MacAddress": "[0-9a-f:]{17}",\n +"IPv4Address": "[\d.]+/\d+"[\s\S]*',
        ),
        Step("docker exec box2 ping -c 1 box3", r"[\s\S]*1 packets received[\s\S]*"),
        Step("docker exec box1 ping -c 1 box3", r"[\s\S]*", 1),
        Step("docker network connect bridge box2", ""),
        Step(
            "docker exec box2 ping -c 1 $(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' box1)",
            r"[\s\S]*1 packets received[\s\S]*",
        ),
        Step("docker network disconnect bridge box2", ""),
        Step("docker run -d --name nginx-web --network host nginx:latest", ID, serves="http://127.0.0.1/=Welcome to nginx"),
        Step("docker ps", rf"[\s\S]*{SHORT} +nginx:latest +\S+ +{AGO} +Up (Less than a second|\d+ seconds?) +nginx-web\n[\s\S]*"),
        Step(
            "docker network inspect host",
            r'[\s\S]*"Containers": \{\n +"[0-9a-f]{64}": \{\n +"Name": "nginx-web",[\s\S]*"IPv4Address": "",[\s\S]*',
        ),
        Step("docker rm -f nginx-web && docker run -d --name nginx-web --network none nginx:latest", rf"nginx-web\n{ID}"),
        Step("docker network rm mybridge", r"[\s\S]*has active endpoints[\s\S]*", 1),
        Step("docker rm -f $(docker ps -aq)", rf"({SHORT}\n)+"),
    ],
    "flask and redis": [
        Step("docker image pull redis", r"[\s\S]*docker\.io/library/redis:latest\n"),
        Step("docker network create -d bridge demo-network", ID),
        Step("docker container run -d --name redis-server --network demo-network redis", ID),
        Step("docker container ls", rf"CONTAINER ID .*\n{SHORT} +redis +\"docker-entrypoint\.s…\" +{AGO} +Up .* 6379/tcp +redis-server\n"),
        Step(
            "docker container run -d --network demo-network --name flask-demo --env REDIS_HOST=redis-server -p 5000:5000 flask-demo",
            rf"[\s\S]*{ID}",
            serves=r"http://127.0.0.1:5000/=Hello Container World! I have been seen \d+ times",
        ),
        Step("docker container ps", r"[\s\S]*\"flask run -h 0\.0\.0\.0\"[\s\S]*0\.0\.0\.0:5000->5000/tcp[\s\S]*flask-demo\n[\s\S]*"),
        Step("docker exec flask-demo id -un", r"www-data\n"),
        Step("docker rm -f $(docker ps -aq) && docker network rm demo-network", rf"({SHORT}\n)+demo-network\n"),
        Step("docker network prune -f; docker system prune -a -f", r"[\s\S]*Total reclaimed space: .*\n"),
        Step("docker images -q; docker ps -aq", ""),
    ],
}


class Reader:
    """Somebody who types what the tutorial says."""

    def __init__(self, engine: TestEngine, place: Path) -> None:
        self.engine, self.place = engine, place
        (place / "bin").mkdir()
        program = place / "bin" / "docker"
        program.write_text(f'#!/bin/sh\nexec {Path(sys.executable).parent / "pyke"} --root {engine.layout.root} "$@"\n')
        program.chmod(0o755)

    def types(self, step: Step) -> str:
        """Type a command; what is wrong with what it did, or ""."""
        environment = {**self.engine.environment, "PATH": f"{self.place}/bin:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", f"exec 2>&1; {step.command}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.place / "work",
            env=environment,
            timeout=600,
            check=False,
        )
        said = f"$ {step.command}\n{done.stdout}[{done.returncode}]{self.engine.log_tail()}"
        if done.returncode != step.status:
            return f"{said}\n--- is not {step.status}"
        if not re.fullmatch(step.prints, done.stdout):
            return f"{said}\n--- is not\n{step.prints}"
        return self.sees(*step.serves.partition("=")[::2]) if step.serves else ""

    def sees(self, url: str, pattern: str) -> str:
        """What is wrong with what a browser shows, as soon as something is served there, or ""."""
        deadline, page = time.monotonic() + 60, ""
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=10) as reply:
                    page = str(reply.read().decode())
            except OSError as error:
                page = str(error)
            if re.search(pattern, page):
                return ""
            time.sleep(0.1)
        return f"{url} shows {page!r} and not {pattern}"


@pytest.fixture
def reader(tmp_path: Path, services: Path) -> Iterator[Reader]:
    """At a host with nothing on it, whose Docker Hub is a registry on loopback."""
    with FakeHost() as host, host.entered(), DockerRegistry(services) as hub:
        settings = {"registries": {"insecure": ["docker.io"]}, "drivers": {"registry-dockerhub": {"registry": hub.host}}}
        for folder in ("root", "work"):
            (tmp_path / folder).mkdir()
        (tmp_path / "root" / "config.yaml").write_text(json.dumps(settings))
        with TestEngine(tmp_path / "root", {"HOME": str(tmp_path)}) as engine:
            yield Reader(engine, tmp_path)
            trash = Path(engine.layout.root, "overlay", "trash")  # what was pruned is deleted a little later
            eventually(lambda: not trash.exists() or not list(trash.iterdir()), "the trash is empty", within=120)


def test_the_tutorial_is_true(reader: Reader) -> None:
    """One step builds on another: all are tried, so that a failure shows what comes of it."""
    wrong = [found for chapter in CHAPTERS.values() for step in chapter if (found := reader.types(step))]
    assert not wrong, "\n\n".join(wrong)
