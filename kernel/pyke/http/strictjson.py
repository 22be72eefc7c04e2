"""JSON as a hostile client may send it: what parses here is small, flat, free of duplicate keys and made of real text.

Duplicate keys are refused because two readers of one body (an authoriser and the engine) would otherwise see two requests.
"""

from __future__ import annotations

import json
from typing import Any

from pyke.errors import InvalidRequest

MAX_DEPTH = 32


def parse(body: bytes) -> Any:
    """The value of `body`. Raises `InvalidRequest` for anything that is not one well-formed JSON text of at most 32 levels."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, an integer of too many digits
        raise InvalidRequest(f"the body is not valid JSON: {error}") from error
    _check(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"the body has the key {twice!r} twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise InvalidRequest(f"the body is not valid JSON: {name} is not a number")


def _check(value: Any) -> None:
    """Walk the value without recursion: depth, and text that no system call and no file could take."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                deeper += each.keys()
                deeper += each.values()
            elif isinstance(each, list):
                deeper += each
            elif isinstance(each, str):
                _check_text(each)
        if not deeper:
            return
        level = deeper
    raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidRequest("the body has a NUL character in a string")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest("the body has half of a surrogate pair in a string") from None
