"""Typed reading of a JSON object: a wrong type is an error that names the field, an unknown key is ignored, as Docker does.

Keys are found whatever their case, because Docker's Go decodes them so; two keys that differ in their case alone are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pyke.errors import InvalidRequest

KINDS = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "an array", dict: "an object"}
T = TypeVar("T")

INT64 = range(-(2**63), 2**63)


class Fields:
    """One JSON object of a request. `path` is its own name in error messages: "HostConfig.RestartPolicy"."""

    def __init__(self, data: Any, path: str = "") -> None:
        if not isinstance(data, Mapping):
            raise InvalidRequest(f"{path or 'the body'} must be an object, not {_kind(data)}")
        self.path = path
        self._data: dict[str, Any] = {}
        for key, value in data.items():
            folded = key.lower()
            if folded in self._data:
                raise InvalidRequest(f"the key {key!r} is given twice in {path or 'the body'}")
            self._data[folded] = value

    @property
    def raw(self) -> Mapping[str, Any]:
        """What was read, with its keys in lower case."""
        return self._data

    def name(self, key: str) -> str:
        """The full name of a field, for messages."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether the field is given and not null."""
        return self._data.get(key.lower()) is not None

    def is_set(self, key: str) -> bool:
        """Whether the field is given and neither null, zero nor empty."""
        return bool(self._data.get(key.lower()))

    def text(self, key: str, default: str = "") -> str:
        return _typed(str, self._data.get(key.lower()), self.name(key), default)

    def flag(self, key: str, default: bool = False) -> bool:
        return _typed(bool, self._data.get(key.lower()), self.name(key), default)

    def integer(self, key: str, default: int = 0) -> int:
        return _integer(self._data.get(key.lower()), self.name(key), default)

    def optional_integer(self, key: str) -> int | None:
        """The number, or None where it is null or not given."""
        return self.integer(key) if self.has(key) else None

    def optional_flag(self, key: str) -> bool | None:
        return self.flag(key) if self.has(key) else None

    def array(self, key: str) -> Sequence[Any]:
        return _typed(list, self._data.get(key.lower()), self.name(key), [])

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(_typed(str, item, f"{self.name(key)}[{index}]", "") for index, item in enumerate(self.array(key)))

    def optional_texts(self, key: str) -> tuple[str, ...] | None:
        """The strings, or None where the field is null or not given. A lone string is one string, as in Docker's `strslice`."""
        value = self._data.get(key.lower())
        if isinstance(value, str):
            return (value,)
        return self.texts(key) if value is not None else None

    def mapping(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        value = _typed(dict, self._data.get(key.lower()), self.name(key), {})
        return {name: _typed(str, item, f"{self.name(key)}[{name!r}]", "") for name, item in value.items()}

    def keys(self, key: str) -> tuple[str, ...]:
        """The keys of an object whose values say nothing: {"80/tcp": {}}."""
        return tuple(_typed(dict, self._data.get(key.lower()), self.name(key), {}))

    def object(self, key: str) -> Fields:
        """The object, an empty one where it is null or not given."""
        return Fields(_typed(dict, self._data.get(key.lower()), self.name(key), {}), self.name(key))

    def objects(self, key: str) -> Iterator[Fields]:
        for index, item in enumerate(self.array(key)):
            yield Fields(item, f"{self.name(key)}[{index}]")

    def items(self, key: str) -> Iterator[tuple[str, Any]]:
        """The raw items of an object, in the order in which they were given."""
        yield from _typed(dict, self._data.get(key.lower()), self.name(key), {}).items()


def _typed(kind: type[T], value: Any, name: str, default: T) -> T:
    if value is None:
        return default
    if type(value) is not kind:
        raise InvalidRequest(f"{name} must be {KINDS[kind]}, not {_kind(value)}")
    return value


def _integer(value: Any, name: str, default: int) -> int:
    number = _typed(int, value, name, default)
    if number not in INT64:
        raise InvalidRequest(f"{name} does not fit into 64 bits: {str(number)[:40]}")
    return number


def _kind(value: Any) -> str:
    return "null" if value is None else KINDS.get(type(value), type(value).__name__)
