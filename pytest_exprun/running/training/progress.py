"""The progress lines that every kind of trainer prints: `Step 100 | val_loss: 2.1234 | train_loss: 2.0456 | ...`. Standard library only."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from io import TextIOBase
from typing import Any, TextIO

from pytest_exprun.running.training.lines import NUMBER
from pytest_exprun.terms.curves import Room
from pytest_exprun.terms.judged_at import Heard
from pytest_exprun.terms.outcome import CurvePoint
from pytest_exprun.terms.secrets import conceal

_LINE = re.compile(r"\s*Step (\d{1,18}) \|(.*)", re.DOTALL)
_PAIR = re.compile(rf"\s*([A-Za-z_]\w{{0,63}}): ({NUMBER})\s*", re.ASCII | re.IGNORECASE)
_KEPT = 4_000
"""The last pieces of output that are kept for the log of a run that fails; `print` makes two of a line."""
MAX_LINE = 10_000
"""Characters of one line that are looked at; a longer one is no progress line."""


@dataclass(frozen=True)
class Line:
    """A progress line: its step, and the numbers as they were printed."""

    step: int
    texts: Mapping[str, str]

    @property
    def point(self) -> CurvePoint:
        """The point of the curve."""
        numbers = {name: float(text) for name, text in self.texts.items()}
        return CurvePoint(
            self.step, {name: number if math.isfinite(number) else None for name, number in numbers.items()}
        )


def read(line: str) -> Line | None:
    """Read one progress line; None for any other line. A value with a unit (`7.6s`) is no number and is passed over."""
    match = _LINE.fullmatch(line.rstrip("\r\n")) if "Step " in line and len(line) <= MAX_LINE else None
    if match is None:
        return None
    pairs = filter(None, map(_PAIR.fullmatch, match[2].split("|")))
    texts = {pair[1]: pair[2] for pair in pairs}
    return Line(int(match[1]), texts) if texts else None


class Progress:
    """The progress lines of one run, gathered as they are printed.

    Args:
        on_point: hears each line as a point, also where the curve has no room for it.
        metric: the one that decides.
    """

    def __init__(self, on_point: Callable[[CurvePoint], None], metric: str) -> None:
        self.curve: list[CurvePoint] = []
        self._on_point, self._heard, self._room = on_point, Heard(), Room(metric)
        self._texts: dict[str, str] = {}

    def take(self, line: Line) -> None:
        """Take in the next line."""
        self._heard.take(line.texts, {"step": line.step})
        self._texts.update(line.texts)
        point = line.point
        if self._room.admits(point):
            self.curve.append(point)
        self._on_point(point)

    def reported_at(self, returned: Mapping[str, float | None]) -> dict[str, list[Any]]:
        """Return where the returned values are from: the line that printed one last, for another value than that nobody knows."""
        return self._heard.reported_at(
            name
            for name, value in returned.items()
            if value is not None and name in self._texts and _is_printed(value, self._texts[name])
        )


def _is_printed(value: float, text: str) -> bool:
    """Whether a text is this number, to the digits that it has."""
    printed = Decimal(text)
    exponent = printed.as_tuple().exponent
    # Half of the last digit; what is not finite has none.
    return isinstance(exponent, int) and abs(Decimal(value) - printed) <= Decimal(5).scaleb(exponent - 1)


class ProgressTee(TextIOBase):
    """A standard output that passes everything on and reports each complete progress line."""

    def __init__(self, target: TextIO, on_line: Callable[[Line], None]) -> None:
        super().__init__()
        self._target, self._on_line, self._line = target, on_line, ""
        self._pass_on = target.write
        self._kept: deque[str] = deque(maxlen=_KEPT)

    @property
    def printed(self) -> str:
        """The end of what was printed."""
        return "".join(self._kept)

    def write(self, text: str) -> int:
        """Pass `text` on; report the lines that it completes. Called for all that a trainer prints: it must be quick."""
        self._pass_on(conceal(text))
        self._kept.append(text)
        if text == "\n" and "Step " not in self._line:  # print's second half, of almost every line
            self._line = ""
        elif "\n" in text:
            self._complete(text)
        elif len(self._line) <= MAX_LINE:
            self._line = (self._line + text)[: MAX_LINE + 1]
        return len(text)

    def _complete(self, text: str) -> None:
        """Take in a text with at least one line's end."""
        text = self._line + text
        end = text.rfind("\n")
        self._line = text[end + 1 : end + MAX_LINE + 2]
        if "Step " not in text:
            return
        for line in text[:end].split("\n"):
            found = read(line)
            if found is not None:
                self._on_line(found)

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
