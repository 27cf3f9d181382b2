"""Effective speedup: the compute with which the control reaches the experiment's loss, over the compute that the experiment took.

At equal tokens a change may win by computing more. What counts then is how much compute the same loss costs without it (Hernandez and
Brown 2020, Measuring the Algorithmic Efficiency of Neural Networks), read off full schedules of other lengths and never off the middle of
one run, where a schedule has not yet cooled down (Wen, Hall, Ma and Liang 2025, Fantastic Pretraining Optimizers and Where to Find Them).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

SHARES = (0.5, 1.0, 2.0)
"""The control's budgets, in parts of the experiment's."""
AT_LEAST, AT_MOST = "at least", "at most"
LEVEL = 0.95


class Point(NamedTuple):
    """What one run gave: its loss (lower is better here, whatever the metric) and the compute it took, in any unit."""

    loss: float
    compute: float


class SeedSpeedup(NamedTuple):
    """One seed's speedup; with a bound, what the measured range shows of it: `at least` or `at most`."""

    seed: int
    factor: float
    bound: str = ""


@dataclass(frozen=True)
class Speedup:
    """How many times as fast an experiment gets to a loss. Where nothing can be said, `factor` is None and `why_not` has the reason.

    Attributes:
        factor: geometric mean over the seeds; with a `bound` the end of the interval on that side.
        low: lower end of the 95 % interval; None with a bound, or at a single seed.
        high: upper end.
        bound: `at least` where at some seed the control does not get there with twice the budget, `at most` where at some seed it is
            there before half of it, else empty.
        seeds: of each seed.
        unit: what compute is counted in: `CPU seconds`, `GPU seconds`, `FLOPs`.
        rates: tokens or steps a second of the control and of the experiment; None where nobody counted.
        rate_unit: `tokens per CPU second`.
        better: whether the experiment's mean is better at the same budget.
        metric: the judged metric.
        why_not: why there is no speedup; empty if there is one.
        caution: what may have disturbed the times that it stands on; empty if nothing is known.
    """

    factor: float | None = None
    low: float | None = None
    high: float | None = None
    bound: str = ""
    seeds: tuple[SeedSpeedup, ...] = ()
    unit: str = ""
    rates: tuple[float, float] | None = None
    rate_unit: str = ""
    better: bool = False
    metric: str = "val_loss"
    why_not: str = ""
    caution: str = ""

    @property
    def headline(self) -> str:
        """The answer in one line."""
        what = "loss" if "loss" in self.metric else self.metric
        if self.factor is None:
            return f"no speedup can be told: {self.why_not}"
        if self.bound:
            beyond = [str(each.seed) for each in self.seeds if each.bound]
            rest = (
                "does not get there with twice the budget" if self.bound == AT_LEAST else "is there before half of it"
            )
            where = f"at seed{'s' if beyond[1:] else ''} {', '.join(beyond)} the control {rest}"
            return f"{self.bound} {shown(self.factor)} times as fast to the same {what}: {where}"
        interval = "" if self.low is None else f" (95 % interval {shown(self.low)} to {shown(self.high)})"
        return f"{shown(self.factor)} times as fast to the same {what}{interval}"

    @property
    def only_computes_more(self) -> bool:
        """Whether it is better at equal tokens, and slower to the same loss beyond the interval."""
        return self.better and self._slower

    @property
    def _slower(self) -> bool:
        if self.factor is None or self.bound == AT_LEAST or self._of_one_seed:
            return False
        return (self.factor if self.high is None else self.high) < 1

    @property
    def _of_one_seed(self) -> bool:
        """Whether nobody knows how much of it is luck."""
        return len(self.seeds) == 1

    @property
    def reading(self) -> str:
        """What that means, in a plain sentence; empty where there is no speedup."""
        if self.factor is None:
            return ""
        if self._of_one_seed:
            return "One seed does not tell how much of that is luck."
        if self._slower:
            more = "Better at equal tokens only by computing more: with that much compute the control is better."
            return more if self.better else "The control gets there with less compute."
        if self.bound != AT_MOST and (self.factor if self.low is None else self.low) > 1:
            return "It gets there with less compute than the control."
        open_ = "Better at equal tokens; that it is more than more compute is not shown."
        return open_ if self.better and self.factor < 1 else "Neither faster nor slower is shown."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, no NaN among them; `headline` and `reading` are for readers."""
        return {**asdict(self), "seeds": [each._asdict() for each in self.seeds], **self._told()}

    def _told(self) -> dict[str, Any]:
        rates = list(self.rates) if self.rates else None
        return {"rates": rates, "headline": self.headline, "reading": self.reading}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Speedup:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError or TypeError, unknown keys are passed over."""
        values = {name: data[name] for name in cls.__dataclass_fields__}
        values["seeds"] = tuple(SeedSpeedup(**each) for each in data["seeds"])
        values["rates"] = tuple(data["rates"]) if data["rates"] else None
        return cls(**values)


def shown(factor: float | None) -> str:
    """Return a factor to two decimals, a small one to two digits."""
    assert factor is not None
    return f"{factor:.2f}" if factor >= 0.1 else f"{factor:.2g}"  # noqa: PLR2004  # .01 has one digit


def speedup(control: Mapping[int, Sequence[Point]], experiment: Mapping[int, Point]) -> Speedup:
    """Return the effective speedup over the experiment's seeds.

    Of each seed, the control's loss is taken as linear in the logarithm of its compute between neighbouring budgets (the local form of
    a power law), the compute at which it reaches the experiment's loss is read off, and divided by what the experiment took. Over seeds:
    the geometric mean, with the t interval of the mean logarithm (df = n - 1), as no ratio is normal but its logarithm may be.

    Nothing is extrapolated: beyond the measured range a seed counts as the end of the range. The mean of the logarithms is then too low
    (too high, at the other end), so that only the interval's lower (upper) end says something of the truth: `at least`, `at most`. The mean
    itself would not do: a seed leaves the range by luck as well.

    Args:
        control: seed -> the control's points at half, once and twice the budget.
        experiment: seed -> the experiment's point at the budget; its seeds must be the control's.
    """
    found: list[SeedSpeedup] = []
    for seed, point in experiment.items():
        if why := _why_no_curve(seed, control[seed], point):
            return Speedup(why_not=why)
        compute, bound = _reaches(control[seed], point.loss)
        found.append(SeedSpeedup(seed, compute / point.compute, bound))
    bounds = {each.bound for each in found} - {""}
    if len(bounds) > 1:
        return Speedup(
            seeds=tuple(found), why_not="some seeds are beyond twice the control's budget, and others before half of it"
        )
    mean, reach = _mean_and_reach([math.log(each.factor) for each in found])
    bound = next(iter(bounds), "")
    if bound or reach is None:
        limit = {AT_LEAST: -1, AT_MOST: 1, "": 0}[bound] * (reach or 0.0)
        return Speedup(math.exp(mean + limit), bound=bound, seeds=tuple(found))
    return Speedup(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), seeds=tuple(found))


def _why_no_curve(seed: int, points: Sequence[Point], reached: Point) -> str:
    """Return why nothing can be read off a seed's points; empty if it can."""
    if not math.isfinite(reached.loss):
        return f"seed {seed} of the experiment diverged"
    if not all(math.isfinite(point.loss) for point in points):
        return f"seed {seed} of the control diverged at another budget"
    if not all(point.compute > 0 for point in (*points, reached)):
        return f"a run of seed {seed} took no compute that could be measured"
    for less, more in pairwise(points):
        if more.compute <= less.compute:
            return f"at seed {seed} the control's longer run took no more compute than the shorter one"
        if more.loss >= less.loss and not _bound(points, reached.loss):
            return f"at seed {seed} the control is no better after twice the training: the noise is as large as what training gives"
    return ""


def _reaches(points: Sequence[Point], loss: float) -> tuple[float, str]:
    """Return the compute at which points reach a loss; beyond all of them the nearest end of the range, and the bound."""
    if bound := _bound(points, loss):
        return points[-1 if bound == AT_LEAST else 0].compute, bound
    less, more = next(pair for pair in pairwise(points) if loss >= pair[1].loss)
    share = (less.loss - loss) / (less.loss - more.loss)
    return less.compute * (more.compute / less.compute) ** share, ""


def _bound(points: Sequence[Point], loss: float) -> str:
    """Return on which side of all the points a loss lies, if on any: then they need not fall."""
    losses = [point.loss for point in points]
    return AT_LEAST if loss < min(losses) else AT_MOST if loss > max(losses) else ""


def _mean_and_reach(logarithms: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and half of its 95 % t interval; None for a single value."""
    n = len(logarithms)
    mean = math.fsum(logarithms) / n
    if n == 1:
        return mean, None
    from scipy.special import stdtrit

    spread = math.sqrt(math.fsum((each - mean) ** 2 for each in logarithms) / (n - 1))
    return mean, float(stdtrit(n - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(n)
