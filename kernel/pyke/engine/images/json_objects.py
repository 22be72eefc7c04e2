"""JSON from outside: documents of manifests and configurations, read within limits and with their types checked.

Every way in which such a document can be wrong is a `BadArchive` that names it: never a traceback, never a silent default for a value
of the wrong type. A JSON null counts as absent, as in Go.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from pyke.archive.limits import ImageLimits, beyond
from pyke.errors import BadArchive

MAX_DEPTH = 64  # of documents that the specifications give a dozen levels; the parser's own recursion ends at a thousand
_TOKEN = re.compile(rb'"[^"]*"?|[\[{]\s*[\]}]|([,\[{])')
_TOKENS = 4  # for each value at most: its key, itself, and a comma


def json_value(text: bytes, what: str, limits: ImageLimits) -> Any:
    """The value that `text` is; `what` names it in errors."""
    if len(text) > limits.max_document:
        raise beyond(f"{what} has more than {limits.max_document} bytes", "images.max_document")
    if _has_more_values(text, limits.max_values):  # told before any is made
        raise beyond(f"{what} has more than {limits.max_values} values", "images.max_values")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadArchive(f"{what} is not JSON: {str(error)[:200]}") from error
    _check_depth(value, what)
    return value


def json_object(text: bytes, what: str, limits: ImageLimits) -> dict[str, Any]:
    """The object that `text` is."""
    return as_object(json_value(text, what, limits), what)


def as_object(value: Any, what: str) -> dict[str, Any]:
    """`value`, which must be an object; {} for null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadArchive(f"{what} is {_word(value)}, and should be an object")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """`value`, which must be a list; [] for null."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadArchive(f"{what} is {_word(value)}, and should be a list")
    return value


def as_text(value: Any, what: str) -> str:
    """`value`, which must be a string; "" for null."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadArchive(f"{what} is {_word(value)}, and should be a string")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in ("" if value.isascii() else value)):
        raise BadArchive(f"{what} has a character in it that no string of Linux may have")
    return value


def as_integer(value: Any, what: str) -> int:
    """`value`, which must be a whole number that fits 64 bits; 0 for null."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise BadArchive(f"{what} is {_word(value)}, and should be a number of at most 64 bits")
    return value


def as_texts(value: Any, what: str) -> tuple[str, ...]:
    """`value`, which must be a list of strings. A null among them is an error: as a word of a command it would mean nothing."""
    words = as_list(value, what)
    if None in words:
        raise BadArchive(f"{what} has null among its strings")
    return tuple(as_text(word, what) for word in words)


def as_labels(value: Any, what: str) -> dict[str, str]:
    """`value`, which must be an object of strings."""
    return {as_text(name, what): as_text(text, f"{what}.{name[:80]}") for name, text in as_object(value, what).items()}


def _has_more_values(text: bytes, most: int) -> bool:
    """Whether a document has more than so many values, itself among them: a comma stands for one more, and so does each list or object
    that is not empty. Looked at closely, apart from what stands in strings, only where there may be so many."""
    if 1 + text.count(b",") + text.count(b"[") + text.count(b"{") <= most:
        return False
    unescaped = text.replace(rb"\\", b"").replace(rb"\"", b"")  # so that a quote begins or ends a string
    tokens = itertools.islice(_TOKEN.finditer(unescaped), _TOKENS * (most + 1))
    return 1 + sum(token.lastindex is not None for token in tokens) > most


def _check_depth(value: Any, what: str) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadArchive(f"{what} is nested deeper than {MAX_DEPTH}")
        following: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                following += each.values()
            elif isinstance(each, list):
                following += each
        level = following


def _word(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
