"""The metrics of one run, gathered from its output line by line with bounded memory. The last value of each counts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_exprun.running.training.lines import FORMATS, LineReader, Reading, number, plain_text
from pytest_exprun.terms.curves import Room
from pytest_exprun.terms.judged_at import Heard
from pytest_exprun.terms.outcome import CurvePoint

_SHOWN = 160
_GOES_ON = re.compile(r"[\w%]|[.,]\d", re.ASCII)
_NOTHING = frozenset({"none", "null", "na", "n/a", "-", "--"})


class UnreadableOutput(Exception):  # noqa: N818  # read as a fact: why the output gives no metric
    """The reason why a run's output does not tell its metric, with what to change."""


@dataclass
class _Heard:
    """What one reader has heard so far: per metric the last value, None where the last mention was no number, and its line."""

    values: dict[str, float | None] = field(default_factory=dict)
    places: Heard = field(default_factory=Heard)
    line: str = ""
    step: int | None = None

    def take(self, reading: Reading, line: str, metric: str) -> None:
        fresh: dict[str, float | None] = {**reading.values, **dict.fromkeys(reading.unreadable)}
        if metric in fresh:
            again = reading.step is not None and reading.step == self.step
            if again and repr(self.values.get(metric)) != repr(fresh[metric]):
                fresh[metric] = (
                    None  # two processes of one run print, or two evaluations: nobody knows which one counts
                )
            self.step, self.line = reading.step, line
        self.values |= fresh
        self.places.take(fresh, reading.counts)


class OutputMetrics:
    """Hears the lines of one run.

    Args:
        metric: the one that decides.
        log_format: a name of FORMATS; anything else means that the format is recognised.
        pattern: a regular expression with a group for each metric, in place of a format.
    """

    def __init__(self, metric: str, log_format: str = "auto", pattern: str = "") -> None:
        self._metric = metric
        self._readers: Mapping[str, LineReader] = (
            {"exprun_pattern": pattern_reader(pattern)}
            if pattern
            else {log_format: FORMATS[log_format]}
            if log_format in FORMATS
            else FORMATS
        )
        self._heard = {name: _Heard() for name in self._readers}
        self._room, self._number_of_readings = Room(metric), 0
        self.curve: list[CurvePoint] = []

    def hear(self, line: str, *, complete: bool = True) -> CurvePoint | None:
        """Take in one line; return it as a point, which the curve may have no room for.

        A line too long to be held `complete` proves nothing.
        """
        text = plain_text(line)
        if not complete:
            self._distrust(text)
            return None
        point = None
        for name, reader in self._readers.items():
            reading = reader(text)
            if reading is not None:
                self._heard[name].take(reading, text, self._metric)
                point = point or self._point(reading)
        return point

    def _distrust(self, text: str) -> None:
        if self._metric in text:
            for heard in self._heard.values():
                if self._metric in heard.values:
                    heard.take(Reading(unreadable=frozenset({self._metric})), text, self._metric)

    def _point(self, reading: Reading) -> CurvePoint | None:
        if not reading.values:
            return None
        self._number_of_readings += 1
        step = self._number_of_readings if reading.step is None else reading.step
        values = {name: value if math.isfinite(value) else None for name, value in reading.values.items()}
        point = CurvePoint(step, values)
        if self._room.admits(point):
            self.curve.append(point)
        return point

    def metrics(self) -> dict[str, float]:
        """Return the last value of every metric; the errors are those of `_speaking`."""
        return {name: value for name, value in self._speaking().values.items() if value is not None}

    def reported_at(self) -> dict[str, list[Any]]:
        """Return at which step each metric was last printed; the errors are those of `_speaking`."""
        return self._speaking().places.reported_at(self.metrics())

    def _speaking(self) -> _Heard:
        """Return what the one reader heard that knows the judged metric.

        Raises:
            UnreadableOutput: the judged metric is not there, not readable, or there in more than one way.
        """
        speak = [name for name, heard in self._heard.items() if self._metric in heard.values]
        if not speak:
            raise UnreadableOutput(self._nothing_found())
        if len(speak) > 1:
            lines = " and ".join(f"{name} ({_quoted(self._heard[name].line)})" for name in speak)
            raise UnreadableOutput(
                f"printed {self._metric} in {len(speak)} formats, {lines}: choose one with exprun_log_format"
            )
        heard = self._heard[speak[0]]
        if heard.values[self._metric] is None:
            raise UnreadableOutput(
                f"printed a {self._metric} that cannot be read for sure: {_quoted(heard.line)}. One number, once a step, by one process; "
                "for another form of line set exprun_pattern"
            )
        return heard

    def _nothing_found(self) -> str:
        names = {name for heard in self._heard.values() for name, value in heard.values.items() if value is not None}
        if names:
            return (
                f"printed no {self._metric}, only {', '.join(sorted(names)[:20])}: name the one that decides (exprun_metric), "
                "or set exprun_pattern"
            )
        return (
            f"printed no {self._metric} in a known format. Print lines like 'Step 100 | {self._metric}: 2.3456', or set exprun_pattern "
            f"to a regular expression with (?P<{self._metric}>...), or exprun_metrics_file"
        )


def _quoted(line: str) -> str:
    return repr(line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "...")


def pattern_reader(pattern: str) -> LineReader:
    """Return a reader that finds metrics by the named groups of a regular expression."""
    exact = re.compile(pattern)
    loose = {name: compiled for name in exact.groupindex if (compiled := _loosened(pattern, name)) is not None}

    def read(line: str) -> Reading | None:
        found: dict[str, list[float | None]] = {}
        for match in exact.finditer(line):
            for name, text in match.groupdict().items():
                if text is not None:
                    found.setdefault(name, []).append(_standing_alone(line, match.span(name)))
        for name, compiled in loose.items():
            # The expression does not know this spelling, perhaps `nan`: an older value must not stand for it.
            unknown = [] if name in found else _like_a_value(compiled, name, line)
            if unknown:
                found[name] = [number(text) for text in unknown]
        if not found:
            return None
        agreed = {name: values[0] for name, values in found.items() if len(set(map(repr, values))) == 1}
        values = {name: value for name, value in agreed.items() if value is not None}
        return Reading(None, values, frozenset(set(found) - set(values)))

    return read


def _standing_alone(line: str, span: tuple[int, int]) -> float | None:
    """Return the number in a part of a line, None if it is only a part of a number or word there."""
    start, end = span
    cut = (start and line[start - 1] in "0123456789.+-_") or _GOES_ON.match(line, end)
    return None if cut else number(line[start:end])


def _like_a_value(compiled: re.Pattern[str], name: str, line: str) -> Sequence[str]:
    texts = [match[name] for match in compiled.finditer(line) if match[name] is not None]
    return [
        text for text in texts if number(text) is not None or any(map(str.isdigit, text)) or text.lower() in _NOTHING
    ]


def _loosened(pattern: str, name: str) -> re.Pattern[str] | None:
    """Return the pattern with anything but a space where it wants the number of one group; None if that is no pattern."""
    start = pattern.index(f"(?P<{name}>") + len(f"(?P<{name}>")
    depth, position, in_class = 1, start, False
    while depth and position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            position += pattern.startswith(("[]", "[^]"), position) * (1 + (pattern[position + 1] == "^"))
        else:
            depth += (character == "(") - (character == ")")
        position += 1
    try:
        return re.compile(rf"{pattern[:start]}[^\s,;|]+{pattern[position - 1 :]}")
    except re.error:
        return None
