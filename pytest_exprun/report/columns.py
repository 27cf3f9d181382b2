"""Rows of text in columns, for a terminal: aligned, and made to fit its width by cutting names and leaving columns out. ASCII."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

Row = Mapping[str, str]
"""Column to cell."""

NAME = "name"
"""The column whose cells may be cut."""
_GAP = 2
_CUT, _NUMBER = "..", "..#"
_LEAST_NAME = 4


def aligned(rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Join the cells of each row: the first `texts` columns to the left, the others, numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * _GAP)
        .join(
            cell.ljust(size) if at < texts else cell.rjust(size)
            for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in rows
    ]


def room_for_names(rows: Sequence[Row], width: int) -> int:
    """Return how much of a width the other columns leave for a name."""
    others = [max(len(row[column]) for row in rows) for column in rows[0] if column != NAME]
    return width - sum(others) - _GAP * len(others)


def fits(rows: Sequence[Row], width: int) -> bool:
    """Whether no row is wider than that, every name in full."""
    return max(len(row[NAME]) for row in rows) <= room_for_names(rows, width)


def narrowed(rows: Sequence[Row], width: int, giving_way: Iterable[tuple[str, int]]) -> list[Row]:
    """Return rows that fit a width: with fewer columns, and with names cut where they are still too long.

    `giving_way` are columns to leave out, first to last, each only while a name would get less than so much room.
    """
    longest, found = max(len(row[NAME]) for row in rows), list(rows)
    for column, least in giving_way:
        if room_for_names(found, width) < min(longest, least):
            found = [{name: cell for name, cell in row.items() if name != column} for row in found]
    names = shortened((row[NAME] for row in found), room_for_names(found, width))
    return [{**row, NAME: names[row[NAME]]} for row in found]


def shortened(names: Iterable[str], width: int) -> dict[str, str]:
    """Return each name as it fits a width, a long one cut out of its middle: `modern_with..parallel_block`. Different names stay different.

    All are cut at one place, the nearest to the middle that keeps them apart; where no place does, those that look alike get a number.
    """
    every = list(dict.fromkeys(names))
    kept = max(width, _LEAST_NAME) - len(_CUT)
    for head in sorted(range(kept + 1), key=lambda head: abs(2 * head - kept)):
        cut = {name: _without_middle(name, head, kept - head) for name in every}
        if len(set(cut.values())) == len(every):
            return cut
    tail = kept // 2
    return _numbered({name: _without_middle(name, kept - tail, tail) for name in every}, kept + len(_CUT))


def is_numbered(name: str) -> bool:
    """Whether a name was cut so short that it says less than which one it is."""
    return _NUMBER in name


def _without_middle(name: str, head: int, tail: int) -> str:
    return name if len(name) <= head + len(_CUT) + tail else name[:head] + _CUT + name[len(name) - tail :]


def _numbered(cut: Mapping[str, str], width: int) -> dict[str, str]:
    """Number the names that look alike, in their order."""
    count = Counter(cut.values())
    ends = {name: f"{_NUMBER}{number}" for number, name in enumerate((one for one in cut if count[cut[one]] > 1), 1)}
    return {**cut, **{name: name[: max(0, width - len(end))] + end for name, end in ends.items()}}
