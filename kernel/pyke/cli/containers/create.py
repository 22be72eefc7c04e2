"""`pyke create`: make a container, pulling its image where it is missing."""

from __future__ import annotations

import os

from pyke.cli.client import ApiError
from pyke.cli.containers import create_spec
from pyke.cli.containers.create_flags import CREATE_FLAGS
from pyke.cli.flags import Command, FlagsRefused, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyke.cli.session import Session

NOT_FOUND = 404


def create_container(session: Session, options: Options, *, detached: bool = False) -> str:
    """Create the container that the flags describe and return its ID. Warnings go to stderr, the ID to `--cidfile`."""
    policy = options.text("pull")
    if policy not in ("always", "missing", "never", ""):
        raise PykeError(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"')
    body = _request(options, detached)
    if options.yes("tty") and os.isatty(1):
        size = os.get_terminal_size(1)
        body["HostConfig"]["ConsoleSize"] = [size.lines, size.columns]
    cidfile = options.text("cidfile")
    if cidfile and os.path.exists(cidfile):
        raise PykeError(f"container ID file found, make sure the other container isn't running or delete {cidfile}")
    if policy == "always":
        _pull(session, options)
    created = _create(session, options, body, may_pull=policy in ("missing", ""))
    for warning in created.get("Warnings") or []:
        session.note(f"WARNING: {warning}")
    if cidfile:
        _write_id(cidfile, str(created["Id"]))
    return str(created["Id"])


def _request(options: Options, detached: bool) -> dict[str, Any]:
    """What the flags ask for. What is wrong with them ends both `create` and `run` with 125, as a flag that cannot be read does."""
    try:
        return create_spec.request(options, detached=detached)
    except OSError as error:
        raise FlagsRefused(f"open {error.filename}: {(error.strerror or '').lower()}") from error
    except PykeError as error:
        raise FlagsRefused(error.message, hint=error.hint) from error


def _write_id(path: str, id: str) -> None:
    try:
        with open(path, "x") as file:
            file.write(id)
    except OSError as error:
        raise PykeError(f"failed to create the container ID file: open {path}: {(error.strerror or str(error)).lower()}") from error


def _create(session: Session, options: Options, body: dict[str, Any], *, may_pull: bool) -> dict[str, Any]:
    query = {"name": options.text("name") or None, "platform": options.text("platform") or None}
    if not session.engine.host:
        query["id"] = os.urandom(32).hex()  # so that the request can be repeated, should the engine be killed meanwhile
    try:
        created: dict[str, Any] = session.engine.post("/containers/create", query, body=body)
    except ApiError as error:
        if not (may_pull and error.status == NOT_FOUND and "no such image" in error.message.lower()):
            raise
        if not options.yes("quiet"):
            from pyke.cli.images.references import with_tag

            session.note(f"Unable to find image '{with_tag(options.arguments[0])}' locally")
        _pull(session, options)
        created = session.engine.post("/containers/create", query, body=body)
    return created


def _pull(session: Session, options: Options) -> None:
    from pyke.cli.images.pull import pull

    pull(session, options.arguments[0], platform=options.text("platform"), quiet=options.yes("quiet"), descriptor=2)


def _run(session: Session, options: Options) -> int:
    session.out(create_container(session, options))
    return 0


CREATE = Command(
    "create",
    "IMAGE [COMMAND] [ARG...]",
    "Create a new container",
    _run,
    CREATE_FLAGS,
    minimum=1,
    maximum=None,
    passes_rest=True,
    examples=("pyke create --name web -p 8080:80 nginx",),
)
