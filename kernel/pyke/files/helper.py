"""One job on a container's files, told and answered over pipes.

Standard input: four bytes of length (big-endian), the job as JSON, and for `place` the archive. Standard output: the answer as one line of
JSON, {"error": "", ...} or {"error": KIND of `pyke.errors`, "message", "hint"}; then, for `archive`, `export` and `layer`, a tar, which is
whole only when this process ends with status 0. A job:

    {"do": "stat" | "archive" | "place" | "export" | "changes" | "layer" | "fill" | "empty", "container": ID, "name": NAME, "path": PATH,
     "pid": N,                                       of a running container, or 0
     "snapshot": {...}, "binds": [...], "read_only": bool,    RootFilesystem and OCI mounts of one that does not run
     "upper": DIRECTORY, "base": {...},              for `changes` and `layer`
     "stand": DIRECTORY,                             one of the host that may be covered
     "volume": DIRECTORY,                            one of the host that is mounted at `path`, for `fill` and `empty`
     "limits": {...}, "may_exchange": bool}          for `place`
"""

from __future__ import annotations

import functools
import json
import os
import struct
import sys
from collections.abc import Iterable
from typing import Any

from pyke.archive import tree
from pyke.archive.content import Content, send_all
from pyke.archive.decompress import PlainReader
from pyke.archive.limits import ArchiveLimits
from pyke.archive.pack import gathered, pack, pack_one
from pyke.archive.placing import place
from pyke.archive.source import Source
from pyke.errors import Conflict, PykeError
from pyke.files import views
from pyke.files.changes import changes, untouched_mount_points
from pyke.files.filling import empty, fill
from pyke.files.places import Place, destination, followed, is_shown
from pyke.runtime.root import Root

STDIN, STDOUT = 0, 1
BOOT = "import sys; sys.path = sys.argv[1:]; from pyke.files.helper import main; main()"

Job = dict[str, Any]
Result = tuple[dict[str, Any], Iterable[bytes | Content]]  # the answer, and the tar that follows it


def command() -> list[str]:
    """How to start a helper that finds what this process found."""
    return [sys.executable, "-I", "-S", "-c", BOOT, *sys.path]


def main() -> None:
    """Do the one job that comes on standard input, and leave."""
    os.umask(0)
    job = _read_job()
    try:
        views.leave_the_host()
        answer, pieces = JOBS[job["do"]](job)
    except (PykeError, OSError) as error:
        send_all(STDOUT, [_refusal(job, error)])
        sys.exit(1)
    try:
        send_all(STDOUT, [json.dumps({"error": "", **answer}).encode() + b"\n"])
        send_all(STDOUT, pieces)
    except BrokenPipeError:
        sys.exit(1)  # nobody wants it any more
    except (PykeError, OSError) as error:
        sys.exit(f"container {job['name']}: {error}")


def _refusal(job: Job, error: PykeError | OSError) -> bytes:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        error = PykeError(f"the files of container {job['name']} cannot be reached: {place}{os.strerror(error.errno or 0)}")
    return json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}).encode() + b"\n"


def _read_job() -> Job:
    (length,) = struct.unpack(">I", _exactly(4))
    job: Job = json.loads(_exactly(length))
    return job


def _exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(STDIN, size - len(data))
        if not piece:
            sys.exit(1)
        data += piece
    return data


# --- the jobs ------------------------------------------------------------------------------------------------------


def _stat(job: Job) -> Result:
    return {"stat": Place(_to_read(job), job["path"], job["name"]).stat()}, ()


def _archive(job: Job) -> Result:
    found = Place(_to_read(job), job["path"], job["name"])
    pieces = pack_one(found.parent, os.fsencode(found.name), as_name=os.fsencode(found.called), is_shown=is_shown)
    return {"stat": found.stat()}, gathered(pieces)


def _place(job: Job) -> Result:
    root = _to_write(job)
    directory = destination(root, job["path"], job["name"])
    limits = ArchiveLimits(**job["limits"])
    source = Source(PlainReader(lambda size: os.read(STDIN, size), limits).read)
    follow = functools.partial(followed, root, job["path"])
    place(source, directory, limits=limits, may_exchange=job["may_exchange"], follow=follow)
    return {}, ()


def _export(job: Job) -> Result:
    root = _to_read(job, with_mounts=False)
    directory = os.open(".", tree.DIRECTORY_ONLY, dir_fd=root.fd)
    return {}, gathered(pack(directory))


def _changes(job: Job) -> Result:
    base = views.of_layers(job["base"], job["stand"])
    with tree.opened(job["upper"]) as upper:
        return {"changes": [(kind, os.fsdecode(path)) for kind, path in changes(upper, base)]}, ()


def _layer(job: Job) -> Result:
    base = views.of_layers(job["base"], job["stand"])
    upper = os.open(job["upper"], tree.DIRECTORY_ONLY)
    return {}, gathered(pack(upper, overlay=True, left_out=untouched_mount_points(upper, base)))


def _fill(job: Job) -> Result:
    with tree.opened(job["volume"]) as volume:
        root = views.over_snapshot(job["snapshot"], [], job["stand"])
        return {"is_filled": fill(root, job["path"], volume)}, ()


def _empty(job: Job) -> Result:
    with tree.opened(job["volume"]) as volume:
        empty(volume)
    return {}, ()


JOBS = {
    "stat": _stat,
    "archive": _archive,
    "place": _place,
    "export": _export,
    "changes": _changes,
    "layer": _layer,
    "fill": _fill,
    "empty": _empty,
}


def _to_read(job: Job, *, with_mounts: bool = True) -> Root:
    """A running container's root, or else its snapshot's, as when it ends at this moment: for reading, one is as good as the other."""
    if job["pid"]:
        try:
            return views.of_process(job["pid"], job["container"], with_mounts=with_mounts)
        except ProcessLookupError:
            pass
    return views.over_snapshot(job["snapshot"], job["binds"] if with_mounts else [], job["stand"])


def _to_write(job: Job) -> Root:
    if not job["pid"]:
        return views.of_snapshot(job["snapshot"], job["binds"], job["stand"], read_only=job["read_only"])
    try:
        return views.of_process(job["pid"], job["container"])
    except ProcessLookupError as error:
        raise Conflict(f"container {job['name']} is just ending", hint=f"pyke wait {job['name']}") from error
