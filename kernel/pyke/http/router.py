"""Which handler answers which request: (method, path template) → handler.

`{name}` stands for one segment of the path, `{name:path}` for any number of them (the names of images have slashes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from pyke.errors import InvalidRequest, NotFound
from pyke.http.exchange import Handler, Reply

Routes = Mapping[tuple[str, str], Handler]

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


class Router:
    """All routes, found by method and first segment, then in the order in which they were added."""

    def __init__(self, *families: Routes) -> None:
        self._routes: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = {}
        self.templates: list[tuple[str, str]] = []
        for family in families:
            for (method, template), handler in family.items():
                self.add(method, template, handler)

    def add(self, method: str, template: str, handler: Handler) -> None:
        self.templates.append((method, template))
        pattern = _PARAMETER.sub(lambda match: f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})", template)
        self._routes.setdefault((method, _first_segment(template)), []).append((re.compile(pattern), handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler for a path without its version, and what its template names. Raises `NotFound` as Docker does."""
        for pattern, handler in self._routes.get((method, _first_segment(path)), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return handler, match.groupdict()
        if method == "OPTIONS":
            return (lambda request: Reply()), {}  # Docker answers it everywhere, with nothing
        raise NotFound("page not found")


def decode_path(path: str) -> str:
    """Undo percent-encoding, once. Raises `InvalidRequest` for what is not text."""
    try:
        text = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest("the path of the request is not UTF-8") from error
    if "\0" in text:
        raise InvalidRequest("the path of the request has a NUL character")
    return text


def _first_segment(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
