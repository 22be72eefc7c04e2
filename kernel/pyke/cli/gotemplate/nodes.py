"""What a parsed template consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: a string, a number, true, false, nil."""

    value: object


@dataclass(frozen=True, slots=True)
class Path:
    """`.a.b`, `$x.a`, `(pipeline).a`: a start and the fields taken from it. `start` is "." , a variable's name, or a Pipeline."""

    start: str | Pipeline
    fields: tuple[str, ...]
    line: int
    column: int

    @property
    def text(self) -> str:
        """How it was written, for errors."""
        start = "" if self.start == "." else self.start if isinstance(self.start, str) else "(...)"
        return start + "".join(f".{name}" for name in self.fields) or "."


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function, first in a command."""

    name: str
    line: int
    column: int


Operand = Constant | Path | Function


@dataclass(frozen=True, slots=True)
class Command:
    """A function or method with arguments, or a lone value."""

    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each one's value the last argument of the next; it may declare (or set) variables."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = True


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


Node = Text | Print | Branch | Jump
