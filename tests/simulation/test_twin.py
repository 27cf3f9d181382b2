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
SHORT = [(5, 1, True), (5, 2, True), (5, 2, False), (5, 4, True), (10, 4, True)]
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


def judged_alike(baseline, experiment, many, row, **how):
    """Hold the package's judgement of a row against the twin's; return what both say."""
    one, case = judge(baseline, experiment, **how), (baseline, experiment, how)
    assert CODES[one.verdict] == many.verdict[row], (one, *case)
    assert one.kind == twin.KINDS[many.kind[row]], (one, *case)
    assert (one.look, len(one.seeds)) == (many.look[row], many.seeds[row]), (one, *case)
    if one.p_value is not None:
        assert one.p_value == pytest.approx(many.p_value[row], rel=1e-6, abs=1e-12)
        assert one.improvement == pytest.approx(many.improvement[row], rel=1e-9, abs=1e-9)
    elif one.kind == "stopped":
        assert np.isnan(many.p_value[row])
        assert one.improvement == pytest.approx(many.improvement[row], rel=1e-9, abs=1e-9)
    return one.verdict, one.kind


@pytest.mark.parametrize("rule", ["two_sigma", "tested"])
def test_the_twin_judges_as_the_package_does(rule):
    """10,000 random cases: verdict, kind, look, p and improvement agree, for every plan and option."""
    rng = np.random.default_rng(20240)
    compared, seen = 0, set()
    for block in range(70):
        n_baseline, n_experiment, common = SHAPES[block % len(SHAPES)]
        min_effect, futility = rng.choice([2.0, 2.0, 1.0, 0.5, 0.0]), (0.0, 0.0, 0.5)[rng.integers(3)]
        b, e = random_cases(rng, 75, n_baseline, n_experiment)
        many = twin.judge_many(b, e, rule=rule, min_effect=min_effect, futility=futility, common=common)
        for row in range(len(b)):
            first = 0 if common else 100
            baseline, experiment = dict(enumerate(b[row])), dict(enumerate(e[row], first))
            how = {"rule": rule, "min_effect": min_effect, "futility": futility}
            seen.add(judged_alike(baseline, experiment, many, row, **how))
            compared += 1
    assert compared >= 5000
    assert len(seen) >= 10, "every verdict and kind must occur"


@pytest.mark.parametrize("rule", ["two_sigma", "tested"])
def test_the_twin_stops_as_the_package_does(rule):
    """Random cases judged seed by seed, also where some seeds are not there yet: verdict, kind, seeds and improvement agree."""
    rng = np.random.default_rng(66)
    seen = set()
    for block in range(72):
        n_baseline, n_experiment, common = [*SHAPES, *SHORT][block % (len(SHAPES) + len(SHORT))]
        how = {"rule": rule, "min_effect": (2.0, 3.0, 1.5, 1.0)[block % 4], "futility": "seeds"}
        b, e = random_cases(rng, 60, n_baseline, n_experiment)
        many = twin.judge_many(b, e, common=common, **how)
        for row in range(len(b)):
            arms = dict(enumerate(b[row])), dict(enumerate(e[row], 0 if common else 100))
            seen.add((*judged_alike(*arms, many, row, **how), many.seeds[row]))
    stopped = {(verdict, seeds) for verdict, kind, seeds in seen if kind == "stopped"}
    assert stopped >= {(Verdict.NEUTRAL, seeds) for seeds in (1, 2, 3, 4)}
    assert ((Verdict.LOSER, 1) in stopped) is (rule == "two_sigma")
    assert {(Verdict.LOSER, "diverged", 1), (Verdict.LOSER, "blow-up", 1), (None, None, 1)} <= seen


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
