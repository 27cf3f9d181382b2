"""Two pictures a report: the loss curves of both arms, and their seeds with the difference. Needs the extra `[plots]`; without it, none.

matplotlib's object interface only: no pyplot, no backend, and its settings are as they were afterwards. The same comparison gives the
same bytes with the same matplotlib. Pictures are SVG on a light ground that turns dark where the viewer prefers dark.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_exprun.report.markdown import Picture, summary
from pytest_exprun.report.text import experiment_stem, number, percent, places, signed
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE_VERSION = 1
"""Raise it when pictures change, so that those already written are drawn again."""
INK, FAINT, GROUND, BASELINE, EXPERIMENT = "#24292f", "#8c959f", "#ffffff", "#0969da", "#bc4c00"
DARK = {INK: "#e6edf3", FAINT: "#6e7681", GROUND: "#0d1117", BASELINE: "#58a6ff", EXPERIMENT: "#f0883e"}
_MOST_LABEL = 26
_POINTS_A_PANEL = 360


@dataclass(frozen=True)
class Drawing:
    """A picture that can be drawn, and the digest of everything it shows."""

    picture: Picture
    digest: str
    draw: Callable[[], str]

    def is_drawn_in(self, svg: str) -> bool:
        """Whether this is the text of just this picture."""
        return self.digest in svg


def drawings(comparison: Comparison) -> list[Drawing]:
    """Return the pictures of a report; none without matplotlib, no curves where the runs printed none."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    found = [_drawing(comparison, "seeds", _seeds_text(comparison), _draw_seeds)]
    if _curve_metric(comparison):
        found.insert(0, _drawing(comparison, "curves", _curves_text(comparison), _draw_curves))
    return found


def _drawing(
    comparison: Comparison, kind: str, text: tuple[str, str], paint: Callable[[Comparison, Figure], None]
) -> Drawing:
    shown = [STYLE_VERSION, kind, comparison.to_json()]
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
    picture = Picture(f"{experiment_stem(comparison.declaration)}_{kind}.svg", *text)
    return Drawing(picture, digest, partial(svg, digest, partial(paint, comparison)))


def svg(digest: str, paint: Callable[[Figure], None]) -> str:
    """Paint a figure and return it as SVG: settings of ours only, ids from a fixed salt, no date."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_settings())
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        paint(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _with_dark_mode(buffer.getvalue(), digest)


def _settings() -> Any:  # the stubs name every setting
    coloured = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    faint = ("axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    return {
        **dict.fromkeys(coloured, INK),
        **dict.fromkeys(faint, FAINT),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), GROUND),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 9.0,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "exprun",
        # A dollar in a flag is a dollar, no formula.
        "text.parse_math": False,
        "axes.formatter.useoffset": False,
    }


def _with_dark_mode(svg: str, digest: str) -> str:
    """Add a style sheet that exchanges our colours where the viewer prefers dark; other viewers skip it."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<!-- exprun {digest} -->\n<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    return re.sub(r"(<svg [^>]*>)", lambda tag: f"{tag[0]}\n {style}", _trimmed(svg), count=1)


def _trimmed(svg: str) -> str:
    """Cut coordinates to a hundredth of a point, which no eye sees, and drop indentation, a seventh of the size."""
    short = re.sub(
        r'(?<= (?:d|x|y)=")[^"]*|(?<=translate\()[^)]*', lambda at: re.sub(r"(\.\d\d)\d+", r"\1", at[0]), svg
    )
    return re.sub(r"^[ \t]+|[ \t]+$", "", short, flags=re.MULTILINE)


def label(text: str) -> str:
    """Return text that every font has: others would warn, and a warning may be an error."""
    line = "".join(char if " " <= char <= "~" else "?" for char in " ".join(text.split()))
    return line if len(line) <= _MOST_LABEL else f"{line[: _MOST_LABEL - 3]}..."


def _arms(comparison: Comparison) -> tuple[tuple[Arm, str, str, str], ...]:
    """Return both arms with name, colour and marker; a colour never stands alone."""
    name = label(comparison.name)
    return (comparison.baseline, "baseline", BASELINE, "o"), (comparison.experiment, name, EXPERIMENT, "D")


# Loss curves.


def _curve_metric(comparison: Comparison) -> str | None:
    """Return the metric whose curve both arms have with at least two points a run."""

    def is_drawable(metric: str) -> bool:
        return all(
            any(len(_points(run, metric, "step")) > 1 for run in arm)
            for arm in (comparison.baseline, comparison.experiment)
        )

    return next((metric for metric in (comparison.metric, "val_loss") if is_drawable(metric)), None)


def _points(run: RunResult, metric: str, across: str) -> list[tuple[float, float]]:
    """Return the finite points of a curve; `across` is `step` or a value printed in the same line."""
    points = [
        (point.step if across == "step" else point.values.get(across), point.values.get(metric)) for point in run.curve
    ]
    return [(x, y) for x, y in points if x is not None and y is not None]


def _across(comparison: Comparison) -> str:
    """Return what curves are drawn over: tokens if every line of every run has them."""
    runs = [*comparison.baseline, *comparison.experiment]
    every = all(point.values.get("tokens") is not None for run in runs for point in run.curve)
    return "tokens" if every else "step"


def _curves_text(comparison: Comparison) -> tuple[str, str]:
    metric, over = _curve_metric(comparison), _across(comparison)
    alt = f"{metric} over {over} for the seeds of the baseline and of {comparison.name}: the whole run, and its last half."
    return alt, f"{alt} Thin lines are seeds, thick ones an arm's mean; the baseline is dashed."


def _draw_curves(comparison: Comparison, figure: Figure) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    metric = _curve_metric(comparison)
    assert metric is not None  # asked for only where there are curves
    across = _across(comparison)
    whole, late = figure.subplots(1, 2)
    runs = (*comparison.baseline, *comparison.experiment)
    half = max(x for run in runs for x, _ in _points(run, metric, across)) / 2
    most = _POINTS_A_PANEL // (len(runs) + 2)
    for arm, name, colour, _ in _arms(comparison):
        curves = [points for run in arm if len(points := _points(run, metric, across)) > 1]
        dashes = "--" if name == "baseline" else "-"
        for axes, start in ((whole, 0.0), (late, half)):
            for points in curves:
                _draw_line(axes, points, start, most, color=colour, alpha=0.5, linewidth=0.8, linestyle=dashes)
            style = {"color": colour, "linewidth": 1.8, "linestyle": dashes, "label": f"{name} ({len(arm)} seeds)"}
            _draw_line(axes, _mean_curve(curves), start, most, **style)
    for axes, title in ((whole, "whole run"), (late, "last half")):
        axes.set_title(title)
        axes.set_xlabel(across)
        axes.set_ylabel(label(metric))
        axes.grid(visible=True, alpha=0.3, linewidth=0.5)
        if across == "tokens":
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    late.set_xlim(half, 2 * half)
    whole.legend()


def _draw_line(axes: Axes, points: Sequence[tuple[float, float]], start: float, most: int, **style: Any) -> None:
    """Draw the part of a curve from `start` on, at most `most` of its points, the last always among them."""
    shown = [point for point in points if point[0] >= start]
    stride = -(-len(shown) // most) or 1
    thinned = shown[::-stride][::-1]
    axes.plot([x for x, _ in thinned], [y for _, y in thinned], **style)


def _mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return the mean at the positions that every seed has."""
    by_position: list[Mapping[float, float]] = [dict(points) for points in curves]
    common = [x for x, _ in curves[0] if all(x in one for one in by_position)]
    return [(x, sum(one[x] for one in by_position) / len(curves)) for x in common]


# Seeds and their difference.


def _seeds_text(comparison: Comparison) -> tuple[str, str]:
    effect = comparison.effect()
    decimals = places([comparison.baseline[comparison.metric]])
    change = f"{signed(effect.delta, decimals)} ({percent(effect.raw_percent)})"
    alt = f"{comparison.metric} of each seed of the baseline and of {comparison.name}, and the difference: {change}."
    low, high = effect.ci
    interval = "" if low is None else f" with its 95 % interval {signed(low, decimals)} to {signed(high, decimals)}"
    return alt, (
        f"Left: each dot is a run, a line joins the two runs of one seed, bars are means with one standard deviation. "
        f"Right: the difference {change}{interval}; the band is two baseline standard deviations to either side of none."
    )


def _draw_seeds(comparison: Comparison, figure: Figure) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_dots(comparison, left)
    _draw_difference(comparison, right)


def _draw_dots(comparison: Comparison, axes: Axes) -> None:
    arms = _arms(comparison)
    for _, baseline, experiment, _ in comparison.evidence.pairs:
        if baseline is not None and experiment is not None:
            axes.plot((0, 1), (baseline, experiment), color=FAINT, linewidth=0.8, zorder=1)
    for position, (arm, _, colour, marker) in enumerate(arms):
        values = [value for value in arm.values(comparison.metric).values() if value == value]  # noqa: PLR0124  # not NaN
        axes.scatter([position] * len(values), values, color=colour, marker=marker, s=28, zorder=2)
        found = summary(arm, comparison.metric)
        if found is not None:
            beside = position + (0.18 if position else -0.18)
            axes.errorbar(
                beside, found.mean, found.std, color=colour, marker="_", markersize=14, capsize=3, linewidth=1.5
            )
    labels = [f"{name}\nn = {len(arm)}{_diverged(arm, comparison.metric)}" for arm, name, *_ in arms]
    axes.set_xticks((0, 1), labels)
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylabel(label(comparison.metric))
    axes.grid(visible=True, axis="y", alpha=0.3, linewidth=0.5)
    axes.set_title("seeds")


def _diverged(arm: Arm, metric: str) -> str:
    lost = sum(run.metrics.get(metric) is None for run in arm)
    return f", {lost} diverged" if lost else ""


def _draw_difference(comparison: Comparison, axes: Axes) -> None:
    effect, evidence = comparison.effect(), comparison.evidence
    axes.axhspan(-2 * evidence.s_b, 2 * evidence.s_b, color=BASELINE, alpha=0.15, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    pairs = [difference for *_, difference in evidence.pairs if difference is not None]
    axes.scatter([-0.22] * len(pairs), pairs, color=FAINT, s=18, zorder=2)
    if effect.delta is not None:
        low, high = effect.ci
        spread = None if low is None or high is None else [[effect.delta - low], [high - effect.delta]]
        axes.errorbar(0.12, effect.delta, yerr=spread, color=EXPERIMENT, marker="D", capsize=5, linewidth=1.5)
        decimals = places([comparison.baseline[comparison.metric]])
        text = f"{signed(effect.delta, decimals)}\n({number(abs(effect.sigmas or 0), 1)} sigma)"
        axes.annotate(text, (0.12, effect.delta), xytext=(10, 0), textcoords="offset points", va="center")
    axes.set_xlim(-0.5, 0.9)
    axes.set_xticks((-0.22, 0.12), ("pairs", "difference"))
    axes.set_title(f"{'lower' if comparison.lower else 'higher'} is better")
    axes.set_ylabel("experiment - baseline")
    axes.margins(y=0.12)
