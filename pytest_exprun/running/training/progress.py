"""The progress lines that every kind of trainer prints: `Step 100 | val_loss: 2.1234 | train_loss: 2.0456 | ...`. Standard library only."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from io import TextIOBase
from typing import TextIO

from pytest_exprun.terms.model import CurvePoint

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?)"
_LINE = re.compile(r"\s*Step (\d{1,18}) \|(.*)", re.DOTALL)
_PAIR = re.compile(rf"\s*([A-Za-z_]\w{{0,63}}): ({_NUMBER})\s*", re.ASCII | re.IGNORECASE)
MAX_LINE = 10_000
"""Characters of one line that are looked at; a longer one is no progress line."""


def parse(line: str) -> CurvePoint | None:
    """Read one progress line; None for any other line. A value with a unit (`7.6s`) is no number and is passed over."""
    match = _LINE.fullmatch(line.rstrip("\r\n")) if len(line) <= MAX_LINE else None
    if match is None:
        return None
    values: dict[str, float | None] = {}
    for part in match[2].split("|"):
        pair = _PAIR.fullmatch(part)
        if pair:
            number = float(pair[2])
            values[pair[1]] = number if math.isfinite(number) else None
    return CurvePoint(int(match[1]), values) if values else None


class ProgressTee(TextIOBase):
    """A standard output that passes everything on and reports each complete progress line."""

    def __init__(self, target: TextIO, on_point: Callable[[CurvePoint], None]) -> None:
        super().__init__()
        self._target, self._on_point, self._line = target, on_point, ""

    def write(self, text: str) -> int:
        """Pass `text` on; report the lines that it completes."""
        self._target.write(text)
        *complete, rest = (self._line + text).split("\n")
        self._line = rest[-MAX_LINE:]
        for line in complete:
            point = parse(line)
            if point is not None:
                self._on_point(point)
        return len(text)

    def flush(self) -> None:
        """Flush the target."""
        self._target.flush()

    def writable(self) -> bool:
        """Say yes, as a standard output does."""
        return True

    def isatty(self) -> bool:
        """Say what the target says, so that a trainer's own progress bar behaves as without us."""
        return self._target.isatty()

    def fileno(self) -> int:
        """Return the target's descriptor."""
        return self._target.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The target's encoding."""
        return self._target.encoding
