"""One request and what may be answered to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any
from urllib.parse import parse_qsl

from pyke.errors import InvalidRequest, PykeError
from pyke.http import strictjson
from pyke.http.facade import Engine
from pyke.http.fields import Fields
from pyke.http.versions import NEWEST, Version
from pyke.model import Caller

JSON_LIMIT = 4 << 20
JSON_TYPE = "application/json"
MAX_PARAMETERS = 1000
FALSE_WORDS = ("", "0", "no", "false", "none")  # Docker's httputils.BoolValue


class BodyTooLarge(InvalidRequest):
    """A body is larger than its route takes."""

    status = 413


class Unsupported(PykeError):
    """A part of Docker's API that pyke does not have."""

    status = 501


class Query:
    """The parameters behind the question mark."""

    def __init__(self, text: str) -> None:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
        except ValueError as error:
            raise InvalidRequest(f"the query of the request is malformed: {error}") from error
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if "\0" in value:
                raise InvalidRequest(f"the parameter {name!r} has a NUL character")
            self._values.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The first value, as Go's FormValue takes it."""
        return self._values.get(name, [default])[0]

    def first(self) -> dict[str, str]:
        """The first value of each parameter."""
        return {name: values[0] for name, values in self._values.items()}

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        return self.text(name).strip().lower() not in FALSE_WORDS if name in self._values else default

    def integer(self, name: str) -> int | None:
        """The number, or None where it is not given or empty."""
        text = self.text(name)
        if not text:
            return None
        try:
            return int(text) if len(text) < 20 else int("")
        except ValueError:
            raise InvalidRequest(f"the parameter {name} must be an integer, not {text[:40]!r}") from None

    def filters(self) -> dict[str, list[str]]:
        """Docker's filters, from either of its two notations: {"status": ["exited"]} and {"status": {"exited": true}}. Of the
        second, Docker reads the keys alone."""
        text = self.text("filters")
        if not text:
            return {}
        found: dict[str, list[str]] = {}
        for name, values in Fields({"filters": strictjson.parse(text.encode())}).items("filters"):
            values = values if values is not None else []
            if not isinstance(values, (list, dict)) or not all(isinstance(each, str) for each in values):
                raise InvalidRequest(f"Invalid filter '{name}': its values must be strings")
            found[name] = list(values)
        return found


@dataclass(frozen=True)
class Request:
    """One request, as the connection read it."""

    engine: Engine
    method: str
    path: str  # without the version
    query: Query
    headers: Mapping[str, str]  # lower-case names
    body: BufferedIOBase
    caller: Caller
    version: Version = NEWEST
    parameters: Mapping[str, str] = field(default_factory=dict)  # from the path's template

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    @property
    def repeats(self) -> int:
        """When the client first asked for this (ns), if an engine was killed before it answered; else 0. Only pyke's own client says so."""
        text = self.headers.get("x-pyke-repeats", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    def json(self) -> Fields:
        """The body as a JSON object; an empty body is an empty object. Raises `InvalidRequest`, `BodyTooLarge`."""
        kind = self.headers.get("content-type", JSON_TYPE).partition(";")[0].strip().lower()
        body = self.body.read(JSON_LIMIT + 1)
        if body and kind != JSON_TYPE:
            raise InvalidRequest(f"Content-Type specified ({kind[:80]}) must be '{JSON_TYPE}'")
        if len(body) > JSON_LIMIT:
            raise BodyTooLarge(f"the body of {self.method} {self.path} is larger than {JSON_LIMIT} bytes")
        value = strictjson.parse(body) if body.strip() else None
        return Fields(value if value is not None else {})


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Stream:
    """An answer that comes in pieces, each flushed at once.

    One that may go on for ever has a `cancel`, which is called, from another thread, when the client is gone or the engine leaves.
    """

    chunks: Iterable[bytes]
    content_type: str = "application/json"
    cancel: Callable[[], None] | None = None
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Hijack:
    """The connection becomes a raw stream. `take` owns the socket from then on, with what the client has sent too early."""

    take: Callable[[socket.socket, bytes], None]
    content_type: str
    arriving: AbstractContextManager[None] = field(default_factory=nullcontext)  # from before the head is sent, until `take` is done


Answer = Reply | Stream | Hijack
Handler = Callable[[Request], Answer]


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, encode(value), "application/json")


def encode(value: Any) -> bytes:
    """JSON on one line, with the newline that Docker's encoder leaves at its end."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def error_reply(error: PykeError) -> Reply:
    """Docker's error body, and a hint where there is one. 304 has no body."""
    if error.status == 304:
        return Reply(304)
    body = {"message": error.message}
    if error.hint:
        body["hint"] = error.hint
    return json_reply(body, error.status)


NO_CONTENT = Reply(204)
