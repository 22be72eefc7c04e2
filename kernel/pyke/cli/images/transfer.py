"""`load`, `save`, `import`: images as files."""

from __future__ import annotations

import os
import stat

from pyke.cli.containers.inside import write_download
from pyke.cli.flags import BOOL, LIST, STRING, Command, Flag, Options
from pyke.cli.images import progress
from pyke.cli.images.references import split_reference
from pyke.cli.session import STDIN
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyke.archive.content import Content
    from pyke.cli.session import Session

CHUNK = 1024 * 1024
SILENCE = 60.0  # seconds for a server to send something


def read_chunks(descriptor: int) -> Iterator[bytes | Content]:
    """A descriptor to its end: what a file has now is left to the kernel to send, the rest is read."""
    from pyke.archive.content import Content

    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and (size := status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR)) > 0:
        yield Content(descriptor, size)
    while data := os.read(descriptor, CHUNK):
        yield data


def _load(session: Session, options: Options) -> int:
    path, quiet = options.text("input"), options.yes("quiet") or not os.isatty(1)
    if not path and os.isatty(STDIN):
        raise PykeError("requested load from stdin, but stdin is empty", hint="pyke load -i FILE")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else STDIN
    query = {"quiet": quiet, "platform": options.text("platform") or None}
    content: Iterable[bytes | Content] = _packed(descriptor) if path and os.path.isdir(path) else read_chunks(descriptor)
    reply = session.engine.open("POST", "/images/load", query, content=content)
    progress.show(reply.json_values(), 1)
    return 0


def _packed(directory: int) -> Iterator[bytes | Content]:
    """A directory that is an OCI layout, as the archive that it would be."""
    from pyke.archive.pack import gathered, pack

    return gathered(pack(directory))


def _save(session: Session, options: Options) -> int:
    query: dict[str, object] = {"names": options.arguments, "platform": options.text("platform") or None}
    write_download(session, "/images/get", options.text("output"), query)
    return 0


def _import(session: Session, options: Options) -> int:
    source, *reference = options.arguments[:2]
    repository, tag = split_reference(reference[0]) if reference else ("", "")
    query = {
        "fromSrc": "-",
        "repo": repository or None,
        "tag": tag or None,
        "message": options.text("message") or None,
        "changes": options.texts("change"),
        "platform": options.text("platform") or None,
    }
    if source.startswith(("http://", "https://")):
        session.out(f"Downloading from {source}")
        content: Iterable[bytes | Content] = _fetched(source)
    else:
        content = read_chunks(STDIN if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC))
    reply = session.engine.open("POST", "/images/create", query, content=content)
    progress.show(reply.json_values(), 1)
    return 0


def _fetched(url: str) -> Iterator[bytes]:
    """What is at a URL, fetched by whoever typed it and through the proxies of their environment; asked for before this returns."""
    from http.client import HTTPException
    from urllib.request import urlopen  # 60 ms

    def told(error: Exception) -> PykeError:
        return PykeError(f"cannot import {url}: {error}", hint=f"curl -fL {url} | pyke import -")

    try:
        reply = urlopen(url, timeout=SILENCE)
    except (OSError, HTTPException, ValueError) as error:
        raise told(error) from error

    def pieces() -> Iterator[bytes]:
        with reply:
            try:
                while data := reply.read1(CHUNK):
                    yield data
                if reply.length:  # left of what was promised, which read1() does not mind
                    raise HTTPException(f"the server hung up {reply.length} bytes before the end")
            except (OSError, HTTPException) as error:
                raise told(error) from error

    return pieces()


_PLATFORM = Flag("platform", "", STRING, "Only this platform of an image that has several")

LOAD = Command(
    "load",
    "",
    "Load an image from a tar archive or STDIN",
    _load,
    [
        Flag("input", "i", STRING, "Read from tar archive file or the directory of an OCI layout, instead of STDIN"),
        _PLATFORM,
        Flag("quiet", "q", BOOL, "Suppress the load output"),
    ],
    examples=("pyke load -i busybox.tar", "pyke load -i oci-layout/", "ssh host docker save busybox | pyke load"),
)
SAVE = Command(
    "save",
    "IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    _save,
    [Flag("output", "o", STRING, "Write to a file, instead of STDOUT"), _PLATFORM],
    minimum=1,
    maximum=None,
    examples=("pyke save -o busybox.tar busybox",),
)
IMPORT = Command(
    "import",
    "file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    _import,
    [
        Flag("change", "c", LIST, "Apply Dockerfile instruction to the created image"),
        Flag("message", "m", STRING, "Set commit message for imported image"),
        Flag("platform", "", STRING, "Set platform if server is multi-platform capable"),
    ],
    minimum=1,
    maximum=None,  # what follows the name is ignored, as by Docker
    examples=("pyke export web | pyke import -c 'CMD [\"sh\"]' - web:flat", "pyke import https://example.com/root.tar.gz base"),
)
