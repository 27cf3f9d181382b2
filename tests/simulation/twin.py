"""A vectorised twin of the rules, for simulation: one row a comparison, columns are seeds, lower is better.

Written from the protocol, not from the package: the two are tested equal. Column i of both arms is the same seed where `common`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
UNDECIDED = 9
KINDS = (
    None,
    "identical",
    "real but small",
    "suggestive",
    "equivalent",
    "inconclusive",
    "diverged",
    "blow-up",
    "stopped",
)
FIRST_LOOK = 3
CUTS = {2.0: (-0.65, 0.3, 0.8, 1.1), 1.0: (-0.5, 0.15, 0.4, 0.55)}
HOPELESS = 4.0


@dataclass
class Judged:
    """One entry a comparison: verdict 1, 0, -1 or UNDECIDED; kind is an index into KINDS; seeds is how many it was judged on.

    The rest is as in the package's Judgement.
    """

    verdict: NDArray[np.int8]
    kind: NDArray[np.int8]
    look: NDArray[np.int8]
    improvement: Floats
    p_value: Floats
    s_b: Floats
    seeds: Floats

    @property
    def winner(self) -> Bools:
        """Rows that are WINNER."""
        return self.verdict == 1

    @property
    def loser(self) -> Bools:
        """Rows that are LOSER."""
        return self.verdict == -1


@dataclass
class _Test:
    """A t test of the improvement, row by row."""

    estimate: Floats
    error: Floats
    df: Floats | float

    def p_for(self, direction: Floats) -> Floats:
        """One-sided p in favour of a change with the sign of `direction`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.error == 0, np.sign(self.estimate) * np.inf, self.estimate / self.error)
        p = stdtr(self.df, -t * np.sign(direction))
        # stdtr has no answer at minus infinity.
        p = np.where(t * np.sign(direction) == np.inf, 0.0, p)
        return np.where(direction == 0, 0.5, p)


def welch(baseline: Floats, experiment: Floats) -> _Test:
    """Unequal variances, improvement = baseline minus experiment."""
    n_b, n_e = baseline.shape[1], experiment.shape[1]
    v_b, v_e = baseline.var(axis=1, ddof=1) / n_b, experiment.var(axis=1, ddof=1) / n_e
    df = (v_b + v_e) ** 2 / (v_b**2 / (n_b - 1) + v_e**2 / (n_e - 1))
    return _Test(baseline.mean(axis=1) - experiment.mean(axis=1), np.sqrt(v_b + v_e), df)


def paired(baseline: Floats, experiment: Floats) -> _Test:
    """Over the experiment's columns, each the baseline's of the same index."""
    pairs = baseline[:, : experiment.shape[1]] - experiment
    error = pairs.std(axis=1, ddof=1) / np.sqrt(pairs.shape[1])
    # Equal differences leave rounding dust in numpy's standard deviation.
    error = np.where(np.ptp(pairs, axis=1) == 0, 0.0, error)
    return _Test(pairs.mean(axis=1), error, float(pairs.shape[1] - 1))


def levels(n_baseline: int, n_experiment: int, *, common: bool) -> tuple[float, float]:
    """One-sided levels of both looks."""
    if (n_baseline, n_experiment) != (5, 5):
        return 0.0125, 0.0125
    return 0.0096, 0.0196 if common else 0.0125


def judge_many(
    baseline: Floats,
    experiment: Floats,
    *,
    rule: str,
    min_effect: float = 2.0,
    futility: float | str = 0.0,
    common: bool = True,
    kinds: bool = True,
    cuts: tuple[float, ...] = (),
) -> Judged:
    """Judge every row. An experiment of three columns awaits a plan of five.

    Args:
        baseline: (rows, seeds).
        experiment: (rows, seeds), at least three; one with futility "seeds".
        rule: `two_sigma` or `tested`.
        min_effect: bar of `tested`.
        futility: a number, of `tested`; or "seeds".
        common: whether the arms share their seeds.
        kinds: False leaves out the kinds of NEUTRAL, which no rate needs.
        cuts: of futility "seeds", in place of `CUTS`.
    """
    bar, seed_by_seed = 2.0 if rule == "two_sigma" else min_effect, futility == "seeds"
    if seed_by_seed and not cuts:
        cuts = next(cuts for least, cuts in CUTS.items() if bar >= least)
    terms = _Terms(rule, bar, 0.0 if isinstance(futility, str) else futility, common, kinds, cuts)
    rows, total = experiment.shape
    planned = 5 if total == FIRST_LOOK or (seed_by_seed and total < FIRST_LOOK + 2) else total
    alphas = levels(baseline.shape[1], planned, common=common)
    result = Judged(*(np.zeros(rows, np.int8) for _ in range(3)), *(np.full(rows, np.nan) for _ in range(4)))
    result.s_b = baseline.std(axis=1, ddof=1)
    result.verdict[:] = UNDECIDED
    open_rows = np.arange(rows)
    for count in range(1, total + 1) if seed_by_seed else sorted({FIRST_LOOK, total}):
        number = 1 if count <= FIRST_LOOK else 2
        b, e, s_b = baseline[open_rows], experiment[open_rows, :count], result.s_b[open_rows]
        if count in {FIRST_LOOK, planned}:
            seen = _look(b, e, s_b, terms, alpha=alphas[number - 1], last_alpha=alphas[1], is_last=count == planned)
        else:
            seen = _between(b, e, s_b, terms)
        for field in ("verdict", "kind", "improvement", "p_value"):
            getattr(result, field)[open_rows] = getattr(seen, field)
        result.look[open_rows], result.seeds[open_rows] = number, count
        open_rows = open_rows[seen.verdict == UNDECIDED]
    return result


@dataclass
class _Terms:
    rule: str
    bar: float
    futility: float
    common: bool
    kinds: bool
    cuts: tuple[float, ...] = ()


def _look(
    b: Floats, e: Floats, s_b: Floats, terms: _Terms, *, alpha: float, last_alpha: float, is_last: bool
) -> Judged:
    """One look at all rows; later checks are overwritten by those that come first in the protocol's order."""
    diverged = ~np.isfinite(e).all(axis=1)
    safe = np.where(np.isfinite(e), e, 0.0)
    test = paired(b, safe) if terms.common and e.shape[1] > FIRST_LOOK else welch(b, safe)
    d = test.estimate if terms.rule == "tested" else b.mean(axis=1) - safe.mean(axis=1)
    p = test.p_for(d)
    dust = _dust(b, safe, s_b)
    hit = ((terms.rule == "two_sigma") | (p <= alpha)) & (np.abs(d) >= terms.bar * s_b - dust)
    verdict = np.where(hit, np.sign(d), 0 if is_last else UNDECIDED)
    if terms.rule == "tested" and terms.futility and not is_last:
        verdict = np.where(~hit & (np.abs(d) < terms.futility * s_b - dust), 0, verdict)
    kind, stopped = np.zeros(len(b)), np.zeros(len(b), bool)
    if terms.cuts and not is_last:
        verdict, stopped, means = _stop(b, safe, s_b, verdict, terms)
        d = np.where(stopped, means, d)
    if terms.kinds:
        kind = np.where(verdict == 0, _kinds_of_neutral(b, safe, s_b, d, terms, alpha=last_alpha), 0)
    kind = np.where(stopped, KINDS.index("stopped"), kind)
    blown, same = _blown_up(b, safe, s_b), (b[:, : e.shape[1]] == e).all(axis=1) & terms.common
    for rows, code, name in ((blown, -1, "blow-up"), (same, 0, "identical"), (diverged, -1, "diverged")):
        verdict, kind = np.where(rows, code, verdict), np.where(rows, KINDS.index(name), kind)
    p = np.where(diverged | (kind == KINDS.index("stopped")), np.nan, p)
    return _judged(verdict, kind, d, p, s_b)


def _between(b: Floats, e: Floats, s_b: Floats, terms: _Terms) -> Judged:
    """Between looks: what diverged, blew up or is not worth another seed; what equals the baseline so far goes on."""
    diverged = ~np.isfinite(e).all(axis=1)
    safe = np.where(np.isfinite(e), e, 0.0)
    undecided = np.full(len(b), float(UNDECIDED))
    verdict, stopped, d = _stop(b, safe, s_b, undecided, terms)
    kind = np.where(stopped, KINDS.index("stopped"), 0)
    same = (b[:, : e.shape[1]] == e).all(axis=1) & terms.common
    for rows, code, name in (
        (_blown_up(b, safe, s_b), -1, "blow-up"),
        (same, UNDECIDED, None),
        (diverged, -1, "diverged"),
    ):
        verdict, kind = np.where(rows, code, verdict), np.where(rows, KINDS.index(name), kind)
    return _judged(verdict, kind, d, np.full(len(b), np.nan), s_b)


def _stop(b: Floats, e: Floats, s_b: Floats, verdict: Floats, terms: _Terms) -> tuple[Floats, Bools, Floats]:
    """Stop what is undecided and below the cut of so many seeds; return the verdicts, which ones, and the improvement of the mean."""
    d, dust = b.mean(axis=1) - e.mean(axis=1), _dust(b, e, s_b)
    cut = terms.cuts[min(e.shape[1], len(terms.cuts)) - 1]
    stopped = (verdict == UNDECIDED) & (d < cut * s_b - dust)
    hopeless = np.where((terms.rule == "two_sigma") & (d <= -HOPELESS * s_b + dust), -1.0, 0.0)
    return np.where(stopped, hopeless, verdict), stopped, d


def _blown_up(b: Floats, e: Floats, s_b: Floats) -> Bools:
    return (e - b.mean(axis=1)[:, None]).max(axis=1) > 20 * s_b + _dust(b, e, s_b)


def _judged(verdict: Floats, kind: Floats, d: Floats, p: Floats, s_b: Floats) -> Judged:
    return Judged(
        verdict.astype(np.int8), kind.astype(np.int8), np.zeros(len(s_b), np.int8), d, p, s_b, np.zeros(len(s_b))
    )


def _dust(b: Floats, e: Floats, s_b: Floats) -> Floats:
    """How far rounding of the values may move a comparison with the bar."""
    largest = np.maximum(np.abs(b).max(axis=1), np.abs(e).max(axis=1))
    return np.minimum(4 * np.finfo(float).eps * largest, 1e-6 * s_b)


def _kinds_of_neutral(b: Floats, e: Floats, s_b: Floats, d: Floats, terms: _Terms, *, alpha: float) -> NDArray[np.int8]:
    test, dust = paired(b, e) if terms.common else welch(b, e), _dust(b, e, s_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = (np.abs(test.estimate) - 2 * s_b) / test.error
    inside = np.where(test.error == 0, np.abs(test.estimate) < 2 * s_b, stdtr(test.df, excess) <= 0.05)
    small = (test.p_for(d) <= alpha) & (np.abs(d) < terms.bar * s_b - dust)
    names = ("real but small", "suggestive", "equivalent")
    chosen = np.select(
        [small, np.abs(d) >= s_b - dust, inside], [KINDS.index(n) for n in names], KINDS.index("inconclusive")
    )
    return chosen.astype(np.int8)


def gate_many(baseline: Floats, experiment: Floats, thresholds: tuple[float, float]) -> NDArray[np.bool_]:
    """Judge the two-look gate `non_inferior` on rows of five and five seeds: pass below either look's threshold, blow-ups fail."""
    passed, failed = np.zeros(len(baseline), bool), np.zeros(len(baseline), bool)
    s_b, mean_b = baseline.std(axis=1, ddof=1), baseline.mean(axis=1)
    for count, threshold in zip((FIRST_LOOK, experiment.shape[1]), thresholds, strict=True):
        t = harm_statistic(baseline, experiment[:, :count])
        failed |= ~passed & ((experiment[:, :count].max(axis=1) - mean_b) > 20 * s_b)
        passed |= ~failed & (t < threshold)
    return passed


def harm_statistic(baseline: Floats, experiment: Floats) -> Floats:
    """Student's t of the harm, pooled by degrees of freedom."""
    n_b, n_e = baseline.shape[1], experiment.shape[1]
    pooled = ((n_b - 1) * baseline.var(axis=1, ddof=1) + (n_e - 1) * experiment.var(axis=1, ddof=1)) / (n_b + n_e - 2)
    return (experiment.mean(axis=1) - baseline.mean(axis=1)) / np.sqrt(pooled * (1 / n_b + 1 / n_e))
