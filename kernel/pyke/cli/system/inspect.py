"""`pyke inspect`: all that the engine knows of an object, as JSON or by a template."""

from __future__ import annotations

from pyke.cli import jsontext
from pyke.cli.client import ApiError, quote
from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyke.cli.session import Session

# In this order a bare `inspect` looks for a name.
PATHS = {"container": "/containers/{}/json", "image": "/images/{}/json", "network": "/networks/{}", "volume": "/volumes/{}"}
_MAPS = (
    *("Annotations", "Config", "DriverOpts", "ExposedPorts", "Labels", "Networks", "Options", "PortBindings", "Ports"),
    *("StorageOpt", "Sysctls", "Tmpfs", "Volumes"),
)
_POINTERS = (
    *("Health", "Healthcheck", "IPAMConfig", "Init", "MemorySwappiness", "OomKillDisable", "PidsLimit"),
    *("SizeRootFs", "SizeRw", "StopTimeout"),
)
# What Docker's structs have and its JSON leaves out where it is empty.
_OMITTED: dict[str, object] = {
    **dict.fromkeys(("Annotations", "ExposedPorts", "Mounts", "Shell", "StorageOpt", "Sysctls", "Tmpfs"), None),
    **dict.fromkeys(("Health", "Healthcheck", "Init", "SizeRootFs", "SizeRw", "StopTimeout"), None),
    **dict.fromkeys(("MacAddress", "Name", "Driver", "StopSignal"), ""),
    **dict.fromkeys(("ArgsEscaped", "NetworkDisabled"), False),
}
_OF_ANY_KEY = tuple(name for name in _MAPS if name != "Config")  # which is a map in LogConfig alone
DOCKERS_OTHERS = ("config", "node", "plugin", "secret", "service", "task")
NOT_FOUND = 404
BAD_TEMPLATE = 64


def _inspect(session: Session, options: Options) -> int:
    kind = options.text("type")
    if kind and kind not in PATHS:
        known = ", ".join(f'"{name}"' for name in sorted([*PATHS, *DOCKERS_OTHERS]))
        if kind not in DOCKERS_OTHERS:
            raise PykeError(f'unknown type: "{kind}": must be one of {known}')
        raise PykeError(f"pyke has no objects of the type {kind}")
    return _show(session, options, [kind] if kind else list(PATHS))


def _of_kind(kind: str) -> Callable[[Session, Options], int]:
    return lambda session, options: _show(session, options, [kind])


def _show(session: Session, options: Options, kinds: list[str]) -> int:
    template = options.text("format")
    try:
        render = _renderer(template)
    except PykeError as error:
        session.fail(error)
        return BAD_TEMPLATE
    found, failures = [], list[PykeError]()
    for name in options.arguments:
        try:
            found.append(render(_find(session, name, kinds, wants_size=options.has("size") and options.yes("size"))))
        except PykeError as error:
            failures.append(error)
    if template == "json":
        session.out("[" + ",".join(found) + "]")
    else:
        session.out("\n".join(found) if template else _list(found))
    for failure in failures:
        session.fail(failure)
    return 1 if failures else 0


def _list(texts: list[str]) -> str:
    if not texts:
        return "[]"
    return "[\n" + ",\n".join("    " + text.replace("\n", "\n    ") for text in texts) + "\n]"


def _renderer(template: str) -> Callable[[Any], str]:
    if not template:
        return jsontext.pretty
    if template == "json":
        return jsontext.dumps
    from pyke.cli.gotemplate import Template, TemplateError

    try:
        parsed = Template(template, missing_is_error=True, null_text=_null_text, omitted=_OMITTED, maps=_OF_ANY_KEY)
    except TemplateError as error:
        raise PykeError(f"template parsing error: {error}") from error

    def render(item: object) -> str:
        try:
            return parsed.render(item)
        except TemplateError as error:
            raise PykeError(f"template parsing error: {error}") from error

    return render


def _null_text(field: str) -> str:
    """How Docker prints a field that the API has as null: its type tells whether that is an empty map, no pointer or an empty list."""
    if field in _MAPS:
        return "map[]"
    return "<nil>" if field in _POINTERS or not field else "[]"


def _find(session: Session, name: str, kinds: list[str], *, wants_size: bool) -> Any:
    for kind in kinds:
        try:
            return session.engine.get(PATHS[kind].format(quote(name)), {"size": wants_size and kind == "container"})
        except ApiError as error:
            if error.status != NOT_FOUND or len(kinds) == 1:
                raise
    raise PykeError(f"No such object: {name}")


_FORMAT = Flag("format", "f", STRING, "Format output with a Go template: 'json' or a template")
_SIZE = Flag("size", "s", BOOL, "Display total file sizes if the type is container")
_TYPE = Flag("type", "", STRING, "Only look for objects of this type: container, image, network or volume")


def _command(name: str, arguments: str, summary: str, run: Callable[[Session, Options], int], flags: list[Flag]) -> Command:
    return Command(name, arguments, summary, run, [_FORMAT, *flags], minimum=1, maximum=None)


INSPECT = _command("inspect", "NAME|ID [NAME|ID...]", "Return low-level information on pyke's objects", _inspect, [_SIZE, _TYPE])
CONTAINER = _command(
    "container inspect",
    "CONTAINER [CONTAINER...]",
    "Display detailed information on one or more containers",
    _of_kind("container"),
    [_SIZE],
)
IMAGE = _command("image inspect", "IMAGE [IMAGE...]", "Display detailed information on one or more images", _of_kind("image"), [])
NETWORK = _command(
    "network inspect",
    "NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
    _of_kind("network"),
    [Flag("verbose", "v", BOOL, "Verbose output for diagnostics")],
)
VOLUME = _command("volume inspect", "VOLUME [VOLUME...]", "Display detailed information on one or more volumes", _of_kind("volume"), [])
