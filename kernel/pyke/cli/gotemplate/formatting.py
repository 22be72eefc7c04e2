"""`printf`: Go's verbs for what templates print."""

from __future__ import annotations

from collections.abc import Sequence

from pyke.cli import jsontext
from pyke.cli.gotemplate.values import kind, text

MAXIMUM_WIDTH = 1000


def sprintf(form: str, values: Sequence[object]) -> str:
    """Format as fmt.Sprintf does: %v %s %q %d %x %X %o %b %c %t %f %e %g %T %%, with -, +, 0, width and precision."""
    shown, position, rest = "", 0, list(values)
    while position < len(form):
        if form[position] != "%":
            shown, position = shown + form[position], position + 1
            continue
        flags, width, precision, position = _specification(form, position + 1)
        verb = form[position : position + 1]
        position += 1
        if verb == "%":
            shown += "%"
        elif not verb:
            shown += "%!(NOVERB)"
        elif not rest:
            shown += f"%!{verb}(MISSING)"
        else:
            shown += _aligned(_verb(verb, rest.pop(0), flags, precision), flags, width)
    if rest:
        shown += "%!(EXTRA " + ", ".join(f"{kind(value)}={text(value)}" for value in rest) + ")"
    return shown


def _specification(form: str, position: int) -> tuple[str, int, int | None, int]:
    start = position
    while form[position : position + 1] in tuple("-+# 0"):
        position += 1
    flags = form[start:position]
    width, position = _digits(form, position)
    precision: int | None = None
    if form[position : position + 1] == ".":
        precision, position = _digits(form, position + 1)
    return flags, width, precision, position


def _digits(form: str, position: int) -> tuple[int, int]:
    end = position
    while form[end : end + 1].isdecimal():
        end += 1
    return min(int(form[position:end] or "0"), MAXIMUM_WIDTH), end


def _verb(verb: str, value: object, flags: str, precision: int | None) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if verb in "vs":
        shown = text(value)
        return shown if precision is None or verb == "v" else shown[:precision]
    if verb == "q" and isinstance(value, str):
        return jsontext.dumps(value)
    if verb == "t" and isinstance(value, bool):
        return text(value)
    if verb == "T":
        return kind(value)
    if verb in "dxXobc" and whole:
        return ("+" if "+" in flags and verb == "d" and int(str(value)) >= 0 else "") + format(value, verb)
    if verb in "xX" and isinstance(value, str):
        return format(value.encode().hex(), "s") if verb == "x" else value.encode().hex().upper()
    if verb in "feEgG" and (whole or isinstance(value, float)):
        digits = precision if precision is not None else 6 if verb in "feE" else 12
        return format(float(str(value)), f".{min(digits, MAXIMUM_WIDTH)}{verb}")
    return f"%!{verb}({kind(value)}={text(value)})"


def _aligned(shown: str, flags: str, width: int) -> str:
    if "-" in flags:
        return shown.ljust(width)
    return shown.zfill(width) if "0" in flags and shown.lstrip("+-")[:1].isdigit() else shown.rjust(width)
