"""Where the commands write: lines to read, a line that the next one overwrites, what a trainer prints kept apart, and one JSON object."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import textwrap
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from pytest_exprun.terms.errors import TrainerError, shown

WIDTH = 80
_NUMBERS = re.compile(r"\[\n[-+.\deE,\s]+\]")
_KEPT_LINES = 10


@dataclass
class Console:
    """Standard output and standard error as they were when the command started."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    for_program: bool = False
    answers: dict[str, Any] = field(default_factory=dict)
    has_said: bool = False
    _live_shown: bool = False

    def say(self, line: str = "") -> None:
        """Print one line, folded at 80 columns with what follows indented."""
        self.has_said = True
        for part in folded(shown(line)):
            self._write(part + "\n", live=False)

    def show(self, lines: Iterable[str]) -> None:
        """Print what was asked for; a program has it in its object."""
        for line in () if self.for_program else lines:
            self.say(line)

    def answer(self, **values: Any) -> None:
        """Keep plain JSON values for a program; `answer.schema.json` in the reports' room says which there are."""
        self.answers |= values

    def print_data(self, text: str) -> None:
        """Print text that a program reads, as it is."""
        self._write(text + "\n", live=False)

    def live(self, line: str) -> None:
        """Print a line that the next one overwrites; nothing where there is no terminal."""
        if self.out.isatty():
            self._write(shown(line)[: WIDTH - 1], live=True)

    def _write(self, text: str, *, live: bool) -> None:
        self.out.write(("\r\x1b[2K" if self._live_shown else "") + text)
        self.out.flush()
        self._live_shown = live

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Keep what trainers print on standard output; its last lines are shown if one fails."""
        # A file, not a string in memory: trainers may ask for its descriptor or write bytes to its buffer.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as printed:
            try:
                with contextlib.redirect_stdout(printed):
                    yield
            except TrainerError:
                printed.seek(0)
                last = list(deque(printed, _KEPT_LINES))
                if last:
                    self._write("", live=False)
                    self.err.write(
                        "the trainer's last lines:\n" + "".join(f"  {shown(line.rstrip())}\n" for line in last)
                    )
                raise
            finally:
                if self._live_shown:
                    self._write("", live=False)


@contextlib.contextmanager
def standard_output_kept() -> Iterator[None]:
    """Let all that is printed meanwhile, by programs that are started too, go to standard error: what comes after stands alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def print_object(values: Mapping[str, Any]) -> None:
    """Print the one object that a program reads; numbers of a list stand in one line, so that a comparison fits a screen."""
    text = json.dumps(values, indent=1, allow_nan=False)
    sys.stdout.write(
        _NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text)
    )
    sys.stdout.write("\n")


def folded(line: str) -> list[str]:
    """Fold a line at 80 columns; a table's row that fits is left as it is."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
