"""`cp`: files between a container and here, in either direction.

Docker's rules: a destination that is a directory gets the source under its own name; one that does not exist becomes the source, and its
parent has to exist; `DIR/.` stands for what is in DIR; "-" is a tar on stdin or stdout.
"""

from __future__ import annotations

import base64
import os

from pyke.archive.pack import gathered
from pyke.cli import jsontext, units
from pyke.cli.client import ApiError, quote
from pyke.cli.containers import copy_local
from pyke.cli.containers.copy_local import Renamed, base_of, parent_of
from pyke.cli.flags import BOOL, Command, Flag, Options
from pyke.cli.images.transfer import read_chunks
from pyke.cli.session import STDIN, STDOUT, write_bytes
from pyke.errors import EngineUnavailable, PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypeVar

    from pyke.archive.content import Content
    from pyke.cli.session import Session

    Piece = TypeVar("Piece", bytes, bytes | Content)

DIRECTORY, SYMBOLIC_LINK, IRREGULAR = 1 << 31, 1 << 27, 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21  # of Go's os.FileMode
STREAM = "-"


def _copy(session: Session, options: Options) -> int:
    source, target = options.arguments
    (source_container, source_path), (target_container, target_path) = split(source), split(target)
    if source_container and target_container:
        raise PykeError("copying between containers is not supported", hint="pyke cp ONE:/PATH - | pyke cp - OTHER:/DIRECTORY")
    if not source_container and not target_container:
        raise PykeError("must specify at least one container source", hint="pyke cp CONTAINER:/PATH .")
    counter = _Counter()
    if source_container:
        _Container(session, source_container, counter).copy_out(
            source_path, target_path, follow=options.yes("follow-link"), keep_owner=options.yes("archive")
        )
    else:
        target = f"{target_container}:" + _Container(session, target_container, counter).copy_in(
            source_path, target_path, follow=options.yes("follow-link"), keep_owner=options.yes("archive")
        )
    is_quiet = options.yes("quiet") if options.given("quiet") else not os.isatty(STDOUT)
    if not is_quiet and STREAM not in (source_path, target_path):
        shown = target if target_container else _absolute(target)
        session.note(f"Successfully copied {units.human_size(counter.bytes, 3)} to {shown}")
    return 0


def _absolute(path: str) -> str:
    """The absolute path, with the end that says that it is a directory."""
    end = "/." if path.endswith("/.") or path == "." else "/" if path.endswith("/") else ""
    return os.path.abspath(path).rstrip("/") + end


def split(argument: str) -> tuple[str, str]:
    """The container and the path in "CONTAINER:PATH"; "" for a path here, which is one that is absolute or begins with a dot, too."""
    if argument.startswith(("/", ".")) or ":" not in argument:
        return "", argument
    container, _, path = argument.partition(":")
    return container, path


class _Counter:
    """How many bytes went by."""

    def __init__(self) -> None:
        self.bytes = 0

    def through(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            self.bytes += len(piece)
            yield piece


class _Container:
    """One side of a copy."""

    def __init__(self, session: Session, name: str, counter: _Counter) -> None:
        self.engine, self.name, self.counter = session.engine, name, counter
        self.route = f"/containers/{quote(name)}/archive"

    def stat(self, path: str) -> dict[str, Any] | None:
        """What is at a path, or None where nothing is found. A refusal of HEAD has no words, and that of the request after it has."""
        try:
            reply = self.engine.open("HEAD", self.route, {"path": path})
        except ApiError:
            return None
        reply.connection.close()
        return _stat_of(reply.headers)

    def copy_out(self, source: str, target: str, *, follow: bool, keep_owner: bool) -> None:
        """From the container to here."""
        if target != STREAM:
            copy_local.check_target(target)
        called = base_of(source)
        if follow and (found := self.stat(source)) and found["mode"] & SYMBOLIC_LINK:
            source = found["linkTarget"]
        reply = self.engine.open("GET", self.route, {"path": source})
        pieces = self.counter.through(reply.chunks())
        try:
            if target == STREAM:
                for piece in pieces:
                    write_bytes(STDOUT, piece)
                return
            is_directory = bool(_stat_of(reply.headers)["mode"] & DIRECTORY)
            copy_local.receive(pieces, Renamed(base_of(source), called), is_directory, target, keep_owner=keep_owner)
        finally:
            reply.connection.close()

    def copy_in(self, source: str, target: str, *, follow: bool, keep_owner: bool) -> str:
        """From here to the container; returns the path that was copied to."""
        found = self.stat(target)
        if found and found["mode"] & SYMBOLIC_LINK:
            target = found["linkTarget"]
            found = self.stat(target)
        if found and found["mode"] & IRREGULAR:
            raise PykeError(f'destination "{self.name}:{target}" must be a directory or a regular file')
        is_directory = bool(found and found["mode"] & DIRECTORY)
        if source == STREAM:
            if not is_directory:
                raise PykeError(
                    f'destination "{self.name}:{target}" must be a directory', hint=f"pyke cp - {self.name}:{parent_of(target)}"
                )
            self._put(target, read_chunks(STDIN), keep_owner=keep_owner)
            return target
        origin = copy_local.origin(source, follow=follow)
        directory, name = copy_local.destination(target, exists=found is not None, is_directory=is_directory, source=origin)
        self._put(directory, gathered(copy_local.packed(origin, name)), keep_owner=keep_owner)
        return target

    def _put(self, directory: str, content: Iterable[bytes | Content], *, keep_owner: bool) -> None:
        query = {"path": directory, "noOverwriteDirNonDir": "true", "copyUIDGID": keep_owner}
        self.engine.open("PUT", self.route, query, content=self.counter.through(content)).body()


def _stat_of(headers: dict[str, str]) -> dict[str, Any]:
    try:
        stat: dict[str, Any] = jsontext.loads(base64.b64decode(headers["x-docker-container-path-stat"]))
        is_understood = isinstance(stat["mode"], int) and isinstance(stat["linkTarget"], str)
    except (KeyError, ValueError, TypeError):
        is_understood = False
    if not is_understood:
        raise EngineUnavailable("the engine does not say what it found at that path")
    return stat


COPY = Command(
    "cp",
    "CONTAINER:SRC_PATH DEST_PATH|-\n\tpyke cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
    _copy,
    [
        Flag("archive", "a", BOOL, "Archive mode (copy all uid/gid information)"),
        Flag("follow-link", "L", BOOL, "Always follow symbol link in SRC_PATH"),
        Flag(
            "quiet",
            "q",
            BOOL,
            "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
        ),
    ],
    minimum=2,
    maximum=2,
    description="Use '-' as the source to read a tar archive from stdin and extract it to a directory destination in a container.\n"
    "Use '-' as the destination to stream a tar archive of a container source to stdout.",
    examples=("pyke cp web:/var/log/nginx .", "pyke cp site/. web:/usr/share/nginx/html", "tar c etc | pyke cp - web:/"),
)
