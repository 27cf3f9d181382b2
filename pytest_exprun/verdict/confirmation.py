"""A WINNER once more, on seeds that nobody has used: is it confirmed, and how large is it really?

The first look's difference was picked for being large, and its baseline for being calm. Fresh seeds of both arms know of neither, so
their test is valid whatever was selected before, and their estimate is the one to quote. Why the test is paired: docs/decisions/0064.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict import samples
from pytest_exprun.verdict.looks import checked_arms, p_text
from pytest_exprun.verdict.planning import t_quantile

LEVEL = 0.05
"""One-sided level of a confirmation that stands alone; in a ledger `sessions.spending.level` gives it."""
MIN_SEEDS = 5
"""Fresh seeds a side that a confirmation needs at least."""
_OF_ALL_SEEDS = ("p_value", "estimate", "ci_low", "ci_high", "percent", "sigmas")
_FINE_LEVEL = 1e-3
"""Below this a p value is printed in full beside its level: `< .0001` would not say on which side of it it lies."""


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds say of a WINNER. Differences are improvements, positive is better; what is undefined is None, never NaN.

    Attributes:
        confirmed: whether p_value <= alpha; False where an experiment seed diverged.
        reason: one sentence with the numbers.
        seeds: the fresh seeds, the same in both arms.
        alpha: one-sided level that it was judged at.
        p_value: one-sided p of the paired t test in favour of an improvement; None where a seed diverged, as all that follows.
        estimate: mean improvement in the metric's unit.
        ci_low: lower end of the estimate's 95 % interval.
        ci_high: upper end.
        percent: the estimate in percent of the control's mean; None where that is 0.
        sigmas: the estimate in standard deviations of the fresh control.
        control_mean: mean of the fresh control.
        sigma: standard deviation (ddof = 1) of the fresh control; the first look's baseline is a calm one by selection.
        diverged: experiment seeds with a non-finite metric.
    """

    confirmed: bool
    reason: str
    seeds: tuple[int, ...]
    alpha: float
    p_value: float | None
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    percent: float | None
    sigmas: float | None
    control_mean: float
    sigma: float
    diverged: tuple[int, ...] = ()

    @property
    def word(self) -> str:
        """The word that stands beside the verdict."""
        return "CONFIRMED" if self.confirmed else "NOT CONFIRMED"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, no NaN among them."""
        return {**asdict(self), "seeds": list(self.seeds), "diverged": list(self.diverged)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Confirmation:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError or TypeError, unknown keys are passed over."""
        values = {field.name: data[field.name] for field in fields(cls)}
        return cls(**values | {name: tuple(data[name]) for name in ("seeds", "diverged")})


def confirm(
    control: Mapping[int, float],
    experiment: Mapping[int, float],
    *,
    lower_is_better: bool = True,
    alpha: float = LEVEL,
) -> Confirmation:
    """Judge a WINNER on fresh seeds, once, by the one-sided paired t test.

    t = mean(improvement) / (sd(improvement) / sqrt(n)), df = n - 1 (Student 1908): valid at every correlation of the arms at the same
    seed, and for a change that makes the noise another one. The interval is the two-sided one of the same test.

    Args:
        control: fresh seed -> value of the control.
        experiment: the same seeds -> value of the experiment; a value that is not finite is a diverged run.
        lower_is_better: whether a lower metric is better.
        alpha: one-sided level, between 0 and 1.

    Raises:
        RefusedError: fewer than 5 seeds, seeds that only one arm has, a control seed that diverged, a control without variance, a value
            that is no real number, or an alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise RefusedError(f"alpha = {alpha}: allowed is a number between 0 and 1, both excluded")
    c, e = checked_arms(control, experiment, lower_is_better=lower_is_better)
    _refuse_unpaired(c, e)
    noise = samples.describe(c.values())
    assert noise.std is not None  # checked_arms made sure of several values
    mean = -noise.mean if lower_is_better else noise.mean
    given: dict[str, Any] = {"seeds": tuple(c), "alpha": float(alpha), "control_mean": mean, "sigma": noise.std}
    diverged = tuple(seed for seed in c if not math.isfinite(e[seed]))
    if diverged:
        reason = f"{len(diverged)} of {len(c)} fresh seeds diverged ({', '.join(map(str, diverged))})"
        nothing: dict[str, Any] = dict.fromkeys(_OF_ALL_SEEDS)
        return Confirmation(confirmed=False, reason=reason, diverged=diverged, **given, **nothing)
    estimate, low, high, p_value = _paired([e[seed] - c[seed] for seed in c])
    sigmas = estimate / noise.std
    return Confirmation(
        confirmed=p_value <= alpha,
        reason=_reason(sigmas, len(c), p_value, alpha),
        p_value=p_value,
        estimate=estimate,
        ci_low=low,
        ci_high=high,
        percent=100 * estimate / abs(mean) if mean else None,
        sigmas=sigmas,
        **given,
    )


def _refuse_unpaired(control: Mapping[int, float], experiment: Mapping[int, float]) -> None:
    """Refuse arms that do not have the same seeds, or too few of them."""
    alone = sorted(control.keys() ^ experiment.keys())
    if alone:
        raise RefusedError(
            f"fresh seed {', '.join(map(str, alone))} is in one arm only: a confirmation compares both arms on the same seeds"
        )
    if len(control) < MIN_SEEDS:
        raise RefusedError(f"{len(control)} fresh seeds: a confirmation needs at least {MIN_SEEDS}")


def _paired(improvements: list[float]) -> tuple[float, float, float, float]:
    """Return the mean, its 95 % interval and the one-sided p in favour of an improvement."""
    from scipy.special import stdtr

    found = samples.describe(improvements)
    assert found.std is not None
    if found.std == 0:  # the limit of an infinite t, as in a look
        return found.mean, found.mean, found.mean, 0.5 if found.mean == 0 else float(found.mean < 0)
    error, df = found.std / math.sqrt(found.n), found.n - 1
    reach = t_quantile(0.975, df) * error
    return found.mean, found.mean - reach, found.mean + reach, float(stdtr(df, -found.mean / error))


def _reason(sigmas: float, n: int, p_value: float, alpha: float) -> str:
    word = "improved" if sigmas > 0 else "worse" if sigmas < 0 else "changed"
    level = f"{alpha:.2g}".removeprefix("0")
    p = p_text(p_value) if alpha >= _FINE_LEVEL else f"= {f'{p_value:.2g}'.removeprefix('0')}"
    return f"{word} by {abs(sigmas):.2f} sigmas on {n} fresh pairs of seeds, paired p {p} (level {level})"
