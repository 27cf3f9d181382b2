"""The looks of a sequential comparison: which seeds each stands on, at which level, and the figures a rule needs of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import FIRST_LOOK, SEEDS
from pytest_exprun.verdict import samples

MIN_BASELINE_SEEDS = 5
BLOW_UP = 20.0
"""A seed worse than the baseline's mean by more than this many baseline sigmas is a LOSER whatever the mean says."""
TestName = Literal["Welch", "paired"]


@dataclass(frozen=True)
class Levels:
    """One-sided levels of the looks.

    Attributes:
        standard: of both looks in the plan 5 + 3 -> 5.
        unpaired: of its last look where the arms do not share all seeds.
        half: of each look in any other plan.
        single: of a single look.
    """

    standard: tuple[float, float]
    unpaired: float
    half: float
    single: float


RULE_LEVELS = Levels(standard=(0.0096, 0.0196), unpaired=0.0125, half=0.0125, single=0.025)
"""The standard ones, the second of them paired, spend .025 together: found by simulation. The halves are Bonferroni's."""
GATE_LEVELS = Levels(standard=(0.010, 0.042), unpaired=0.042, half=0.025, single=0.05)


@dataclass(frozen=True)
class Look:
    """One look at the data. Values are negated where lower is better, so that here more is always better.

    `alpha` is this look's level and `last_alpha` the last look's; `s_b` is the standard deviation of the whole baseline. A look that
    `is_between` comes before or between those of the plan: nothing is tested there, it is only asked whether more seeds are worth it.
    """

    number: int
    alpha: float
    last_alpha: float
    is_last: bool
    baseline: Mapping[int, float]
    experiment: Mapping[int, float]
    s_b: float
    is_between: bool = False

    @cached_property
    def diverged(self) -> tuple[int, ...]:
        """Seeds whose value is not finite."""
        return tuple(seed for seed, value in self.experiment.items() if not math.isfinite(value))

    @cached_property
    def common(self) -> tuple[int, ...]:
        """Seeds that the baseline has too."""
        return tuple(seed for seed in self.experiment if seed in self.baseline)

    @cached_property
    def is_identical(self) -> bool:
        """Whether every common seed gave exactly the baseline's value."""
        return bool(self.common) and all(self.experiment[seed] == self.baseline[seed] for seed in self.common)

    @property
    def is_paired(self) -> bool:
        """Three pairs are too few for pairing to earn its lost degrees of freedom."""
        return len(self.experiment) > FIRST_LOOK and len(self.common) > 1 and not self.is_between

    @property
    def test(self) -> TestName:
        """The test of this look."""
        return "paired" if self.is_paired else "Welch"

    @property
    def why_diverged(self) -> str:
        """How many seeds diverged, and which; empty where none did."""
        count, names = len(self.diverged), ", ".join(map(str, self.diverged))
        return f"{count} of {len(self.experiment)} seeds diverged ({names})" if count else ""

    @property
    def why_blown_up(self) -> str:
        """The worst seed beyond the limit; empty where there is none."""
        seed = min(self.experiment, key=self.experiment.__getitem__)
        harm = samples.mean_difference([self.experiment[seed]], list(self.baseline.values())) / self.s_b
        if harm <= BLOW_UP + self.rounding / self.s_b:
            return ""
        return f"seed {seed} is worse than the baseline's mean by {harm:.1f} baseline sigmas (limit: {BLOW_UP:g})"

    @cached_property
    def difference(self) -> float:
        """Difference of means."""
        return samples.mean_difference(self.baseline.values(), self.experiment.values())

    @cached_property
    def paired_difference(self) -> float:
        """Mean difference over the common seeds."""
        return samples.describe([self.experiment[seed] - self.baseline[seed] for seed in self.common]).mean

    @cached_property
    def rounding(self) -> float:
        """How far rounding of the values themselves may move a comparison with a multiple of s_b; a vanishing part of s_b at most."""
        largest = max(map(abs, [*self.baseline.values(), *self.experiment.values()]))
        return min(4 * sys.float_info.epsilon * largest, 1e-6 * self.s_b)

    def reaches(self, improvement: float, sigmas: float) -> bool:
        """Whether |improvement| is at least `sigmas` baseline sigmas; a tie within rounding counts, as the exact tie does."""
        return abs(improvement) >= sigmas * self.s_b - self.rounding

    def one_sided_p(self, direction: float) -> float:
        """P value of this look's test in favour of a change with the sign of `direction`."""
        return self.paired_p(direction) if self.is_paired else self._welch.one_sided(direction)

    def paired_p(self, direction: float) -> float:
        """P value over the common seeds; Welch's where there are no pairs."""
        if len(self.common) < 2:  # noqa: PLR2004
            return self._welch.one_sided(direction)
        if self._pairs_agree:
            return 0.5 if direction == 0 else float((self.paired_difference > 0) != (direction > 0))
        return self._paired.one_sided(direction)

    def test_text(self, direction: float) -> str:
        """Return the test's p beside its level: `Welch p = .0024 (level .0096)`."""
        return f"{self.test} p {p_text(self.one_sided_p(direction))} (level {f'{self.alpha:g}'.removeprefix('0')})"

    def equivalence_p(self, margin: float) -> float:
        """P value of "the change is smaller than `margin`", paired where there are pairs."""
        if len(self.common) < 2:  # noqa: PLR2004
            return samples.tost_welch(self.baseline.values(), self.experiment.values(), margin)
        if self._pairs_agree:
            return float(abs(self.paired_difference) >= margin)
        return samples.tost_paired(*self._pairs, margin)

    @cached_property
    def _welch(self) -> samples.TestResult:
        return samples.welch(self.baseline.values(), self.experiment.values())

    @cached_property
    def _paired(self) -> samples.TestResult:
        return samples.paired(*self._pairs)

    @cached_property
    def _pairs(self) -> tuple[list[float], list[float]]:
        return [self.baseline[seed] for seed in self.common], [self.experiment[seed] for seed in self.common]

    @cached_property
    def _pairs_agree(self) -> bool:
        """Whether all paired differences are the same number: the limit of an infinite t."""
        return samples.describe([after - before for before, after in zip(*self._pairs, strict=True)]).std == 0

    def of_finite_seeds(self) -> Look | None:
        """The same look at its finite seeds only; None where no seed is finite."""
        if not self.diverged:
            return self
        finite = {seed: value for seed, value in self.experiment.items() if math.isfinite(value)}
        return replace(self, experiment=finite) if finite else None


def checked_arms(
    baseline: Mapping[int, float], experiment: Mapping[int, float], *, lower_is_better: bool, least: int = FIRST_LOOK
) -> tuple[dict[int, float], dict[int, float]]:
    """Refuse what allows no verdict; return both arms with more being better. The experiment needs `least` seeds.

    Raises:
        RefusedError: no mapping, no real number, too few seeds, a diverged baseline seed, or a baseline without variance.
    """
    if not isinstance(lower_is_better, bool):
        raise RefusedError(f"lower_is_better = {lower_is_better!r}: allowed is True or False")
    sign = -1.0 if lower_is_better else 1.0
    b, e = _arm(baseline, "baseline", sign), _arm(experiment, "experiment", sign)
    for name, arm, enough in (("baseline", b, MIN_BASELINE_SEEDS), ("experiment", e, least)):
        if len(arm) < enough:
            raise RefusedError(f"the {name} has {len(arm)} seeds: a verdict needs at least {enough}, train the others")
    broken = [str(seed) for seed, value in b.items() if not math.isfinite(value)]
    if broken:
        raise RefusedError(
            f"baseline seed {', '.join(broken)} diverged: nothing can be compared with it, choose a stable baseline"
        )
    if not samples.describe(b.values()).std:
        raise RefusedError(
            f"all {len(b)} baseline seeds gave the same value, s_b = 0: does the seed reach the trainer?"
        )
    return b, e


def _arm(values: Mapping[int, float], name: str, sign: float) -> dict[int, float]:
    if not isinstance(values, Mapping):
        raise RefusedError(f"the {name} is a {type(values).__name__}: allowed is a mapping from seed to value")
    return {
        seed: sign * (value if type(value) is float else samples.real_number(value, f"{name} seed {seed}"))
        for seed, value in values.items()
    }


def plan_looks(
    baseline: Mapping[int, float],
    experiment: Mapping[int, float],
    plan: Sequence[int] | None,
    levels: Levels,
    looks: int,
    *,
    seed_by_seed: bool = False,
) -> tuple[list[Look], tuple[int, ...]]:
    """Return the looks that the data allow, first to last, and the seeds that a look beyond them needs: the next one if `seed_by_seed`.

    Raises:
        RefusedError: `looks` is neither 1 nor 2.
    """
    if looks not in (1, 2):
        raise RefusedError(f"looks = {looks!r}: allowed is 1 or 2")
    may_go_on = seed_by_seed or (len(experiment) == FIRST_LOOK and looks == 2)  # noqa: PLR2004
    missing = _missing(baseline, experiment, plan) if may_go_on else ()
    total = len(experiment) + len(missing)
    s_b = samples.describe(baseline.values()).std
    assert s_b is not None  # checked_arms refused single seeds

    if looks == 1 or total == FIRST_LOOK:
        first = last = levels.single
    else:
        first, last = _pair_of_levels(baseline, [*experiment, *missing], levels)

    def look(count: int) -> Look:
        seen = dict(list(experiment.items())[:count])
        is_first = count <= FIRST_LOOK or looks == 1
        alpha, is_between = first if is_first else last, count not in due
        return Look(1 if is_first else 2, alpha, last, count == total, baseline, seen, s_b, is_between)

    due = {total} if looks == 1 else {FIRST_LOOK, total}
    counts = range(1, total + 1) if seed_by_seed else sorted(due)
    return [look(count) for count in counts if count <= len(experiment)], missing[: 1 if seed_by_seed else None]


def _missing(
    baseline: Mapping[int, float], experiment: Mapping[int, float], plan: Sequence[int] | None
) -> tuple[int, ...]:
    """Seeds of the plan not trained yet; without a plan the baseline's, up to five in all."""
    further = tuple(seed for seed in (baseline if plan is None else plan) if seed not in experiment)
    return further if plan is not None else further[: max(0, len(SEEDS) - len(experiment))]


def _pair_of_levels(baseline: Mapping[int, float], seeds: Sequence[int], levels: Levels) -> tuple[float, float]:
    """Levels of both looks. The standard ones were found for five baseline and five experiment seeds."""
    if not len(baseline) == len(seeds) == len(SEEDS):
        return levels.half, levels.half
    first, last = levels.standard
    return first, (last if all(seed in baseline for seed in seeds) else levels.unpaired)


def p_text(p_value: float) -> str:
    """Print a p value as the reports do: `= .0043`, `= .11`, `< .0001`."""
    if p_value < 1e-4:  # noqa: PLR2004
        return "< .0001"
    return f"= {f'{p_value:.2g}'.removeprefix('0')}"
