"""The picture of a ladder: how far each rung goes up by fresh seeds, and beside it what was measured of all of them together."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import partial
from typing import TYPE_CHECKING

from pytest_exprun.report.markdown import Picture
from pytest_exprun.report.plots import BASELINE, EXPERIMENT, FAINT, INK, STYLE_VERSION, Drawing, label, svg
from pytest_exprun.report.sessions.ladder import sentences
from pytest_exprun.verdict.sessions.ladder import Gain, Ladder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "ladder.svg"
_MOST_NAMED = 12
"""Rungs that have room for their names; of more there are numbers."""


def steps(ladder: Ladder) -> Drawing | None:
    """Return the picture of a ladder; None without matplotlib, or where no rung has fresh seeds."""
    if importlib.util.find_spec("matplotlib") is None or not any(rung.fresh for rung in ladder.rungs):
        return None
    text = list(sentences(ladder))
    alt = f"Steps of {len(ladder.rungs)} rungs; {'; '.join(text)}."
    caption = (
        "Each step is what fresh seeds gave for that rung, with its 95 % interval, from where the one before ended; one that they were "
        "not asked about stays level. Beside it the sum, and the total measured on fresh seeds of both ends."
    )
    shown = [STYLE_VERSION, [(rung.name, rung.fresh and rung.fresh.to_json()) for rung in ladder.rungs], alt]
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
    return Drawing(Picture(FILE, alt, caption), digest, partial(svg, digest, partial(_draw, ladder)))


def _draw(ladder: Ladder, figure: Figure) -> None:
    axes = figure.subplots()
    axes.axhline(0, color=FAINT, linewidth=0.8)
    height, ticks = 0.0, []
    for place, rung in enumerate(ladder.rungs):
        end = height + (rung.fresh.estimate if rung.fresh else 0.0)
        axes.plot((place - 0.5, place - 0.5, place + 0.5), (height, end, end), color=EXPERIMENT, linewidth=1.8)
        if rung.fresh:
            _bar(axes, place, Gain(end, rung.fresh.error, rung.fresh.df), EXPERIMENT, "D")
        ticks.append(f"{place + 1}" if len(ladder.rungs) > _MOST_NAMED else f"{place + 1}\n{label(rung.name)}")
        height = end
    if (whole := ladder.sum) is not None:
        _bar(axes, len(ticks), whole, INK, "s")
        ticks.append("sum")
    if ladder.total and ladder.total.gain:
        _bar(axes, len(ticks), ladder.total.gain, BASELINE, "o")
        ticks.append("together" if ladder.is_measured else "together,\nbefore")
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_ylabel(label(f"{ladder.rungs[-1].scale[0]}, better by"))
    axes.grid(visible=True, axis="y", alpha=0.3, linewidth=0.5)
    axes.set_title("gain by rung, and of all together")


def _bar(axes: Axes, place: float, gain: Gain, colour: str, marker: str) -> None:
    low, high = gain.interval
    spread = [[gain.estimate - low], [high - gain.estimate]]
    axes.errorbar(place, gain.estimate, yerr=spread, color=colour, marker=marker, capsize=5, linewidth=1.5)
