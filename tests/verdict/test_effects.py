"""Every metric's effect, and the evidence beside a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.terms.model import SEEDS, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.effects import effects_of, evidence_of, paired_values

BASE = (2.00, 2.02, 1.98, 2.01, 1.99)
BETTER = (1.90, 1.95, 1.86, 1.93, 1.88)
DECLARED = Experiment("x", Variant(("--x",)), metric="acc", directions=(("acc", False),))


def arm(values, seeds=SEEDS, **others):
    """Return an arm whose judged metric is `acc`; None is a diverged seed."""
    runs = [
        RunResult(RunSpec(Variant(), seed), "finished", {"size": 7.0, "acc": value, **others})
        for seed, value in zip(seeds, values, strict=False)
    ]
    return Arm(Variant(), tuple(runs))


def test_metrics_of_one_arm_alone_have_no_effect():
    """The judged one comes first, whatever the trainer returned first."""
    found = effects_of(DECLARED, arm(BASE, loss=1.0), arm(BETTER, other=1.0), paired=False)
    assert list(found) == ["acc", "size"]


def test_pairs_are_compared_where_they_are_asked_for():
    """The same difference of means here, but another interval."""
    arms = arm(BASE), arm(BETTER)
    paired, unpaired = (effects_of(DECLARED, *arms, paired=flag)["acc"] for flag in (True, False))
    assert paired.delta == pytest.approx(unpaired.delta)
    assert paired.p_value == stats.paired(BASE, BETTER).p_value
    assert unpaired.p_value == stats.welch(BASE, BETTER).p_value


def test_a_metric_without_a_direction_is_neither_better_nor_worse():
    """Its difference is told, its improvement is not."""
    found = effects_of(DECLARED, arm(BASE), arm(BETTER), paired=False)
    assert (found["size"].improvement, found["size"].delta) == (None, 0.0)
    assert found["acc"].improvement == pytest.approx(found["acc"].delta)


def test_an_arm_without_a_finite_seed_has_no_figures():
    """Nothing is made up; the metric is still listed."""
    found = effects_of(DECLARED, arm(BASE), arm((None, None, None)), paired=False)["acc"]
    assert (found.delta, found.p_value, found.comparable) == (None, None, True)


def test_diverged_seeds_pair_nothing():
    """Their row is there, with None."""
    arms = arm(BASE), arm((1.9, None, 1.86))
    assert paired_values(*arms, "acc") == ([2.00, 1.98], [1.9, 1.86])
    evidence = evidence_of("acc", *arms, paired=False)
    assert evidence.pairs[1] == (137, 2.02, None, None)
    assert (evidence.rho, evidence.n_experiment) == (None, 3)


def test_sensitivity_is_that_of_the_test():
    """Unpaired by the counts of finite seeds, paired by the spread of the differences."""
    arms = arm(BASE), arm(BETTER)
    unpaired, paired = (evidence_of("acc", *arms, paired=flag) for flag in (False, True))
    assert (unpaired.test, unpaired.mde_sigmas) == ("Welch", stats.minimum_detectable_effect(5, 5))
    spread = stats.describe([after - before for before, after in zip(BASE, BETTER, strict=True)]).std
    expected = stats.minimum_detectable_effect_paired(5, 0.5) * spread / stats.describe(BASE).std
    assert (paired.test, paired.mde_sigmas) == ("paired", pytest.approx(expected))
    assert evidence_of("acc", arm(BASE), arm((1.9, None, None)), paired=True).mde_sigmas is None


def test_times_of_runs_in_turn_are_compared_pair_by_pair():
    """Beside other processes, on a machine that gets slower: a tenth comes out in each pair. Not so where an arm ran after the other."""
    control, slower = (10.0, 12.0, 14.0, 17.0, 20.0), (11.0, 13.2, 15.4, 18.7, 22.0)

    def at(values, minutes):
        found = arm(BASE)
        facts = [
            {"started": f"2026-11-29T10:{minute:02}:00+00:00", "wall_time": 50.0, "other_busy_cores": 4.0}
            for minute in minutes
        ]
        return Arm(
            Variant(),
            tuple(
                replace(run, metrics={**run.metrics, "wall_time": time, "cpu_time": time / 2}, provenance=fact)
                for run, time, fact in zip(found, values, facts, strict=True)
            ),
        )

    turned = effects_of(DECLARED, at(control, range(0, 10, 2)), at(slower, range(1, 11, 2)), paired=False)
    assert (turned["wall_time"].comparable, turned["wall_time"].raw_percent) == (True, pytest.approx(10.0))
    assert turned["cpu_time"].ci_low > 0
    assert turned["acc"].p_value == stats.welch(BASE, BASE).p_value
    after = effects_of(DECLARED, at(control, range(5)), at(slower, range(5, 10)), paired=False)
    assert after["wall_time"].why_not == "up to 4.0 other cores were busy"
    assert after["cpu_time"].ci_low < 0
