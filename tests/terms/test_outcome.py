"""What came out of training: runs, arms, summaries and effects."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.terms.errors import NotComparable, RefusedError
from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, CurvePoint, Effect, RunResult, Summary, Verdict


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10), st.sampled_from([0.0, 1e9]))
def test_summary_agrees_with_exact_arithmetic(values, offset):
    """Mean and standard deviation agree with exact rational arithmetic, at large offsets too."""
    shifted = [value + offset for value in values]
    summary = Summary.of(shifted)
    assert summary.mean == pytest.approx(statistics.fmean(shifted), rel=1e-12, abs=1e-9)
    assert summary.std == pytest.approx(statistics.stdev(shifted), rel=1e-9, abs=1e-9)


def test_summary_of_one_value_has_no_spread():
    """One seed has no standard deviation: undefined, not 0."""
    assert Summary.of([3.0]).std is None


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_summary_refuses(values):
    """Nothing, and what is not finite, cannot be described."""
    with pytest.raises(RefusedError):
        Summary.of(values)


def run(seed: int, **metrics: float | None) -> RunResult:
    """Return a finished run."""
    spec = RunSpec(Variant(("--a",)), seed)
    return RunResult(spec, "finished", metrics, {"note": "x"}, (CurvePoint(1, {"val_loss": None}),), {"host": "h"})


def test_run_result_goes_through_json():
    """What a record holds is what was measured."""
    result = run(42, val_loss=0.1 + 0.2, train_loss=None)
    again = RunResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert again == result


def test_arm_gives_values_by_seed_and_summaries():
    """A diverged value is NaN by seed and left out of the summary; a missing metric is refused by name."""
    arm = Arm(Variant(("--a",)), (run(42, val_loss=1.0), run(137, val_loss=None), run(256, val_loss=3.0)))
    assert list(arm.values("val_loss")) == [42, 137, 256]
    assert math.isnan(arm.values("val_loss")[137])
    assert arm["val_loss"].n == 2
    with pytest.raises(RefusedError, match="seed 42 of --a has no metric 'acc'; it returned: val_loss"):
        arm.values("acc")


def test_effect_that_is_not_comparable_cannot_be_argued_from():
    """Reading the percentage raises with the reason; the raw figure stays readable for reports."""
    effect = Effect("wall_time", raw_percent=3.0, comparable=False, why_not="cpu differs")
    assert effect.raw_percent == 3.0
    with pytest.raises(NotComparable, match="cpu differs"):
        _ = effect.percent


def test_effect_reads_well_in_a_failed_assertion():
    """The repr is a line of figures, without those that are undefined."""
    effect = Effect("cpu_time", delta=1.25, raw_percent=20.3, ci_low=0.5, ci_high=2.0)
    assert repr(effect) == "<Effect on cpu_time: +1.25, percent +20.3, ci (+0.5, +2)>"
    assert repr(Effect("x")) == "<Effect on x: undefined>"


def test_verdicts_are_plain_text():
    """A verdict prints and compares as its word."""
    assert f"{Verdict.WINNER}" == "WINNER"
    assert Verdict("LOSER") is Verdict.LOSER
