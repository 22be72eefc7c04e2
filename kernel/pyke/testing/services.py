"""Images such as Docker Hub has for redis, nginx, Flask and MariaDB, made of Debian's packages: with entrypoints, users, volumes, ports.

    for name, archive in archives(DebianPackages(directory)):
        ...

They stand on one base, which is Ubuntu's image, and come with the small ones of the tutorial.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyke.testing.debian import DebianPackages
from pyke.testing.images import Node, Tree, busybox_tree, directory, docker_archive, executable, layer, symbolic_link

BASE = ("base-files", "base-passwd", "bash", "coreutils", "findutils", "gosu", "grep", "libc-bin", "sed")
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    "mysql:x:998:998::/var/lib/mysql:/bin/false\nredis:x:999:999::/data:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
)
GROUP = "root:x:0:\ntty:x:5:\nadm:x:4:\nwww-data:x:33:\nmysql:x:998:\nredis:x:999:\nnogroup:x:65534:\n"
BASE_FILES: Tree = {
    "usr/bin/sh": symbolic_link("bash"),
    "etc/passwd": PASSWD.encode(),
    "etc/group": GROUP.encode(),
    "tmp": directory(0o1777),
}
# Roots become the service's own user, who gets what lies in the volume.
REDIS_ENTRYPOINT = b"""#!/bin/sh
set -e
case "$1" in -*|*.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \\! -user redis -exec chown redis '{}' +
    exec gosu redis "$0" "$@"
fi
exec "$@"
"""
NGINX_ENTRYPOINT = b"""#!/bin/sh
set -e
for script in $(find /docker-entrypoint.d/ -name '*.sh' | sort); do
    echo "$0: Launching $script"
    "$script"
done
echo "$0: Configuration complete; ready for start up"
exec "$@"
"""
NGINX_SITE = b"server { listen 80; location / { root /usr/share/nginx/html; index index.html; } }\n"
MARIADB_ENTRYPOINT = b"""#!/bin/bash
set -e
if [ "$1" = mariadbd ] && [ "$(id -u)" = 0 ]; then
    chown -R mysql: /var/lib/mysql /run/mysqld
    exec gosu mysql "$0" "$@"
fi
if [ ! -d /var/lib/mysql/mysql ]; then
    : "${MARIADB_ROOT_PASSWORD:?it must be given}"
    mariadb-install-db --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve > /dev/null
    printf "%s" "ALTER USER root@localhost IDENTIFIED BY '$MARIADB_ROOT_PASSWORD';
        CREATE USER root@'%' IDENTIFIED BY '$MARIADB_ROOT_PASSWORD'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;" > /tmp/first.sql
    set -- "$@" --init-file=/tmp/first.sql
fi
exec "$@"
"""
FLASK_APPLICATION = b"""import os
from flask import Flask
from redis import Redis

app = Flask(__name__)
redis = Redis(host=os.environ.get("REDIS_HOST", "127.0.0.1"), port=6379)

@app.route("/")
def hello():
    redis.incr("hits")
    return f"Hello Container World! I have been seen {redis.get('hits').decode('utf-8')} times.\\n"
"""


@dataclass(frozen=True, slots=True)
class Service:
    """One image: its name, what it is made of, and what its containers start from."""

    reference: str
    packages: tuple[str, ...]
    files: Tree
    config: Mapping[str, Any] = field(default_factory=dict)

    def layer(self, packages: DebianPackages) -> bytes:
        """What it adds to the base."""
        return packages.layer(self.packages, self.files)


REDIS = Service(
    "redis:latest",
    ("redis-server",),
    {"usr/local/bin/docker-entrypoint.sh": executable(REDIS_ENTRYPOINT), "data": directory(uid=999, gid=999)},
    {
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["redis-server", "--protected-mode", "no"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/data",
        "ExposedPorts": {"6379/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "redis-cli", "ping"], "Interval": 1_000_000_000},
    },
)
NGINX = Service(
    "nginx:latest",
    ("nginx",),
    {
        "docker-entrypoint.sh": executable(NGINX_ENTRYPOINT),
        "docker-entrypoint.d": directory(),
        "docker-entrypoint.d/10-listen.sh": executable(b'#!/bin/sh\necho "10-listen.sh: info: nothing to change"\n'),
        "etc/nginx/conf.d/default.conf": NGINX_SITE,
        "usr/share/nginx/html/index.html": b"<h1>Welcome to nginx!</h1>\n",
        "var/log/nginx/access.log": symbolic_link("/dev/stdout"),
        "var/log/nginx/error.log": symbolic_link("/dev/stderr"),
    },
    {
        "Entrypoint": ["/docker-entrypoint.sh"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "StopSignal": "SIGQUIT",
        "ExposedPorts": {"80/tcp": {}},
    },
)
FLASK = Service(
    "flask-demo:latest",
    ("python3-flask", "python3-redis", "python3-click", "python3-jinja2"),
    {"src": directory(), "src/app.py": FLASK_APPLICATION},
    {
        "Cmd": ["flask", "run", "-h", "0.0.0.0"],
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "FLASK_APP=app.py", "REDIS_HOST=redis"],
        "User": "www-data",
        "WorkingDir": "/src",
        "ExposedPorts": {"5000/tcp": {}},
    },
)
MARIADB = Service(
    "mysql:latest",
    ("mariadb-server-core", "mariadb-client-core", "mawk"),
    {
        "usr/bin/awk": symbolic_link("mawk"),
        "usr/local/bin/docker-entrypoint.sh": executable(MARIADB_ENTRYPOINT),
        "run/mysqld": directory(uid=998, gid=998),
        "var/lib/mysql": directory(uid=998, gid=998),
        "etc/mysql/my.cnf": Node(content=b"[mysqld]\nskip-name-resolve\nsocket=/run/mysqld/mysqld.sock\ndatadir=/var/lib/mysql\n"),
    },
    {
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["mariadbd"],
        "Volumes": {"/var/lib/mysql": {}},
        "ExposedPorts": {"3306/tcp": {}},
    },
)


def archives(packages: DebianPackages) -> Iterator[tuple[str, bytes]]:
    """All images, as archives with their names."""
    base = packages.layer(BASE, BASE_FILES)
    yield "ubuntu:latest", docker_archive(["ubuntu:latest"], [base], {"Cmd": ["bash"]})
    yield "ubuntu:15.10", docker_archive(["ubuntu:15.10"], [base, layer({"etc/old": b"15.10"})], {"Cmd": ["bash"]})
    yield "busybox:latest", docker_archive(["busybox:latest"], [layer(busybox_tree())])
    for service in (REDIS, NGINX, FLASK, MARIADB):
        yield service.reference, docker_archive([service.reference], [base, service.layer(packages)], service.config)
    for name, config in (
        ("dome-cmd:latest", {"Cmd": ["echo", "hello,docker"]}),
        ("dome-ent:latest", {"Entrypoint": ["echo", "hello,docker"], "Cmd": []}),
        ("dome-both:latest", {"Entrypoint": ["echo"], "Cmd": []}),
    ):
        yield name, docker_archive([name], [base], config)
    cron = layer({"app": directory(), "app/my-cron": b"* * * * *\n"})
    yield "my-cron:latest", docker_archive(["my-cron:latest"], [base, cron], {"Volumes": {"/app": {}}, "WorkingDir": "/app"})
