"""What a parsed template consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: a string, a number, true, false, nil."""

    value: object
    text: str  # how it was written, for errors
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Path:
    """`.a.b`, `$x.a`, `(pipeline).a`: a start and the fields taken from it. `start` is "." , a variable's name, or a Pipeline.

    Its column is that of its second part where it has one, as Go's errors have it.
    """

    start: str | Pipeline
    fields: tuple[str, ...]
    line: int
    column: int

    @property
    def text(self) -> str:
        """How it was written, for errors."""
        start = "" if self.start == "." else self.start if isinstance(self.start, str) else f"({self.start.text})"
        return start + "".join(f".{name}" for name in self.fields) or "."


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function, first in a command."""

    name: str
    line: int
    column: int

    @property
    def text(self) -> str:
        """How it was written, for errors."""
        return self.name


Operand = Constant | Path | Function


@dataclass(frozen=True, slots=True)
class Command:
    """A function or method with arguments, or a lone value."""

    operands: tuple[Operand, ...]

    @property
    def text(self) -> str:
        """How it was written, for errors."""
        return " ".join(operand.text for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each one's value the last argument of the next; it may declare (or set) variables."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = True

    @property
    def text(self) -> str:
        """How it was written, for errors."""
        return " | ".join(command.text for command in self.commands)


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Print:
    """An action that prints its pipeline's value (or only sets a variable)."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` or `range`: `kind` says which."""

    kind: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Include:
    """`template` or `block`: another template, by the name that `define` gave it, with a value of its own."""

    name: str
    pipeline: Pipeline | None
    text: str
    line: int
    column: int


Node = Text | Print | Branch | Jump | Include
