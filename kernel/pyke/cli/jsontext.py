"""JSON with the standard library's own C scanner and encoder, without the `json` package around them.

`import json` costs 9 ms, most of it compiling regular expressions that the C code does not use: as long as a whole `pyke ps`
takes. Where Python has no `_json` module, `json` itself does the work.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs 12 ms; type checkers know this idiom
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPACE = " \t\r\n"


class _ScannerSettings:
    """What the C scanner asks of a `json.JSONDecoder`."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def _unserializable(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _make_scanner() -> Callable[[str, int], tuple[Any, int]]:
    try:
        from _json import make_scanner
    except ImportError:
        import json

        scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder(strict=False))["scan_once"]
        return scan
    return make_scanner(_ScannerSettings())  # type: ignore[arg-type]


_scan = _make_scanner()


def loads(text: str | bytes) -> Any:
    """Parse one JSON value; ValueError unless `text` is exactly that."""
    value, rest = parse_prefix(text if isinstance(text, str) else text.decode("utf-8", "replace"))
    if rest.strip(_SPACE):
        raise ValueError(f"more than one JSON value: {rest[:40]!r}")
    return value


def parse_prefix(text: str) -> tuple[Any, str]:
    """Parse the JSON value with which `text` begins and return it with the rest of the text; ValueError if there is none."""
    text = text.lstrip(_SPACE)
    try:
        value, end = _scan(text, 0)
    except (StopIteration, RecursionError, SystemError):  # the last is what the scanner raises while nobody has imported `json`
        raise ValueError(f"not JSON: {text[:40]!r}") from None
    return value, text[end:]


def dumps(value: object, *, escape_html: bool = False, ascii_only: bool = False) -> str:
    """Write compact JSON. With `escape_html`, `<`, `>` and `&` are escaped as Go's encoder does it."""
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder
    except ImportError:
        import json

        text = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)
    else:
        encode_text = encode_basestring_ascii if ascii_only else encode_basestring
        encoder = make_encoder(None, _unserializable, encode_text, None, ":", ",", False, False, False)
        text = "".join(encoder(value, 0))
    return _escape_html(text) if escape_html else text


def _escape_html(text: str) -> str:
    # Outside of strings JSON has none of these characters, so that a replacement over the whole text is exact.
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(character, escape)
    return text


def pretty(value: object, indent: str = "    ", level: int = 0) -> str:
    """Write JSON as `docker inspect` lays it out: four spaces a level, empty containers as `{}` and `[]`."""
    if isinstance(value, dict) and value:
        items = [f"{dumps(str(key))}: {pretty(item, indent, level + 1)}" for key, item in value.items()]
        return _block("{", items, "}", indent, level)
    if isinstance(value, (list, tuple)) and value:
        return _block("[", [pretty(item, indent, level + 1) for item in value], "]", indent, level)
    return dumps(value)


def _block(opening: str, items: list[str], closing: str, indent: str, level: int) -> str:
    inner, outer = "\n" + indent * (level + 1), "\n" + indent * level
    return opening + inner + ("," + inner).join(items) + outer + closing
