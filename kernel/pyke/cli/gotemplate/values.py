"""Go's view of values: what is true, how they print, how they compare, what a field of them is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pyke.cli import jsontext
from pyke.cli.gotemplate.errors import TemplateError


@runtime_checkable
class Record(Protocol):
    """An object with named fields that are worked out on demand, as `listing.Record` is."""

    type_name: str

    def field(self, name: str) -> object:
        """The value of a field; KeyError if there is none of that name."""

    def as_dict(self) -> dict[str, object]:
        """All fields that are values."""


class Missing:
    """A key that a map does not have: false, and printed as Go prints it."""

    def __repr__(self) -> str:
        return "<no value>"


MISSING = Missing()


def truth(value: object) -> bool:
    """Whether Go's templates take a value for true: not zero, nil or empty."""
    if value is None or isinstance(value, Missing):
        return False
    if isinstance(value, (bool, int, float, str, list, tuple, dict)):
        return bool(value)
    return True


def text(value: object) -> str:
    """How `{{.}}` prints a value (fmt's %v)."""
    if value is None or isinstance(value, Missing):
        return "<no value>"
    return _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_plain(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, Record):
        return _plain(value.as_dict())
    return str(value)


def number(value: float) -> str:
    """A float as %v prints it: the shortest that reads back, with an exponent only for the very large and small."""
    shown = repr(value)
    return shown.removesuffix(".0").replace("inf", "+Inf" if value > 0 else "Inf").replace("nan", "NaN")


def json_text(value: object) -> str:
    """The value as JSON. What stands in a list is escaped as Go escapes it for HTML, and nothing else is, as in Docker."""
    if isinstance(value, Missing):
        return "null"
    try:
        if isinstance(value, Record):
            return jsontext.dumps(value.as_dict(), escape_html=True)
        return jsontext.dumps(value)
    except TypeError as error:
        raise TemplateError(str(error)) from error


def kind(value: object) -> str:
    """Go's name for the type of a value, for errors."""
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}", tuple: "[]interface {}"}
    if value is None or isinstance(value, Missing):
        return "<nil>"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, Record):
        return value.type_name
    return names.get(type(value), type(value).__name__)
