"""Where a reader goes on when the engine that it read from is gone."""

import random

from pyke.cli.follow import Place, _new_texts

LINES = [(moment, b"line %d\n" % number) for number, moment in enumerate([1, 1, 1, 2, 3, 3, 3, 3, 3])]


def frames(lines: list[tuple[int, bytes]], source: random.Random) -> bytes:
    """Frames of stdout, each with one line or with some of one time."""
    framed = b""
    while lines:
        count = source.randint(1, sum(moment == lines[0][0] for moment, _ in lines))
        data = b"%020d" % lines[0][0] + b"".join(line for _, line in lines[:count])
        framed += b"\1\0\0\0" + len(data).to_bytes(4, "big") + data
        lines = lines[count:]
    return framed


def test_nothing_is_shown_twice_or_left_out_however_lines_come_together() -> None:
    source = random.Random(1)
    for _ in range(200):
        place, shown = Place(is_new_alone=False), b""
        seen = source.randint(1, len(LINES))
        shown += b"".join(text for _, text in _new_texts(frames(LINES[:seen], source), place))
        place.go_back()
        again = [line for line in LINES if line[0] >= LINES[seen - 1][0]]
        shown += b"".join(text for _, text in _new_texts(frames(again, source), place))
        assert shown == b"".join(line for _, line in LINES)
