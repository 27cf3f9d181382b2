"""Changes that were kept one after the other, each the next baseline: what each gives, and what they give together.

The first looks' gains were picked for being large; those of fresh seeds were not, so they may be added up. Whether that is what all of them
give together is another question: two changes may do the same work. So the total is measured, first baseline against the last one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_exprun.verdict.planning import t_quantile

_ROUNDING = 1e-6
"""Two totals that differ by less than this part of them are one."""
_UPPER = 0.975


@dataclass(frozen=True)
class Gain:
    """An improvement in the metric's unit, positive is better, with its standard error and the degrees of freedom of that."""

    estimate: float
    error: float
    df: float

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Gain | None:
        """Return the gain of a confirmation's values (`estimate`, `ci_low`, `ci_high`, `seeds`); None where a seed diverged.

        Raises:
            KeyError, TypeError, ValueError: they are none.
        """
        if said["estimate"] is None:
            return None
        df = len(said["seeds"]) - 1
        return cls(said["estimate"], (said["ci_high"] - said["ci_low"]) / 2 / t_quantile(_UPPER, df), df)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        reach = t_quantile(_UPPER, self.df) * self.error
        return self.estimate - reach, self.estimate + reach

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        low, high = self.interval
        return {"estimate": self.estimate, "ci_low": low, "ci_high": high}


def added(gains: Sequence[Gain]) -> Gain:
    """Return the sum of independent gains.

    Its standard error is the root of the summed squares, the degrees of freedom are Satterthwaite's (1946): with v = error^2 of each,
    (sum v)^2 / sum(v^2 / df).
    """
    squares = [gain.error**2 for gain in gains]
    whole, parts = sum(squares), sum(v**2 / gain.df for v, gain in zip(squares, gains, strict=True))
    df = whole**2 / parts if parts else min(gain.df for gain in gains)
    return Gain(math.fsum(gain.estimate for gain in gains), math.sqrt(whole), df)


@dataclass(frozen=True)
class Rung:
    """A change that became the baseline.

    Attributes:
        id: what makes it the same rung.
        name: the experiment's.
        what: the change: its flags, the size of its diff, or both.
        time: when, in UTC.
        confirmed: whether fresh seeds confirmed it before.
        claim: what its first look gave, in the metric's unit, and in sigmas of its baseline; None where that was undefined.
        fresh: what fresh seeds gave; None where they were not asked.
        fresh_seeds: how many there were, a side.
        scale: metric, direction and budget.
        keys: of its control and of itself, as folders of runs are called.
        follows: whether it stands on what the rung before it left: nobody changed flags, code or surroundings in between.
    """

    id: str
    name: str
    what: str
    time: str
    confirmed: bool
    claim: tuple[float | None, float | None]
    fresh: Gain | None
    fresh_seeds: int
    scale: tuple[str, bool, str]
    keys: tuple[str, str]
    follows: bool = True

    @classmethod
    def of(cls, line: Mapping[str, Any], before: Rung | None) -> Rung:
        """Return what a line of the ledger says.

        Raises:
            KeyError, TypeError, ValueError: it does not say so much.
        """
        fresh, claim, keys = line["fresh"], line["claim"], (str(line["control_key"]), str(line["key"]))
        return cls(
            id=str(line["id"]),
            name=str(line["name"]),
            what=str(line["what"]),
            time=str(line["time"]),
            confirmed=line["confirmed"] is True,
            claim=(claim["improvement"], claim["sigmas"]),
            fresh=Gain.of(fresh) if fresh else None,
            fresh_seeds=len(fresh["seeds"]) if fresh else 0,
            scale=(str(line["metric"]), bool(line["lower_is_better"]), str(line["budget"])),
            keys=keys,
            follows=before is None or before.keys[1] == keys[0],
        )


@dataclass(frozen=True)
class Total:
    """What all rungs gave together, measured on fresh seeds of the first baseline and of the last one.

    Attributes:
        question: the ledger's id of the measurement.
        time: when, in UTC.
        gain: None where a seed diverged.
        percent: the gain in percent of the first baseline's mean.
        sigmas: the gain in standard deviations of the first baseline.
        seeds: how many there were, a side.
        after: the id of the rung that was the last one then.
        scale: metric, direction and budget.
        keys: of both ends, as folders of runs are called.
        is_one_code: whether the first baseline was trained on the code of then: its flags were all that it was.
    """

    question: str
    time: str
    gain: Gain | None
    percent: float | None
    sigmas: float | None
    seeds: int
    after: str
    scale: tuple[str, bool, str]
    keys: tuple[str, str]
    is_one_code: bool = True

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Total:
        """Return what a line of the ledger says.

        Raises:
            KeyError, TypeError, ValueError: it does not say so much.
        """
        return cls(
            question=str(line["question"]),
            time=str(line["time"]),
            gain=Gain.of(line),
            percent=line["percent"],
            sigmas=line["sigmas"],
            seeds=len(line["seeds"]),
            after=str(line["after"]),
            scale=(str(line["metric"]), bool(line["lower_is_better"]), str(line["budget"])),
            keys=(str(line["control_key"]), str(line["key"])),
            is_one_code=line["control_tree"] is None,
        )


@dataclass(frozen=True)
class Ladder:
    """The rungs in their order, at least one, and the last measurement of the total.

    Attributes:
        is_of_today: whether today's two ends are those that were measured; None if nobody has looked.
    """

    rungs: tuple[Rung, ...]
    total: Total | None = None
    is_of_today: bool | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the total is that of all rungs."""
        total, last = self.total, self.rungs[-1]
        return total is not None and self.is_of_today is not False and total.after == last.id

    @property
    def is_between_its_ends(self) -> bool:
        """Whether the total is of what the first rung was judged on and of what the last one left: nothing else was changed since."""
        ends = self.rungs[0].keys[0], self.rungs[-1].keys[1]
        return self.total is not None and self.is_measured and self.total.keys == ends

    @property
    def sum(self) -> Gain | None:
        """What the rungs add up to, by fresh seeds; None where one was never asked, or they were not judged on one scale."""
        gains = [rung.fresh for rung in self.rungs if rung.fresh is not None]
        is_one_scale = len({rung.scale for rung in self.rungs}) == 1
        return added(gains) if len(gains) == len(self.rungs) and is_one_scale else None

    @property
    def parts(self) -> bool:
        """Whether the sum of the rungs and the measured total differ by more than both intervals allow, at level .05."""
        one, total = self.sum, self.total
        if (
            one is None
            or total is None
            or total.gain is None
            or not self.is_measured
            or total.scale != self.rungs[0].scale
        ):
            return False
        low, high = added([total.gain, Gain(-one.estimate, one.error, one.df)]).interval
        return not low <= 0 <= high and not math.isclose(total.gain.estimate, one.estimate, rel_tol=_ROUNDING)

    @property
    def is_interaction(self) -> bool:
        """Whether sum and total part, and it can be no chance alone: not each rung was judged on what the one before it left.

        Where each was, the rungs are the total cut in pieces, whatever they do to each other.
        """
        return self.parts and not (self.is_between_its_ends and all(rung.follows for rung in self.rungs))
