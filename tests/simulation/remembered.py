"""A rule explored beside `tested`: noise remembered from the arms that are stored. Prints the table of docs/decisions/0068.

python tests/simulation/remembered.py

Variances are moderated (Smyth 2004, Linear models and empirical Bayes methods): an arm's own is averaged with its history's pooled one,
which counts like PRIOR degrees of freedom. A guard keeps an experiment's own variance where it is too large to be of that history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from draws import noise
from scipy.special import fdtrc
from twin import Bools, Floats, _Test

TRIALS = 60_000
ARMS = 10
"""Experiments that the history has, three seeds each."""
LEVELS = {3: 0.0096, 5: 0.0196}
PRIOR = 6.0
"""Degrees of freedom that the history counts for: what it is worth where sigmas vary by log-sd .3."""
LARGEST, ALWAYS_OWN = "never downward", "own"
GUARDS: dict[str, str | float] = {
    "tested": ALWAYS_OWN,
    "never downward": LARGEST,
    "guard .2": 0.2,
    "guard .4": 0.4,
    "no guard": 0.0,
}
"""Which variance an experiment gets: its own, the larger one, or its own if an F test at this level finds it too large."""
SETTINGS: dict[str, tuple[str, float, float]] = {
    "alike": ("normal", 0.0, 1.0),
    "sigmas vary, log-sd .3": ("normal", 0.3, 1.0),
    "twice the noise": ("normal", 0.0, 2.0),
    "heavy tails": ("heavy tails", 0.0, 1.0),
}
"""Name -> shape of the seeds, spread of the arms' log sigmas, and how noisy the experiment is."""


@dataclass(frozen=True)
class Session:
    """One comparison a row: baseline, experiment and the history's arms, all at the same seeds."""

    baseline: Floats
    experiment: Floats
    history: Floats


def session(seed: int, setting: str, rho: float, effect: float) -> Session:
    """Draw baselines (rows, 5), experiments (rows, 5) that are better by `effect` sigmas, and histories (rows, ARMS, 3)."""
    rng, (shape, spread, noisy) = np.random.default_rng(seed), SETTINGS[setting]
    sigma = np.exp(rng.normal(0.0, spread, (TRIALS, ARMS + 2)))
    shared, own = np.sqrt(rho), np.sqrt(1 - rho)
    common = noise(rng, (TRIALS, 5), shape)
    baseline, experiment = ((shared * common + own * noise(rng, (TRIALS, 5), shape)) * sigma[:, [at]] for at in (0, 1))
    experiment = experiment + np.sqrt(noisy**2 - 1) * noise(rng, (TRIALS, 5), shape) * sigma[:, [1]]
    history = (shared * common[:, None, :3] + own * noise(rng, (TRIALS, ARMS, 3), shape)) * sigma[:, 2:, None]
    return Session(baseline, experiment - effect, history)


def winners(drawn: Session, guard: str | float) -> Bools:
    """Rows that are WINNER at a bar of one sigma."""
    b, remembers = drawn.baseline, guard != ALWAYS_OWN
    v_b, v_h = b.var(axis=1, ddof=1), drawn.history.var(axis=2, ddof=1)
    pooled = (2 * v_h.sum(axis=1) + 4 * v_b) / (2 * ARMS + 4)
    of_pairs = (b[:, None, :3] - drawn.history).var(axis=2, ddof=1).mean(axis=1)
    base, df_b = _moderated(v_b, 4.0, pooled) if remembers else (v_b, np.full(TRIALS, 4.0))
    found = decided = np.zeros(TRIALS, dtype=bool)
    for n, level in LEVELS.items():
        e = drawn.experiment[:, :n]
        better = b.mean(axis=1) - e.mean(axis=1)
        if n == 3:
            v_e, df_e = _guarded(e.var(axis=1, ddof=1), 2.0, pooled, guard)
            parts = base / 5, v_e / 3
            df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / df_b + parts[1] ** 2 / df_e)
            test = _Test(better, np.sqrt(parts[0] + parts[1]), df)
        else:
            v_d, df = _guarded((b - e).var(axis=1, ddof=1), 4.0, of_pairs, guard)
            test = _Test(better, np.sqrt(v_d / 5), df)
        shown = (test.p_for(better) <= level) & (np.abs(better) >= np.sqrt(base))
        found, decided = found | (shown & ~decided & (better > 0)), decided | shown
    return found


def _moderated(own: Floats, df: float, pooled: Floats) -> tuple[Floats, Floats]:
    return (PRIOR * pooled + df * own) / (PRIOR + df), np.full(len(own), PRIOR + df)


def _guarded(own: Floats, df: float, pooled: Floats, guard: str | float) -> tuple[Floats, Floats]:
    """An experiment's variance and its degrees of freedom."""
    moderated, more = _moderated(own, df, pooled)
    if guard == ALWAYS_OWN:
        keep = np.ones(len(own), dtype=bool)
    elif guard == LARGEST:
        keep = own > moderated
    else:
        keep = fdtrc(df, PRIOR + 2.0 * ARMS, own / pooled) < float(guard)
    return np.where(keep, own, moderated), np.where(keep, df, more)


def rows() -> Iterator[str]:
    """One line a variant and correlation: false WINNERs in each setting, power at two sigmas where arms are alike and where they vary."""
    for name, guard in GUARDS.items():
        for rho in (0.0, 0.5, 0.9):
            false = [winners(session(1, setting, rho, 0.0), guard).mean() for setting in SETTINGS]
            power = [winners(session(2, setting, rho, 2.0), guard).mean() for setting in list(SETTINGS)[:2]]
            cells = [name, f"{rho:g}", *(f"{100 * share:.1f} %" for share in (*false, *power))]
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    print(f"| variant | rho | {' | '.join(SETTINGS)} | power, alike | power, sigmas vary |")
    print("| --- | --- " + "| --- " * (len(SETTINGS) + 2) + "|")
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
