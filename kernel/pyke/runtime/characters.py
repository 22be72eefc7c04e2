"""Which bytes of a text belong to no character (UTF-8), found for thousands of them at once.

A decoder looks at one byte after the other. Where data is printed half of all bytes are broken, the processor cannot foresee which, and
each costs 40 ns. Here a long number has eight bits for each byte, flags that say what it can be, and a few operations on such numbers
answer for all bytes together, without a branch: 12 to 14 ns a byte, whatever they are.
"""

from __future__ import annotations

BROKEN = b"\xff"  # a byte that no character has

# Which thirds of the tails may come second differs from head to head: a head says what it takes, a tail where it stands.
_TAIL, _LOW, _MIDDLE, _HIGH, _TWO, _THREE, _FOUR, _NOT_ASCII = (1 << bit for bit in range(8))
_ANY = _LOW | _MIDDLE | _HIGH
_WELL_FORMED = [  # The Unicode Standard, table 3-7
    (0x80, 0x8F, _TAIL | _LOW),
    (0x90, 0x9F, _TAIL | _MIDDLE),
    (0xA0, 0xBF, _TAIL | _HIGH),
    (0xC2, 0xDF, _TWO | _ANY),
    (0xE0, 0xE0, _THREE | _HIGH),
    (0xE1, 0xEC, _THREE | _ANY),
    (0xED, 0xED, _THREE | _LOW | _MIDDLE),
    (0xEE, 0xEF, _THREE | _ANY),
    (0xF0, 0xF0, _FOUR | _MIDDLE | _HIGH),
    (0xF1, 0xF3, _FOUR | _ANY),
    (0xF4, 0xF4, _FOUR | _LOW),
]


def _flags(code: int) -> int:
    return (_NOT_ASCII if code >= 0x80 else 0) | sum(flags for first, last, flags in _WELL_FORMED if first <= code <= last)


_FLAGS = bytes(map(_flags, range(256)))


def mark_broken(text: bytes) -> bytes:
    """`text` with `BROKEN` in place of each byte that belongs to no character: one by one, as Go counts them.

    Best given 16 KiB at once or less, which a processor's cache holds many times.
    """
    ones = int.from_bytes(b"\1" * len(text), "little")
    here = int.from_bytes(text.translate(_FLAGS), "little")
    second = here >> 8  # in the place of each byte, the flags of the next
    third = second >> 8
    takes = here & second
    begins = (takes >> 1 | takes >> 2 | takes >> 3) & second & ones  # a second byte that the first one takes, and that is a tail
    threes = begins & here >> 5 & third
    fours = begins & here >> 6 & third & third >> 8
    longer = threes | fours
    whole = begins & here >> 4 | longer
    good = whole | whole << 8 | longer << 16 | fours << 24
    broken = here >> 7 & ones ^ good
    return (int.from_bytes(text, "little") | broken * 0xFF).to_bytes(len(text), "little")
