"""How often the interval of an effective speedup covers the truth: python tests/simulation/speedups.py [TRIALS] prints the docs' table.

The control's mean loss falls by `gain` sigma with the doubling around its budget, each doubling bringing `bend` of what the one before
brought (1: a straight line in the logarithm; .8: a power law). Seeds are normal, those of one seed correlated over all its runs; the
clock scatters by `clock` of a run. The truth is the compute at which the control's mean curve reaches the experiment's mean.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import scipy.stats

NORMAL = "normal"


@dataclass(frozen=True)
class Case:
    """One situation, in sigmas of a seed and parts of a doubling."""

    speedup: float = 1.3
    gain: float = 10.0
    bend: float = 0.8
    rho: float = 0.0
    clock: float = 0.02
    n: int = 5
    cost: float = 1.0

    def loss(self, doublings: np.ndarray | float) -> np.ndarray | float:
        """Return the control's mean loss after so many doublings of its budget."""
        if self.bend == 1:
            return -self.gain * np.asarray(doublings)
        # The doubling from -1/2 to 1/2 brings `gain`.
        scale = self.gain / (self.bend**-0.5 - self.bind)
        return scale * self.bend ** np.asarray(doublings)

    @property
    def bind(self) -> float:
        """What is left of a loss half a doubling later."""
        return self.bend**0.5


def draw(rng: np.random.Generator, case: Case, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Return losses and compute, each trials x seeds x (half, once, twice, experiment)."""
    reached = np.log2(case.speedup * case.cost)
    mean = np.append(case.loss(np.array([-1.0, 0.0, 1.0])), case.loss(reached))
    shared = np.sqrt(case.rho) * rng.standard_normal((trials, case.n, 1))
    own = np.sqrt(1 - case.rho) * rng.standard_normal((trials, case.n, 4))
    took = np.array([0.5, 1.0, 2.0, case.cost])
    return mean + shared + own, took * np.exp(case.clock * rng.standard_normal((trials, case.n, 4)))


@dataclass(frozen=True)
class Told:
    """What is told in each trial: whether a number with an interval, and whether that covers; or a bound, and whether it is true."""

    number: np.ndarray
    covers: np.ndarray
    mean: np.ndarray
    bound: np.ndarray
    is_true: np.ndarray


def tell(loss: np.ndarray, compute: np.ndarray, truth: float) -> Told:
    """Do what `verdict.compute.speedup` does, in many trials at once."""
    half, once, twice, reached = np.moveaxis(loss, 2, 0)
    log = np.log(compute)
    control = loss[:, :, :3]
    over, under = reached < control.min(axis=2), reached > control.max(axis=2)
    rises = np.all(np.diff(log[:, :, :3], axis=2) > 0, axis=2)
    falls = (rises & (((half > once) & (once > twice)) | over | under)).all(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = log[:, :, 0] + (half - reached) / (half - once) * (log[:, :, 1] - log[:, :, 0])
        second = log[:, :, 1] + (once - reached) / (once - twice) * (log[:, :, 2] - log[:, :, 1])
    at = np.where(reached >= once, first, second)
    at = np.where(under, log[:, :, 0], np.where(over, log[:, :, 2], at))
    factor = at - log[:, :, 3]
    above, below = over.any(axis=1), under.any(axis=1)
    n = loss.shape[1]
    mean, reach = factor.mean(axis=1), scipy.stats.t.ppf(0.975, n - 1) * factor.std(axis=1, ddof=1) / np.sqrt(n)
    number = falls & ~above & ~below
    bound = falls & (above ^ below)
    is_true = np.where(above, mean - reach <= np.log(truth), mean + reach >= np.log(truth))
    return Told(number, np.abs(mean - np.log(truth)) <= reach, mean, bound, is_true)


CASES = {
    "a doubling brings 20 sigma": Case(gain=20),
    "10 sigma": Case(),
    "10 sigma, correlation .9": Case(rho=0.9),
    "10 sigma, a straight line": Case(bend=1.0),
    "10 sigma, no speedup": Case(speedup=1.0),
    "10 sigma, 1.8 times": Case(speedup=1.8),
    "10 sigma, .7 times": Case(speedup=0.7),
    "10 sigma, the clock scatters by a tenth": Case(clock=0.1),
    "10 sigma, three seeds": Case(n=3),
    "5 sigma": Case(gain=5),
    "5 sigma, correlation .9": Case(gain=5, rho=0.9),
    "3 sigma": Case(gain=3),
    "3 sigma, correlation .9": Case(gain=3, rho=0.9),
}


def row(name: str, case: Case, trials: int, seed: int = 20_260) -> tuple[str, ...]:
    """Return a line of the table: how often a number is told, its coverage and bias, how often a bound, and how often that is true."""
    loss, compute = draw(np.random.default_rng([seed, list(CASES).index(name)]), case, trials)
    told = tell(loss, compute, case.speedup)
    coverage = f"{100 * told.covers[told.number].mean():.1f} %" if told.number.any() else ""
    bias = (
        f"{100 * np.expm1(np.median(told.mean[told.number]) - np.log(case.speedup)):+.1f} %"
        if told.number.any()
        else ""
    )
    true = f"{100 * told.is_true[told.bound].mean():.0f} %" if told.bound.mean() >= 0.005 else ""
    return name, f"{100 * told.number.mean():.0f} %", coverage, bias, f"{100 * told.bound.mean():.0f} %", true


def main() -> None:
    """Print the table."""
    trials = int(sys.argv[1]) if sys.argv[1:] else 200_000
    for name, case in CASES.items():
        print(f"| {' | '.join(row(name, case, trials))} |", flush=True)


if __name__ == "__main__":
    main()
