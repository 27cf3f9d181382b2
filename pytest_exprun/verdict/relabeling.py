"""How often chance alone gives a verdict: runs of one arm, relabelled at random as baseline and experiment, and judged.

All of them were trained alike, so every verdict is a false one. The rate scatters widely from one set of ten seeds to the next.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import FIRST_LOOK, SEEDS, Verdict

MOST = 2_000
Split = tuple[tuple[int, ...], tuple[int, ...]]
"""Positions of the runs that play the baseline, and of those that play the experiment, in the order of its looks."""
Judge = Callable[[dict[int, float], dict[int, float]], Verdict]


@dataclass(frozen=True)
class Relabelings:
    """What came out of `count` splits; `complete` if these are all there are."""

    count: int
    complete: bool
    winners: int
    losers: int

    @property
    def rate(self) -> float:
        """Share of the splits that gave a WINNER or a LOSER."""
        return (self.winners + self.losers) / self.count


def relabel(values: Sequence[float], n_baseline: int, judge: Judge, most: int = MOST) -> Relabelings:
    """Judge all splits of the values, or `most` random ones (the same in every session).

    Args:
        values: one a run, finite; at least `n_baseline` + 3.
        n_baseline: how many of them play the baseline; of the others up to five play the experiment, the first three of them its
            first look.
        judge: (baseline, experiment) -> verdict, both by position, in the order of the looks.
        most: how many splits are judged at most.

    Raises:
        RefusedError: too few values.
    """
    n_experiment = min(len(SEEDS), len(values) - n_baseline)
    if n_experiment < FIRST_LOOK:
        raise RefusedError(f"{len(values)} runs cannot be relabelled: {n_baseline + FIRST_LOOK} are needed")
    total = count_splits(len(values), n_baseline, n_experiment)
    splits = (
        _all_splits(len(values), n_baseline, n_experiment)
        if total <= most
        else _random_splits(len(values), n_baseline, n_experiment, most)
    )
    verdicts = [judge({at: values[at] for at in b}, {at: values[at] for at in e}) for b, e in splits]
    return Relabelings(len(verdicts), total <= most, verdicts.count(Verdict.WINNER), verdicts.count(Verdict.LOSER))


def count_splits(n: int, n_baseline: int, n_experiment: int) -> int:
    """Return how many splits there are: within a look the order of the seeds does not matter."""
    rest = n - n_baseline
    later = n_experiment - FIRST_LOOK
    return math.comb(n, n_baseline) * math.comb(rest, FIRST_LOOK) * math.comb(rest - FIRST_LOOK, later)


def _all_splits(n: int, n_baseline: int, n_experiment: int) -> Iterator[Split]:
    everything = range(n)
    for baseline in itertools.combinations(everything, n_baseline):
        rest = [at for at in everything if at not in baseline]
        for first in itertools.combinations(rest, FIRST_LOOK):
            left = [at for at in rest if at not in first]
            for later in itertools.combinations(left, n_experiment - FIRST_LOOK):
                yield baseline, (*first, *later)


def _random_splits(n: int, n_baseline: int, n_experiment: int, count: int) -> Iterator[Split]:
    draw = random.Random(0)  # noqa: S311  # the same splits every time, so that the answer is too
    for _ in range(count):
        order = draw.sample(range(n), n_baseline + n_experiment)
        yield tuple(order[:n_baseline]), tuple(order[n_baseline:])
