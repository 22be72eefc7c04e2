"""`printf`: Go's verbs for what templates print."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyke.cli import jsontext
from pyke.cli.gotemplate.values import kind, text

MAXIMUM_WIDTH = 1000
# %[1]-5.2f: which operand, flags, width and precision, the operand again, the verb; `*` takes a width from an operand.
_VERB = re.compile(r"%([-+# 0]*)(?:(?:\[(\d+)\])?(\*)|(\d+))?(?:\.(?:(\*)|(\d*)))?(?:\[(\d+)\])?(.?)", re.DOTALL)


def sprintf(form: str, values: Sequence[object]) -> str:
    """Format as fmt.Sprintf does: %v %s %q %d %x %X %o %b %c %t %f %e %g %T %%, with -, +, 0, width and precision, `*` and [n]."""
    operands = _Operands(values)
    shown = _VERB.sub(operands.printed, form)
    return shown + operands.left_over()


class _Operands:
    """The operands of one call, and which is next."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values
        self._next = 0
        self._was_chosen = False  # by [n]: then those that are left over are meant to be

    def printed(self, match: re.Match[str]) -> str:
        """What stands for one verb."""
        flags, star_index, star, width, precision_star, precision, index, verb = match.groups()
        if verb == "%":
            return "%"
        self._choose(star_index)
        wide = self._number() if star else min(int(width or 0), MAXIMUM_WIDTH)
        if wide < 0:
            flags, wide = flags + "-", -wide
        exact = self._number() if precision_star else None if precision is None else min(int(precision or 0), MAXIMUM_WIDTH)
        self._choose(index)
        if not verb:
            return "%!(NOVERB)"
        if self._next >= len(self._values) or self._next < 0:
            return f"%!{verb}({'BADINDEX' if index else 'MISSING'})"
        self._next += 1
        return _aligned(_verb(verb, self._values[self._next - 1], flags, exact), flags, wide)

    def _choose(self, index: str | None) -> None:
        if index:
            self._next, self._was_chosen = int(index) - 1, True

    def _number(self) -> int:
        value = self._values[self._next] if 0 <= self._next < len(self._values) else 0
        self._next += 1
        return max(-MAXIMUM_WIDTH, min(value, MAXIMUM_WIDTH)) if isinstance(value, int) else 0

    def left_over(self) -> str:
        """What Go says of operands that no verb has taken."""
        if self._was_chosen or self._next >= len(self._values):
            return ""
        return "%!(EXTRA " + ", ".join(f"{kind(value)}={text(value)}" for value in self._values[self._next :]) + ")"


def _verb(verb: str, value: object, flags: str, precision: int | None) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if verb == "v":
        return text(value)
    if verb == "s" and isinstance(value, (list, tuple)):
        return "[" + " ".join(_verb("s", item, flags, precision) for item in value) + "]"
    if verb == "s" and not isinstance(value, (bool, int, float)):
        return text(value) if precision is None else text(value)[:precision]
    if verb == "q" and isinstance(value, str):
        return jsontext.dumps(value)
    if verb == "t" and isinstance(value, bool):
        return text(value)
    if verb == "T":
        return kind(value)
    if verb in "dxXobc" and whole:
        return ("+" if "+" in flags and verb == "d" and int(str(value)) >= 0 else "") + format(value, verb)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if verb in "feEgG" and isinstance(value, float):
        digits = precision if precision is not None else 6 if verb in "feE" else 12
        return format(value, f".{digits}{verb}")
    return f"%!{verb}({kind(value)}={text(value)})"


def _aligned(shown: str, flags: str, width: int) -> str:
    if "-" in flags:
        return shown.ljust(width)
    return shown.zfill(width) if "0" in flags and shown.lstrip("+-")[:1].isdigit() else shown.rjust(width)
