"""The functions that a template may call: Go's own, and those that Docker adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from pyke.cli.gotemplate.errors import TemplateError, WrongType
from pyke.cli.gotemplate.formatting import sprintf
from pyke.cli.gotemplate.values import MISSING, Missing, json_text, kind, text, truth


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))  # Go counts bytes
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    if value is None:
        return 0  # a null of the API is an empty list or map of Docker's
    if isinstance(value, Missing):
        raise TemplateError("error calling len: len of nil pointer")
    raise TemplateError(f"error calling len: len of type {kind(value)}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: object, key: object) -> object:
    if isinstance(value, dict):
        of_texts = all(isinstance(item, str) for item in value.values())
        return value.get(key, "" if of_texts else MISSING)  # what a map does not have is the zero of its type
    if isinstance(value, (list, tuple, str)):
        if not isinstance(key, int) or isinstance(key, bool):
            raise TemplateError(f"error calling index: cannot index slice/array with type {kind(key)}")
        if not 0 <= key < len(value):
            raise TemplateError(f"error calling index: index out of range: {key}")
        return ord(value[key]) if isinstance(value, str) else value[key]
    if value is None or isinstance(value, Missing):
        raise TemplateError("error calling index: index of untyped nil")
    raise TemplateError(f"error calling index: can't index item of type {kind(value)}")


def _slice(value: Any, *bounds: int) -> object:
    if not isinstance(value, (str, list, tuple)):
        raise TemplateError(f"error calling slice: can't slice item of type {kind(value)}")
    start, end = [*bounds, *(0, len(value))[len(bounds) :]][:2]
    if start > end:
        raise TemplateError(f"error calling slice: invalid slice index: {start} > {end}")
    if start < 0 or end > len(value):
        raise TemplateError(f"error calling slice: index out of range: {start if start < 0 else end}")
    return value[start:end]


def _join(items: object, separator: str) -> str:
    if items is None:
        return ""
    if not isinstance(items, (list, tuple)):
        raise WrongType(0, "[]string", kind(items))
    return separator.join(text(item) for item in items)


def _pad(value: str, before: int, after: int) -> str:
    return " " * min(before, 1000) + value + " " * min(after, 1000) if value else value


def _truncate(value: str, length: int) -> str:
    if length < 0:
        return value
    return value.encode("utf-8", "surrogateescape")[:length].decode("utf-8", "surrogateescape")  # Go cuts bytes


def _title(value: str) -> str:
    return "".join(
        character.upper() if not position or not value[position - 1].isalnum() else character for position, character in enumerate(value)
    )


def _printed(*values: object) -> str:
    """Go's Sprint: a space between two operands of which neither is a string."""
    shown = ""
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            shown += " "
        shown += text(value)
    return shown


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise TemplateError("error calling eq: missing argument for comparison")
    for other in others:
        _require_comparable("eq", first, other)
    return any(first == other for other in others)


def _require_comparable(name: str, first: object, second: object) -> None:
    ordinary = (str, bool, int, float)
    if isinstance(first, ordinary) and isinstance(second, ordinary) and _family(first) != _family(second):
        raise TemplateError(f"error calling {name}: incompatible types for comparison")


def _family(value: object) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "string"


def _less(name: str, first: Any, second: Any) -> bool:
    _require_comparable(name, first, second)
    if not all(isinstance(value, (int, float, str)) and not isinstance(value, bool) for value in (first, second)):
        raise TemplateError(f"error calling {name}: invalid type for comparison")
    return bool(first < second)


def _and(*values: object) -> object:
    return next((value for value in values if not truth(value)), values[-1])


def _or(*values: object) -> object:
    return next((value for value in values if truth(value)), values[-1])


def _string(function: Callable[..., object]) -> Callable[..., object]:
    """A function of strings: numbers and others are refused as Go refuses them."""

    def checked(*values: object) -> object:
        if values and not isinstance(values[0], str):
            raise WrongType(0, "string", kind(values[0]))
        return function(*values)

    checked.__wrapped__ = function  # type: ignore[attr-defined]  # whose arguments are counted
    return checked


def _escape_html(*values: object) -> str:
    shown = _printed(*values).replace("&", "&amp;")
    return shown.replace("'", "&#39;").replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;")


def _escape_js(*values: object) -> str:
    """Go's JSEscapeString."""
    escapes = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
    return "".join(
        escapes.get(each) or (each if each.isprintable() and each not in "<>&=" else f"\\u{ord(each):04X}") for each in _printed(*values)
    )


FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": _and,
    "eq": _equal,
    "ge": lambda first, second: not _less("ge", first, second),
    "gt": lambda first, second: _less("gt", second, first),
    "html": _escape_html,
    "index": _index,
    "join": _join,
    "js": _escape_js,
    "json": json_text,
    "le": lambda first, second: not _less("le", second, first),
    "len": _length,
    "lower": _string(str.lower),
    "lt": lambda first, second: _less("lt", first, second),
    "ne": lambda first, second: not _equal(first, second),
    "not": lambda value: not truth(value),
    "or": _or,
    "pad": _string(_pad),
    "print": _printed,
    "printf": lambda form, *values: sprintf(text(form), values),
    "println": lambda *values: " ".join(text(value) for value in values) + "\n",
    "slice": _slice,
    "split": _string(lambda value, separator: value.split(separator) if separator else list(value)),
    "title": _string(_title),
    "trim": _string(lambda value, *characters: value.strip(*characters)),
    "truncate": _string(_truncate),
    "upper": _string(str.upper),
    "urlquery": lambda *values: quote_plus(_printed(*values)),
}
