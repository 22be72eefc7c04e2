"""What a container uses: bytes on disk, and processes, both seen from outside."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pyke.errors import Conflict, InvalidRequest, NoSuchImage, PykeError
from pyke.model import Container
from pyke.runtime import cgroups

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

PS = "/bin/ps"
PS_DEADLINE = 10.0  # seconds
PS_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}


def size(engine: Engine, container: Container) -> tuple[int, int]:
    """Bytes that the container changed, and bytes in all with its image."""
    changed = engine.plugins.call("storage", container.storage_driver, "usage", container.id)
    try:
        return changed, changed + engine.images.get(container.image_id).size
    except NoSuchImage:
        return changed, changed


def top(engine: Engine, container: Container, arguments: str) -> tuple[list[str], list[list[str]]]:
    """The titles and rows that the host's `ps` prints of the container's processes. Never the image's `ps`."""
    if not container.state.is_running:
        raise Conflict(f"Container {container.id} is not running", hint=f"pyke start {container.name}")
    wanted = {str(pid) for pid in cgroups.at(engine.cgroup_path(container)).pids()}
    titles, *rows = _ps(arguments.split() or ["-ef"])
    if "PID" not in titles:
        raise InvalidRequest("Couldn't find PID field in ps output", hint=f"pyke top {container.name} -o pid,comm")
    column = titles.index("PID")
    return titles, [row for row in rows if row[column] in wanted]


def _ps(arguments: list[str]) -> list[list[str]]:
    """The output of `ps` in columns; the last one takes the rest of its line."""
    if any("e" in word.split("=")[0].lstrip("-") and not word.startswith("-") for word in arguments):
        raise InvalidRequest("a ps option that shows environments is refused", hint="pyke top CONTAINER -ef")
    try:
        output = subprocess.run(
            [PS, *arguments], capture_output=True, timeout=PS_DEADLINE, env=PS_ENVIRONMENT, check=True, text=True
        ).stdout
    except FileNotFoundError as error:
        raise PykeError(f"{PS} is not installed on the host", hint="apt-get install procps") from error
    except subprocess.CalledProcessError as error:
        raise InvalidRequest(
            f"ps: {error.stderr.strip().splitlines()[0] if error.stderr.strip() else error}", hint="pyke top CONTAINER -ef"
        ) from error
    lines = output.splitlines()
    columns = len(lines[0].split())
    return [line.split(None, columns - 1) for line in lines]
