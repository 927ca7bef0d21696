"""Tables of plain text, for terminals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def lines(rows: Iterable[Sequence[object]], right: Collection[int] = ()) -> list[str]:
    """Rows as lines whose columns are two spaces apart; nothing follows the last word of a line.

    Args:
        rows: the cells of each row, as many in every row.
        right: the numbers of the columns that are aligned to the right, from 0.
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]
