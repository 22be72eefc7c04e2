"""Sizes, durations and instants as Docker reads and writes them (github.com/docker/go-units, Go's time package)."""

from __future__ import annotations

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_DURATION_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
SECOND = 10**9


def human_size(size: float, precision: int = 4) -> str:
    """1986000 becomes "1.986MB": powers of 1000, `precision` significant digits."""
    return _scaled(size, 1000, _DECIMAL, precision)


def binary_size(size: float) -> str:
    """25276063744 becomes "23.54GiB": powers of 1024, four significant digits."""
    return _scaled(size, 1024, _BINARY, 4)


def _scaled(size: float, base: int, names: tuple[str, ...], precision: int) -> str:
    step = 0
    while abs(size) >= base and step < len(names) - 1:
        size, step = size / base, step + 1
    return f"{size:.{precision}g}{names[step]}"


def human_duration(seconds: float) -> str:
    """How long something took or is ago, roughly, in words: "2 minutes", "About an hour"."""
    whole, minutes, hours = int(seconds), int(seconds // 60), int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    return _long_duration(hours)


def _long_duration(hours: int) -> str:
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for length, limit, name in ((24, 24 * 14, "days"), (24 * 7, 24 * 60, "weeks"), (24 * 30, 24 * 730, "months")):
        if hours < limit:
            return f"{hours // length} {name}"
    return f"{hours // 24 // 365} years"


def parse_size(text: str) -> int:
    """Read a size in bytes: "64m" and "64MB" are powers of 1024, as everywhere in Docker's flags. ValueError if it is none."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    suffix = text[len(number) :].strip().lower()
    letter = suffix[:1]
    if letter not in ("", "b", *"kmgtp") or suffix[1:] not in ("", "b", "ib") or (letter in ("", "b") and suffix[1:]):
        raise ValueError(f"invalid suffix: '{suffix}'") if number else ValueError(f"invalid size: '{text}'")
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"invalid size: '{text}'") from None
    if not 0 <= value < 2**63:  # not for infinities and NaN either
        raise ValueError(f"invalid size: '{text}'")
    return int(value * 1024 ** " kmgtp".index(letter)) if letter and letter in "kmgtp" else int(value)


def parse_duration(text: str) -> int:
    """Read a duration such as "1h2m3.5s" and return nanoseconds. ValueError with Go's words if it is none."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0
    while rest:
        amount, rest = _span(rest, "0123456789.")
        unit, rest = _span_until(rest, "0123456789.")
        if not amount.strip(".") or amount.count(".") > 1:
            raise ValueError(f'time: invalid duration "{text}"')
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _DURATION_UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        whole, _, fraction = amount.partition(".")
        scale = _DURATION_UNITS[unit]
        total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    if total >= 2**63:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def _span(text: str, characters: str) -> tuple[str, str]:
    rest = text.lstrip(characters)
    return text[: len(text) - len(rest)], rest


def _span_until(text: str, characters: str) -> tuple[str, str]:
    for position, character in enumerate(text):
        if character in characters:
            return text[:position], text[position:]
    return text, ""


def format_duration(nanoseconds: int) -> str:
    """Write a duration as Go does: "1h2m3s", "1.5s", "300ms"."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < SECOND:
        unit, scale = next((name, size) for name, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if rest >= size)
        return f"{sign}{_fraction(rest, scale)}{unit}"
    minutes, rest = divmod(rest, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{_fraction(rest, SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _fraction(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
