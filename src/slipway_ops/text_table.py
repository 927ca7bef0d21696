"""Tables of plain text, for terminals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def lines(rows: Iterable[Sequence[object]], right: Collection[int] = ()) -> list[str]:
    """Formats rows as lines, with two spaces between columns and no spaces at the end.

    Args:
        rows: the cells of each row; all rows have the same number.
        right: the indexes of the columns to align to the right.
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
