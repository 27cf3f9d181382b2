"""Draw the pictures of docs/statistics.md: operating characteristics, the strict gate, sensitivity, stopping, a real experiment's seeds.

python tests/simulation/pictures.py
"""

from __future__ import annotations

import functools
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import twin
from draws import REAL_LOSSES, arms
from figures import GATE_THRESHOLDS, RHOS, RULES
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pytest_exprun.verdict import stats

IMAGES = Path(__file__).parents[2] / "docs" / "images"
INK, FAINT, GROUND, BLUE, ORANGE, GREEN = "#24292f", "#8c959f", "#ffffff", "#0969da", "#bc4c00", "#1a7f37"
DARK = {INK: "#e6edf3", FAINT: "#6e7681", GROUND: "#0d1117", BLUE: "#58a6ff", ORANGE: "#f0883e", GREEN: "#3fb950"}
COLOURS = dict(zip(RULES, (ORANGE, BLUE, GREEN), strict=True))
SETTINGS = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), FAINT),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), GROUND),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "svg.hashsalt": "exprun",
}
EFFECTS = np.arange(0, 4.01, 0.25)
TRIALS = 40_000


def rates(rule: str, rho: float, sign: float, hit: Callable[[twin.Judged], twin.Bools]) -> list[float]:
    """Share of hits by the size of a true improvement (sign 1) or harm (-1)."""
    found = []
    for effect in EFFECTS:
        pair = arms(np.random.default_rng(1), TRIALS, improvement=sign * effect, rho=rho)
        found.append(float(hit(twin.judge_many(*pair, kinds=False, **RULES[rule])).mean()))
    return found


def operating_characteristics(figure: Figure) -> None:
    """Probability of WINNER by true improvement."""
    for axes, rho in zip(figure.subplots(1, 2, sharey=True), (0.0, 0.9), strict=True):
        for rule, colour in COLOURS.items():
            axes.plot(EFFECTS, rates(rule, rho, 1, lambda judged: judged.winner), color=colour, label=rule)
        axes.set(title=f"same-seed correlation {rho:g}", xlabel="true improvement, baseline sigmas", ylim=(0, 1))
        _grid(axes)
    figure.axes[0].set_ylabel("probability of WINNER")
    figure.axes[0].legend(loc="upper left")


def gates(figure: Figure) -> None:
    """Probability that a worse change passes each gate."""
    for axes, rho in zip(figure.subplots(1, 2, sharey=True), (0.0, 0.9), strict=True):
        passes = rates("two_sigma", rho, -1, lambda judged: ~judged.loser)
        axes.plot(EFFECTS, passes, color=ORANGE, label="not_loser (two_sigma)")
        strict = [
            twin.gate_many(*arms(np.random.default_rng(1), TRIALS, improvement=-e, rho=rho), GATE_THRESHOLDS).mean()
            for e in EFFECTS
        ]
        axes.plot(EFFECTS, strict, color=BLUE, label="non_inferior, margin 2")
        axes.set(title=f"same-seed correlation {rho:g}", xlabel="true harm, baseline sigmas", ylim=(0, 1))
        _grid(axes)
    figure.axes[0].set_ylabel("probability to pass the gate")
    figure.axes[0].legend(loc="upper right")


def sensitivity(figure: Figure) -> None:
    """Minimum detectable effect by number of seeds."""
    axes, counts = figure.subplots(), np.arange(3, 21)
    fixed = [stats.minimum_detectable_effect(5, int(n)) for n in counts]
    axes.plot(counts, fixed, color=ORANGE, label="unpaired, baseline of 5")
    equal = [stats.minimum_detectable_effect(int(n), int(n)) for n in counts]
    axes.plot(counts, equal, color=GREEN, label="unpaired, as many baseline seeds")
    for rho, style in ((0.5, "--"), (0.9, "-")):
        paired = [stats.minimum_detectable_effect_paired(int(n), rho) for n in counts]
        axes.plot(counts, paired, color=BLUE, linestyle=style, label=f"paired, correlation {rho:g}")
    axes.set(xlabel="seeds of the experiment", ylabel="smallest effect seen with power .8, sigmas", ylim=(0, 4))
    axes.set_xticks(range(4, 21, 2))
    axes.legend(loc="upper right")
    _grid(axes)


FIRST_PROPOSED = {"two_sigma": (-0.5, 0.0, 0.5, 0.8), "tested, m = 1": (-0.5, 0.0, 0.3, 0.5)}


def stopping(figure: Figure) -> None:
    """What cuts after each seed cost: runs of a change without effect, and power lost at two sigma, the worst of three correlations."""
    for axes, (rule, proposed) in zip(figure.subplots(1, 2, sharey=True), FIRST_PROPOSED.items(), strict=True):
        bar = RULES[rule].get("min_effect", 2.0)
        others = [
            (first, *(bar * share for share in later))
            for first in (-1.0, -0.65, -0.5, -0.35, -0.1)
            for later in itertools.product((0.0, 0.15, 0.25), (0.2, 0.4), (0.3, 0.55))
        ]
        for cuts, colour, label in (
            *((cuts, FAINT, "") for cuts in others),
            (proposed, ORANGE, "first proposed"),
            (twin.CUTS[bar], BLUE, "chosen"),
        ):
            axes.plot(*_costs(rule, cuts), "o", color=colour, label=label, markersize=6 if label else 3)
        axes.axhline(0.5, color=FAINT, linewidth=0.8, linestyle="--")
        axes.axvline(2.5, color=FAINT, linewidth=0.8, linestyle="--")
        axes.set(title=f"{rule}", xlabel="runs of a change without effect", ylim=(0, 1.3))
        _grid(axes)
    figure.axes[0].set_ylabel("points of power lost at 2 sigma")
    figure.axes[0].legend(loc="upper right")


@functools.cache
def _pairs(rho: float, improvement: float) -> tuple[twin.Floats, twin.Floats]:
    return arms(np.random.default_rng(1), TRIALS, improvement=improvement, rho=rho)


@functools.cache
def _found(rule: str, rho: float) -> twin.Bools:
    return twin.judge_many(*_pairs(rho, 2.0), kinds=False, **RULES[rule]).winner


def _costs(rule: str, cuts: tuple[float, ...]) -> tuple[float, float]:
    """Runs without effect, and the most power lost."""
    how = RULES[rule] | {"futility": "seeds", "cuts": cuts, "kinds": False}
    lost = [_found(rule, rho) & ~twin.judge_many(*_pairs(rho, 2.0), **how).winner for rho in RHOS]
    return twin.judge_many(*_pairs(0.0, 0.0), **how).seeds.mean(), 100 * max(each.mean() for each in lost)


def real_seeds(figure: Figure) -> None:
    """Thirteen runs a side of one public change, and what three and five of them would have shown."""
    losses = json.loads(REAL_LOSSES.read_text())["losses"]
    name = "track_1_short/2026-07-17_FP8DownProjection/{}#losses0"
    baseline, experiment = (np.array(losses[name.format(arm)]) for arm in ("baseline", "this_pr"))
    axes = figure.subplots()
    mean, sigma = baseline.mean(), baseline.std(ddof=1)
    axes.axhspan(mean - 2 * sigma, mean + 2 * sigma, color=FAINT, alpha=0.25, linewidth=0)
    for place, (arm, colour) in enumerate(((baseline, BLUE), (experiment, ORANGE))):
        jitter = place + np.linspace(-0.12, 0.12, len(arm))
        axes.plot(jitter, arm, "o", color=colour, markersize=4.5)
        axes.plot([place - 0.2, place + 0.2], [arm.mean()] * 2, color=colour, linewidth=2)
    axes.set(xlim=(-0.6, 1.6), ylabel="validation loss")
    axes.set_xticks([0, 1], ["baseline, 13 runs", "with the change, 13 runs"])
    _grid(axes)


def _grid(axes: Axes) -> None:
    axes.grid(axis="y", linewidth=0.5, alpha=0.5)


def svg(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    """Draw one picture; the same bytes each time, in dark colours where the viewer prefers dark."""
    buffer = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    text = buffer.getvalue()
    return text[: text.index("<defs>")] + style + text[text.index("<defs>") :]


PICTURES = {
    "operating-characteristics": (operating_characteristics, (8.0, 3.2)),
    "gates": (gates, (8.0, 3.2)),
    "sensitivity": (sensitivity, (6.0, 3.2)),
    "stopping": (stopping, (8.0, 3.2)),
    "real-seeds": (real_seeds, (5.0, 3.0)),
}


def main() -> None:
    """Write all pictures."""
    for name, (draw, size) in PICTURES.items():
        (IMAGES / f"statistics-{name}.svg").write_text(svg(draw, size), encoding="utf-8")


if __name__ == "__main__":
    main()
