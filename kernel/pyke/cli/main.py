"""`pyke COMMAND ...`: find the command, read its flags, run it, and say what went wrong in one line."""

from __future__ import annotations

import os
import sys

from pyke.cli import commands
from pyke.cli.flags import BOOL, STRING, Command, Flag, FlagsRefused, HelpWanted, UsageError, parse
from pyke.cli.session import Session, write
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyke.cli.flags import Options

INTERRUPTED = 130  # 128 + SIGINT, as a shell would say
BROKEN_PIPE = 141  # 128 + SIGPIPE
USES_RUN_STATUS = ("run", "container run")  # whose own failures are 125, so that they differ from the container's


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status. Without `arguments` it is the process's own, and the process ends here."""
    if arguments is not None:
        return _guarded(list(arguments))
    status = _guarded(sys.argv[1:])
    _leave(status)
    return status


def _leave(status: int) -> None:
    """End the process without taking the interpreter apart first: that costs 2 ms, an eighth of a `ps`, and nobody looks."""
    try:
        sys.stdout.flush()  # what a plugin's command printed
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        status = status or BROKEN_PIPE
    os._exit(status & 0xFF)


def _guarded(words: list[str]) -> int:
    try:
        return _run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as leaving:  # a signal that came while the terminal was raw
        return int(leaving.code or 0)
    except BrokenPipeError:
        return _reader_left()


def _reader_left() -> int:
    """Whoever read our output is gone (`pyke ps | head -1`): no message, and nothing more to flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE


def _no_command(session: Session, options: Options) -> int:
    if options.yes("version"):
        from pyke import __version__

        session.out(f"pyke version {__version__}")
    else:
        from pyke.cli import usage

        session.note(usage.overview())  # nobody asked for it: a script that reads stdout is spared
    return 0


GLOBAL = Command(
    "",
    "COMMAND [ARG...]",
    "",
    _no_command,
    [
        Flag("debug", "D", BOOL, ""),
        Flag("host", "H", STRING, ""),
        Flag("root", "", STRING, ""),
        Flag("version", "v", BOOL, ""),
    ],
    maximum=None,
    passes_rest=True,
)


def _run(words: list[str]) -> int:
    session = Session()
    try:
        options = parse(GLOBAL, words)
        host = options.text("host") or ("" if options.given("root") else os.environ.get("PYKE_HOST", ""))
        session = Session(options.text("root"), host, debug=options.yes("debug"))
        if not options.arguments:
            return _no_command(session, options)
        return _dispatch(session, options.arguments)
    except HelpWanted:
        from pyke.cli import usage

        session.out(usage.overview())
        return 0
    except UsageError as error:
        session.fail(error)
        return error.exit_status


def _dispatch(session: Session, words: list[str]) -> int:
    name, rest = commands.find(words)
    if name in commands.GROUPS:
        return _group(session, name, rest)
    if name:
        return run_command(session, commands.as_typed(name, words), rest)
    if words[0] == "help":
        return _help(session, words[1:])
    return _from_plugin(session, words)


def run_command(session: Session, command: Command, words: list[str]) -> int:
    """Parse a command's line and run it, with its errors told in one line each."""
    try:
        return command.run(session, parse(command, words))
    except HelpWanted:
        from pyke.cli import usage

        session.out(usage.command_help(command))
        return 0
    except (UsageError, FlagsRefused) as error:
        session.fail(error)
        return error.exit_status
    except PykeError as error:
        if session.debug:
            raise
        session.fail(error)
        return 125 if command.name in USES_RUN_STATUS else 1
    except BrokenPipeError:
        raise
    except OSError as error:
        session.fail(_readable(error))
        return 125 if command.name in USES_RUN_STATUS else 1


def _readable(error: OSError) -> PykeError:
    """An OSError that nobody foresaw, as Docker words it: "open FILE: no such file or directory"."""
    reason = (error.strerror or str(error)).lower()
    return PykeError(f"open {error.filename}: {reason}" if error.filename else reason)


def _group(session: Session, group: str, rest: list[str]) -> int:
    from pyke.cli import usage

    if rest and rest[0] != "-h" and "--help" not in rest:
        write(
            2, f"pyke: unknown command: pyke {group} {rest[0]}\n\nUsage:  pyke {group}\n\nRun 'pyke {group} --help' for more information\n"
        )
        return 1
    write(1 if rest else 2, usage.group_help(group) + "\n")
    return 0


def _help(session: Session, words: list[str]) -> int:
    """`pyke help network create` is `pyke network create --help`."""
    if not words:
        return _run(["--help"])
    name, rest = commands.find(words)
    if not name or rest:
        session.note(f"unknown help topic: {' '.join(rest or words)}")
        return 1
    return _dispatch(session, [*words, "--help"])


def _from_plugin(session: Session, words: list[str]) -> int:
    """Try the commands that plugins offer: they are looked for only when nothing built in has the name."""
    from pyke.cli import extensions

    function = extensions.command(words[0], session.layout)
    if function is None:
        session.note(f"pyke: unknown command: pyke {words[0]}\n\nRun 'pyke --help' for more information")
        return 1
    try:
        return int(function(words[1:]) or 0)
    except PykeError as error:
        session.fail(error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
