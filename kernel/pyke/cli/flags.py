"""Commands and their flags, declared as data and parsed as Docker's (Go's pflag) are.

`--flag=value`, `--flag value`, `-it` clusters, `-eA=1`, `--bool=false`, `--` ends the flags. `argparse` costs 11 ms to import and
takes `-e -x` and `--env=` otherwise than Docker.
"""

from __future__ import annotations

from pyke.cli import units
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyke.cli.session import Session


class UsageError(PykeError):
    """The command line makes no sense; `exit_status` is 125 for a flag and 1 for the arguments, as Docker's."""

    def __init__(self, message: str, command: str, *, exit_status: int = 125) -> None:
        super().__init__(f"{message}\n\nRun '{command} --help' for more information")
        self.exit_status = exit_status


class FlagsRefused(PykeError):
    """Each flag can be read, but together they contradict each other, or they name a file that cannot."""

    exit_status = 125


class HelpWanted(Exception):
    """`--help` stands among the flags."""


class Kind:
    """What a flag's value is: its word in the help, how it is read, whether it may be given often, and whether it is several in one."""

    def __init__(self, word: str, read: Callable[[str], Any], *, empty: object, repeats: bool = False, several: bool = False) -> None:
        self.word = word
        self.read = read
        self.empty = empty
        self.repeats = repeats
        self.several = several


def _read_bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _read_int(text: str) -> int:
    try:
        if "_" in text or text != text.strip():
            raise ValueError
        number = int(text, 0) if text[:2].lower() in ("0x", "0o", "0b") else int(text)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


def _read_small(text: str) -> int:
    """A number of 16 bits, as Go's Uint16 flags are."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) >= 1 << 16:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _read_bytes_or_unlimited(text: str) -> int:
    return -1 if text == "-1" else units.parse_size(text)


def _read_decimal(text: str) -> int:
    """Thousand millionths: "0.5" becomes 500000000."""
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = text.removeprefix("-").partition(".")
    if not (whole + fraction).isdecimal() or not (whole + fraction).isascii():
        raise ValueError(f"failed to parse {text} as a rational number")
    if len(fraction.rstrip("0")) > 9:
        raise ValueError("value is too precise")
    return sign * (int(whole or "0") * 10**9 + int(fraction[:9].ljust(9, "0")))


def _read_filter(text: str) -> str:
    if "=" not in text:
        raise ValueError("bad format of filter (expected name=value)")
    return text


def split_csv(text: str) -> list[str]:
    """Split at commas as a CSV record: `a,"b,c"` has two fields. ValueError for a quote that does not close."""
    fields, field, quoted, position = [], "", False, 0
    while position < len(text):
        character = text[position]
        if quoted and text[position : position + 2] == '""':
            field, position = field + '"', position + 1
        elif character == '"' and (quoted or not field):
            quoted = not quoted
        elif character == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += character
        position += 1
    if quoted:
        raise ValueError('extraneous or missing " in quoted-field')
    return [*fields, field]


def _read_several(text: str) -> list[str]:
    return split_csv(text) if text else []


BOOL = Kind("", _read_bool, empty=False)
STRING = Kind("string", str, empty="")
LIST = Kind("list", str, empty=(), repeats=True)
MAP = Kind("map", str, empty=(), repeats=True)
STRINGS = Kind("strings", _read_several, empty=(), repeats=True, several=True)
INT = Kind("int", _read_int, empty=0)
BYTES = Kind("bytes", units.parse_size, empty=0)
BYTES_OR_UNLIMITED = Kind("bytes", _read_bytes_or_unlimited, empty=0)
SMALL = Kind("uint16", _read_small, empty=0)
DURATION = Kind("duration", units.parse_duration, empty=0)
DECIMAL = Kind("decimal", _read_decimal, empty=0)
FILTER = Kind("filter", _read_filter, empty=(), repeats=True)


def checked_list(check: Callable[[str], object], word: str = "list") -> Kind:
    """A flag that may repeat, each value of which goes through `check` (ValueError refuses it)."""
    return Kind(word, check, empty=(), repeats=True)


class Flag:
    """One flag. `default` is what `--help` shows; without it the kind's empty value holds."""

    def __init__(self, name: str, short: str, kind: Kind, summary: str, default: object = None) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.summary = summary
        self.default = kind.empty if default is None else default

    @property
    def spelling(self) -> str:
        """How an error names it: "-m, --memory"."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Command:
    """One command: what it is called, takes and does. `run` takes a Session and the Options and returns an exit status."""

    def __init__(
        self,
        name: str,
        arguments: str,
        summary: str,
        run: Callable[[Session, Options], int],
        flags: Sequence[Flag] = (),
        *,
        minimum: int = 0,
        maximum: int | None = 0,
        passes_rest: bool = False,
        description: str = "",
        examples: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.summary = summary
        self.run = run
        self.flags = flags
        self.minimum = minimum
        self.maximum = maximum  # None: any number
        self.passes_rest = passes_rest  # from the first argument on nothing is a flag: it belongs to the container's command
        self.description = description
        self.examples = examples

    @property
    def called(self) -> str:
        """How it is typed: "pyke network create"."""
        return f"pyke {self.name}".rstrip()

    @property
    def usage(self) -> str:
        """The line after "Usage:"."""
        words = [self.called, "[OPTIONS]" if self.flags else "", self.arguments]
        return " ".join(word for word in words if word)

    def by_the_name(self, name: str) -> Command:
        """The same command, to be called by another of its names."""
        twin = Command.__new__(Command)
        twin.__dict__.update(self.__dict__, name=name)
        return twin


class Options:
    """What stood on a command line: values by flag name, and the arguments."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.arguments: list[str] = []
        self._values: dict[str, Any] = {}
        self._flags = {flag.name: flag for flag in command.flags}

    def has(self, name: str) -> bool:
        """Whether the command has such a flag at all."""
        return name in self._flags

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self._values

    def _value(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._flags[name].default

    def yes(self, name: str) -> bool:
        """A bool flag's value."""
        return bool(self._value(name))

    def text(self, name: str) -> str:
        """A string flag's value."""
        return str(self._value(name))

    def number(self, name: str) -> int:
        """The value of a flag that counts: int, bytes, nanoseconds, thousand millionths."""
        return int(self._value(name))

    def texts(self, name: str) -> list[str]:
        """All values of a flag that may repeat."""
        return list(self._value(name))

    def values(self, name: str) -> list[Any]:
        """All values of a flag that may repeat and is read into something else than text."""
        return list(self._value(name))

    def filters(self) -> dict[str, list[str]]:
        """`--filter` as the API takes it."""
        filters: dict[str, list[str]] = {}
        for text in self.texts("filter"):
            key, _, value = text.partition("=")
            filters.setdefault(key.strip().lower(), []).append(value.strip())
        return filters

    def moment(self, name: str, refusal: str = 'invalid value for "{name}": {error}') -> str | None:
        """A flag that is an instant (`--since`, `--until`), as the API takes it."""
        if not self.text(name):
            return None
        from pyke.cli import timestamps

        try:
            return timestamps.api_timestamp(self.text(name))
        except ValueError as error:
            raise PykeError(refusal.format(name=name, error=error)) from error

    def set(self, flag: Flag, text: str) -> None:
        """Take a value from the command line; UsageError if it cannot be read."""
        try:
            value = flag.kind.read(text)
        except ValueError as error:
            self.refuse(f'invalid argument "{text}" for "{flag.spelling}" flag: {error}')
        if flag.kind.repeats:
            self._values.setdefault(flag.name, []).extend(value if flag.kind.several else [value])
        else:
            self._values[flag.name] = value

    def refuse(self, message: str) -> None:
        """Raise a UsageError about a flag."""
        raise UsageError(f"{message}\n\nUsage:  {self.command.usage}", self.command.called)


def parse(command: Command, words: Sequence[str]) -> Options:
    """Read a command's flags and arguments. UsageError if they do not fit, HelpWanted for `--help`."""
    options = Options(command)
    longs = {flag.name: flag for flag in command.flags}
    shorts = {flag.short: flag for flag in command.flags if flag.short}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            options.arguments += rest
            break
        if word.startswith("--"):
            _read_long(options, longs, word[2:], rest)
        elif word.startswith("-") and word != "-":
            _read_cluster(options, shorts, word[1:], rest)
        else:
            options.arguments.append(word)
            if command.passes_rest:
                options.arguments += rest
                break
    _check_count(command, len(options.arguments))
    return options


def _read_long(options: Options, longs: dict[str, Flag], text: str, rest: list[str]) -> None:
    name, equals, value = text.partition("=")
    flag = longs.get(name)
    if flag is None:
        if name == "help":
            raise HelpWanted
        options.refuse(f"unknown flag: --{name}")
    elif equals:
        options.set(flag, value)
    elif flag.kind is BOOL:
        options.set(flag, "true")
    elif rest:
        options.set(flag, rest.pop(0))
    else:
        options.refuse(f"flag needs an argument: --{name}")


def _read_cluster(options: Options, shorts: dict[str, Flag], cluster: str, rest: list[str]) -> None:
    """Read `-it`, `-eA=1`, `-p80:80`, `-d=false`: bools may be followed by others, whatever else takes what follows as its value."""
    text = cluster
    while text:
        flag, text = shorts.get(text[0]), text[1:]
        if flag is None:
            if cluster == "h":
                raise HelpWanted
            options.refuse(f"unknown shorthand flag: '{cluster[len(cluster) - len(text) - 1]}' in -{cluster}")
        elif flag.kind is BOOL and not text.startswith("="):
            options.set(flag, "true")
        elif text:
            options.set(flag, text.removeprefix("="))
            return
        elif rest:
            options.set(flag, rest.pop(0))
        else:
            options.refuse(f"flag needs an argument: '{flag.short}' in -{cluster}")


def _check_count(command: Command, count: int) -> None:
    most = command.maximum
    if count >= command.minimum and (most is None or count <= most):
        return
    if most == 0:
        wanted = "accepts no arguments"
    elif most == command.minimum:
        wanted = f"requires {most} argument{'s' * (most != 1)}"
    elif most is None:
        wanted = f"requires at least {command.minimum} argument{'s' * (command.minimum != 1)}"
    else:
        least = f"at least {command.minimum} and " if command.minimum else ""
        wanted = f"requires {least}at most {most} argument{'s' * (most != 1)}"
    message = f"pyke: '{command.called}' {wanted}\n\nUsage:  {command.usage}"
    raise UsageError(message, command.called, exit_status=1)
