"""Levels of the next confirmation, given those before: the package's, and those that it was chosen over, from the papers' formulas.

Each takes what a session's earlier confirmations gave, as (p, level, confirmed), and returns a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pytest_exprun.verdict.sessions.spending import Spent, level

ALPHA = 0.05
LAMBDA = 0.5
History = Sequence[tuple[float, float, bool]]
Level = Callable[[History], float]
_LONGEST = 1_100
_J = np.arange(1, _LONGEST)
_LORD = np.concatenate([[0.0], 0.07720838 * np.log(np.maximum(_J, 2)) / (_J * np.exp(np.sqrt(np.log(_J))))])
"""gamma of Javanmard and Montanari (2018), equation 31."""
_SAFFRON = np.concatenate([[0.0], _J**-1.6 / 2.2857656])
"""gamma_j proportional to j^-1.6, over zeta(1.6): Ramdas et al. (2018), section 4."""


def constant(_: History) -> float:
    """Give .05 to each."""
    return ALPHA


def spending(history: History) -> float:
    """Give .05 / (k (k + 1)) to the k-th (alpha spending): all false keeps together have .05."""
    return ALPHA / ((len(history) + 1) * (len(history) + 2))


def fallback(history: History) -> float:
    """Give what the package gives: online fallback (Tian and Ramdas 2021)."""
    return level([Spent(alpha, kept) for _, alpha, kept in history])


def _successes(history: History) -> list[int]:
    return [number for number, (_, _, kept) in enumerate(history, 1) if kept]


def lord(history: History) -> float:
    """LORD++ (Ramdas, Yang, Wainwright and Jordan 2017): false discovery rate .05, initial wealth .025.

    alpha_t = gamma_t w_0 + (alpha - w_0) gamma_(t - tau_1) + alpha sum_(j >= 2) gamma_(t - tau_j), tau_j the time of the j-th success.
    """
    time, times, wealth = len(history) + 1, _successes(history), ALPHA / 2
    first = (ALPHA - wealth) * _LORD[time - times[0]] if times else 0.0
    return float(wealth * _LORD[time] + first + ALPHA * sum(_LORD[time - then] for then in times[1:]))


def saffron(history: History) -> float:
    """SAFFRON (Ramdas, Zrnic, Wainwright and Jordan 2018): false discovery rate .05, lambda .5, initial wealth .0125.

    As LORD++ with (1 - lambda) alpha for alpha, and a time that stands still at candidates, p <= lambda; never above lambda.
    """
    time, wealth, payout = len(history) + 1, ALPHA / 4, (1 - LAMBDA) * ALPHA
    found = 0.0
    for j, then in enumerate([0, *_successes(history)]):
        candidates = sum(p <= LAMBDA for p, _, _ in history[then:])
        found += (wealth, payout - wealth, payout)[min(j, 2)] * _SAFFRON[time - then - candidates]
    return float(min(found, LAMBDA))


LEVELS: dict[str, Level] = {
    ".05 each": constant,
    "spending": spending,
    "online fallback": fallback,
    "LORD++": lord,
    "SAFFRON": saffron,
}
