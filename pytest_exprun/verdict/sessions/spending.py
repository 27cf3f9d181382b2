"""The level of each confirmation in a ledger, and how many fresh seeds it takes there.

However long the ledger grows, the probability that it holds any change without effect as confirmed stays at most .05. Other ways to
bound it were simulated beside this one: docs/decisions/0064.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict.confirmation import LEVEL, MIN_SEEDS
from pytest_exprun.verdict.planning import seeds_needed_paired

SIZE, POWER = 1.5, 0.8
"""A confirmation is as long as it takes to see a true improvement of this many sigmas with this probability, at correlation 0."""
_LEAST = 1e-12
"""The level of the 200,000th confirmation."""


@dataclass(frozen=True)
class Spent:
    """A confirmation that was asked for before: the level that it was given, and what came out.

    One without an outcome (it crashed, was stopped, or is being trained) is not confirmed.
    """

    alpha: float
    confirmed: bool = False


def level(earlier: Sequence[Spent]) -> float:
    """Return the level of the next confirmation: for the k-th .05 / (k (k + 1)), and all of the one before if that was confirmed.

    Online fallback (Tian and Ramdas 2021, Online control of the familywise error rate). The first terms sum to .05. A share stays with a
    change that is not confirmed and wanders on from one that is, so as long as nothing without effect was confirmed, each share was used
    on one such change at most. Each test errs with its level's probability whatever came before, as its seeds are fresh; so all of them
    together err with .05 at most.

    Args:
        earlier: all that were asked for in the ledger before this one, in its order.

    Raises:
        RefusedError: a level outside [1e-12, .05], which no ledger gives.
    """
    for spent in earlier:
        _refuse_level(spent.alpha)
    own = LEVEL / ((len(earlier) + 1) * (len(earlier) + 2))
    return own + (earlier[-1].alpha if earlier and earlier[-1].confirmed else 0.0)


def _refuse_level(alpha: float) -> None:
    if not _LEAST <= alpha <= LEVEL:
        raise RefusedError(f"alpha = {alpha}: allowed is the level of a confirmation, {_LEAST:g} to {LEVEL:g}")


@lru_cache
def seeds_for(alpha: float) -> int:
    """Return how many fresh seeds a side a confirmation at a level takes: 8 at .05, 10 at .025, 27 at the thirtieth without a success.

    The fewest pairs, and at least 5, with which a one-sided paired t test at `alpha` sees a true improvement of 1.5 sigmas four times in
    five without any correlation of the arms; with correlation it sees more.

    Raises:
        RefusedError: alpha outside [1e-12, .05].
    """
    _refuse_level(alpha)
    needed = seeds_needed_paired(SIZE, 0.0, POWER, 2 * alpha)
    assert needed is not None  # 78 are enough at the least level
    return max(needed, MIN_SEEDS)
