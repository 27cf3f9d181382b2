"""The nouns: identities, names, argument lists, summaries, JSON both ways."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.terms.errors import NotComparable, RefusedError
from pytest_exprun.terms.model import (
    RESERVED,
    Budget,
    Experiment,
    RunSpec,
    Variant,
    baseline_seeds,
    lower_is_better,
    slugify,
)
from pytest_exprun.terms.outcome import Arm, CurvePoint, Effect, RunResult, Summary, Verdict


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (("--a", "--b"), ("--b", "--a"), True),
        (("--lr-scale=2",), ("--lr_scale=2",), True),
        (("--a", "1", "--b"), ("--b", "--a", "1"), True),
        (("--x=1", "--x=2"), ("--x=2", "--x=1"), False),
        (("--rope", "--no_rope"), ("--no_rope", "--rope"), False),
        (("--a",), ("--b",), False),
        (("--a=x-y",), ("--a=x_y",), False),
        ((), (), True),
    ],
)
def test_identity_of_a_variant(one, two, same):
    """Order and dashes do not matter, except between settings of the same option, where the last one wins."""
    assert (Variant(one).identity == Variant(two).identity) is same


def test_argv_is_the_protocols():
    """The plugin's options, common arguments, the flags as written, the output directory."""
    spec = RunSpec(Variant(("--rope", "--base", "5")), 42, Budget(20_000), ("--size", "nano"))
    assert spec.argv("out") == (
        ["--train_tokens", "20000", "--seed", "42", "--size", "nano", "--rope", "--base", "5", "--output_dir", "out"]
    )


@pytest.mark.parametrize("unit", ["tokens", "steps", "seconds"])
def test_the_budgets_option_is_named_after_its_unit(unit):
    """A number of steps must never be taken for a number of tokens; nobody else may set the option."""
    assert RunSpec(Variant(), 42, Budget(300, unit)).argv("out")[:2] == [f"--train_{unit}", "300"]
    assert f"train_{unit}" in RESERVED


@pytest.mark.parametrize(
    ("tokens", "suffix", "standard"),
    [
        (1_000_000, "1M", True),
        (8_000_000, "8M", False),
        (20_000, "20K", False),
        (1_500_000, "1500K", False),
        (123, "123", False),
    ],
)
def test_budget_suffix(tokens, suffix, standard):
    """Whole millions, whole thousands, else digits; one budget is the standard scale."""
    assert Budget(tokens).suffix == suffix
    assert Budget(tokens).is_standard is standard


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Rope!", "rope"),
        ("lr_scale=0.5", "lr_scale-0.5"),
        ("../x", "x"),
        ("é", ""),
        ("a" * 99, "a" * 64),
        ("CON", "con"),
    ],
)
def test_slugify(text, slug):
    """Lower case, nothing that could leave a folder, at most 64 characters."""
    assert slugify(text) == slug


def test_further_baseline_seeds_are_documented_doublings():
    """The first five are the protocol's; each further one is the double of the one before."""
    assert baseline_seeds(8) == (42, 137, 256, 512, 1024, 2048, 4096, 8192)
    assert len(set(baseline_seeds(40))) == 40


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


@pytest.mark.parametrize(
    ("metric", "declared", "lower"),
    [
        ("val_loss", {}, True),
        ("wall_time", {}, True),
        ("val_bpb", {}, True),
        ("top1_acc", {}, False),
        ("tokens_per_second", {}, False),
        ("sentiment", {}, None),
        ("accuracy_loss", {}, None),
        ("val_loss", {"val_loss": False}, False),
        ("score", {"score": True}, True),
    ],
)
def test_direction_of_a_metric(metric, declared, lower):
    """Known words decide, a declaration overrides them, anything else is unknown."""
    assert lower_is_better(metric, declared) is lower


def run(seed: int, **metrics: float | None) -> RunResult:
    """Return a finished run."""
    spec = RunSpec(Variant(("--a",)), seed)
    return RunResult(spec, "finished", metrics, {"note": "x"}, (CurvePoint(1, {"val_loss": None}),), {"host": "h"})


def test_run_result_goes_through_json():
    """What a record holds is what was measured."""
    result = run(42, val_loss=0.1 + 0.2, train_loss=None)
    again = RunResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert again == result


def test_declaration_goes_through_json():
    """An xdist message and a report hold the whole declaration."""
    declaration = Experiment(
        "a", Variant(("--b", "--a")), Variant(("--b",)), directions=(("score", False),), nodeids=("x",)
    )
    again = Experiment.from_json(json.loads(json.dumps(declaration.to_json())))
    assert again == declaration
    assert again.change == ("--a",)
    assert again.comparison_id == declaration.comparison_id


def test_comparison_id_is_the_question():
    """Name, gate and test do not change the question; control, metric, rule and budget do."""
    one = Experiment("a", Variant(("--x", "--y")))
    assert one.comparison_id == Experiment("b", Variant(("--y", "--x")), gate="winner", nodeids=("n",)).comparison_id
    for other in (
        Experiment("a", Variant(("--x", "--y")), Variant(("--x",))),
        Experiment("a", Variant(("--x", "--y")), metric="wall_time"),
        Experiment("a", Variant(("--x", "--y")), rule="tested"),
        Experiment("a", Variant(("--x", "--y")), budget=Budget(1)),
    ):
        assert other.comparison_id != one.comparison_id


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
