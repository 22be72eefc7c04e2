"""Whether what a plugin returned is what its contract says: a plugin that lies is found out where it lies."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Check = Callable[[object], bool]


def fits(value: object, annotation: Any) -> bool:
    """Whether `value` is of the type that `annotation` describes, through dataclasses, sequences, mappings and unions."""
    return checker(annotation)(value)


@functools.cache
def checker(annotation: Any) -> Check:
    """A function that says whether a value fits `annotation`; built once for each annotation."""
    if annotation is Any or annotation is object:
        return lambda value: True
    if annotation is None or annotation is type(None):
        return lambda value: value is None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _any_of([checker(each) for each in arguments])
    if origin is tuple:
        return _tuple_of(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_of(checker(arguments[0]), checker(arguments[1]), origin)
    if origin is not None and issubclass(origin, Sequence):
        return _sequence_of(checker(arguments[0]))
    return _plain(annotation if origin is None else origin)


def return_type(contracts: Sequence[type], method: str) -> Any:
    """What `method` promises to return according to the first of `contracts` that has it; Any when none does."""
    for contract in contracts:
        function = getattr(contract, method, None)
        if function is not None:
            return _return_type(function)
    return Any


@functools.cache
def _return_type(function: Callable[..., Any]) -> Any:
    return typing.get_type_hints(function).get("return", Any)


def _any_of(checks: list[Check]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _tuple_of(arguments: tuple[Any, ...]) -> Check:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        each = checker(arguments[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    checks = [checker(argument) for argument in arguments]
    return lambda value: (
        isinstance(value, tuple) and len(value) == len(checks) and all(check(item) for check, item in zip(checks, value, strict=True))
    )


def _mapping_of(key: Check, item: Check, kind: type) -> Check:
    def check(value: object) -> bool:
        return isinstance(value, kind) and isinstance(value, Mapping) and all(key(name) and item(each) for name, each in value.items())

    return check


def _sequence_of(item: Check) -> Check:
    """A list or tuple. A string is a sequence too, but never the one that was meant; a generator has not run yet."""
    return lambda value: isinstance(value, (list, tuple)) and all(map(item, value))


def _plain(kind: type) -> Check:
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if kind is float:
        return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    return lambda value: isinstance(value, kind)


def _dataclass(kind: type) -> Check:
    hints = typing.get_type_hints(kind)
    checks = [(field.name, checker(hints[field.name])) for field in dataclasses.fields(kind)]
    return lambda value: isinstance(value, kind) and all(check(getattr(value, name)) for name, check in checks)
