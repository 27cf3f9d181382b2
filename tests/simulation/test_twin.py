"""The simulation's vectorised twin judges as the package does."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.noninferiority import judge_non_inferior
from pytest_exprun.verdict.rules import judge

sys.path.insert(0, str(Path(__file__).parent))
import twin

CODES = {Verdict.WINNER: 1, Verdict.NEUTRAL: 0, Verdict.LOSER: -1, None: twin.UNDECIDED}
SHAPES = [(5, 5, True), (5, 5, True), (5, 5, False), (5, 3, True), (5, 4, True), (10, 5, True), (10, 8, False)]


def random_cases(rng, rows, n_baseline, n_experiment):
    """Arms of every kind: related and not, shifted, coarse (ties), diverged, blown up, identical."""
    baseline = rng.standard_normal((rows, n_baseline))
    rho, shift = rng.choice([0, 0.5, 0.9, 0.999], (rows, 1)), rng.choice([0, 0, 0.3, -1, 1.5, -2, 2, 3, -4], (rows, 1))
    spread = rng.choice([1, 1, 1, 2, 0.05], (rows, 1))
    own = rng.standard_normal((rows, n_experiment))
    experiment = rho * baseline[:, :n_experiment] + np.sqrt(1 - rho**2) * spread * own + shift
    coarse = rng.random((rows, 1)) < 0.3
    baseline, experiment = (np.where(coarse, np.round(4 * arm) / 4, arm) for arm in (baseline, experiment))
    offset = rng.choice([0.0, 3.28, -120.0], (rows, 1))
    baseline, experiment = baseline + offset, experiment + offset
    experiment[rng.random(rows) < 0.05] = baseline[0, 0]
    same = rng.random(rows) < 0.04
    experiment[same] = baseline[same, :n_experiment]
    experiment[rng.random(experiment.shape) < 0.01] = np.nan
    experiment[rng.random(experiment.shape) < 0.005] = -np.inf
    experiment[rng.random(experiment.shape) < 0.02] += 30
    keep = baseline.std(axis=1, ddof=1) > 1e-9
    return baseline[keep], experiment[keep]


@pytest.mark.parametrize("rule", ["two_sigma", "tested"])
def test_the_twin_judges_as_the_package_does(rule):
    """10,000 random cases: verdict, kind, look, p and improvement agree, for every plan and option."""
    rng = np.random.default_rng(20240)
    compared, seen = 0, set()
    for block in range(70):
        n_baseline, n_experiment, common = SHAPES[block % len(SHAPES)]
        min_effect, futility = rng.choice([2.0, 2.0, 1.0, 0.5, 0.0]), rng.choice([0.0, 0.0, 0.5])
        b, e = random_cases(rng, 75, n_baseline, n_experiment)
        many = twin.judge_many(b, e, rule=rule, min_effect=min_effect, futility=futility, common=common)
        for row in range(len(b)):
            first = 0 if common else 100
            baseline, experiment = dict(enumerate(b[row])), dict(enumerate(e[row], first))
            one = judge(baseline, experiment, rule=rule, min_effect=min_effect, futility=futility)
            assert CODES[one.verdict] == many.verdict[row], (baseline, experiment, one, min_effect, futility)
            assert one.kind == twin.KINDS[many.kind[row]], (baseline, experiment, one, min_effect, futility)
            assert one.look == many.look[row]
            if one.p_value is not None:
                assert one.p_value == pytest.approx(many.p_value[row], rel=1e-6, abs=1e-12)
                assert one.improvement == pytest.approx(many.improvement[row], rel=1e-9, abs=1e-9)
            compared += 1
            seen.add((one.verdict, one.kind))
    assert compared >= 5000
    assert len(seen) >= 10, "every verdict and kind must occur"


def test_the_twin_of_the_gate_judges_as_the_package_does():
    """Random arms, wild seeds among them: the same experiments pass."""
    rng = np.random.default_rng(7)
    b, e = rng.standard_normal((400, 5)), rng.standard_normal((400, 5)) + rng.choice([0.0, 1.0, 2.0], (400, 1))
    e[rng.random(e.shape) < 0.02] += 60
    thresholds = (
        stats.non_inferiority(b[0], e[0][:3], alpha=0.010).threshold,
        stats.non_inferiority(b[0], e[0], alpha=0.042).threshold,
    )
    passed = twin.gate_many(b, e, thresholds)
    ours = [judge_non_inferior(dict(enumerate(x)), dict(enumerate(y))).passed for x, y in zip(b, e, strict=True)]
    assert passed.tolist() == ours
    assert 50 < passed.sum() < 350
