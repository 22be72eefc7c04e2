"""Tables as Docker prints them: columns at least 10 wide, three spaces apart, the last one as long as it is (Go's tabwriter)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PADDING = 3
MINIMUM = 10


def render(rows: Sequence[Sequence[str]], minimum: int = MINIMUM) -> str:
    """Lay rows out. As tabwriter does, a column's width is that of the adjacent rows that have a cell to its right."""
    widths: list[list[int]] = [[0] * max(0, len(row) - 1) for row in rows]
    for column in range(max((len(row) for row in rows), default=1) - 1):
        _measure(rows, widths, column, minimum)
    lines = (zip(row, [*row_widths, 0], strict=True) for row, row_widths in zip(rows, widths, strict=True))
    return "".join("".join(cell.ljust(width) for cell, width in line) + "\n" for line in lines)


def _measure(rows: Sequence[Sequence[str]], widths: list[list[int]], column: int, minimum: int) -> None:
    run: list[int] = []
    for position in range(len(rows) + 1):
        if position < len(rows) and len(rows[position]) > column + 1:
            run.append(position)
            continue
        width = max((max(minimum, len(rows[each][column]) + PADDING) for each in run), default=0)
        for each in run:
            widths[each][column] = width
        run = []
