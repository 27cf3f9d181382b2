"""What runs took: in which unit, whether it may be compared, and how much a second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.terms.model import Budget, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.compute.costs import scaled, speedup_of

ROPE, PLAIN = Variant(("--rope",)), Variant()
SEEDS = (42, 137, 256, 512, 1024)
PLACE = {"cpu": "c", "threads": 1, "torch": "t", "host": "h"}
BUDGET = Budget(1000)


def run(seed, loss, seconds, share=1.0, *, variant=PLAIN, metrics=None, **provenance):
    """Return a run."""
    budget = Budget(int(share * BUDGET.amount), BUDGET.unit)
    values = {"val_loss": loss, "cpu_time": seconds, "wall_time": 2 * seconds} | (metrics or {})
    return RunResult(RunSpec(variant, seed, budget), "finished", values, provenance=PLACE | provenance)


def arms(loss=1.5, seconds=10.0, control=None, experiment=None, seeds=SEEDS):
    """Return the control's arms, 3, 2 and 1 at 5, 10 and 20 seconds, and an experiment's; with more of the runs of each."""
    shares = ((0.5, 3.0), (1.0, 2.0), (2.0, 1.0))
    controls = [
        Arm(PLAIN, tuple(run(seed, at, 10.0 * share, share, **(control or {})) for seed in SEEDS))
        for share, at in shares
    ]
    return controls, Arm(ROPE, tuple(run(seed, loss, seconds, variant=ROPE, **(experiment or {})) for seed in seeds))


def changed(arm, change):
    """Return an arm with something else in each of its runs: fields by a function of the run."""
    return Arm(arm.variant, tuple(replace(each, **change(each)) for each in arm))


def told(*found, **declared):
    """Return the speedup."""
    return speedup_of(Experiment("rope", ROPE, **{"budget": BUDGET, **declared}), *found)


def test_the_budgets():
    """Half, once and twice; whole numbers of the unit."""
    assert scaled(Budget(1001, "steps")) == (Budget(500, "steps"), Budget(1001, "steps"), Budget(2002, "steps"))
    assert scaled(Budget(1))[0] == Budget(1)


def test_cpu_seconds_by_default():
    """At the experiment's own seeds; tokens a second of both arms at these."""
    found = told(*arms(seconds=8.0, seeds=SEEDS[:3]))
    assert (found.unit, len(found.seeds), found.better) == ("CPU seconds", 3, True)
    assert found.factor == pytest.approx(2**0.5 / 0.8)
    assert (found.rates, found.rate_unit) == (pytest.approx((100.0, 125.0)), "tokens per CPU second")


def test_a_metric_of_which_more_is_better():
    """Half a doubling better costs the same whichever way the metric points."""
    controls, _ = arms()
    turned = [
        changed(arm, lambda each: {"metrics": {**each.metrics, "acc": 4 - each.metrics["val_loss"]}})
        for arm in controls
    ]
    better = Arm(ROPE, tuple(run(seed, 0.0, 10.0, variant=ROPE, metrics={"acc": 2.5}) for seed in SEEDS))
    found = told(turned, better, metric="acc")
    assert (found.factor, found.better) == (pytest.approx(2**0.5), True)
    assert found.headline == "1.41 times as fast to the same acc (95 % interval 1.41 to 1.41)"


@pytest.mark.parametrize("used", [{"gpu": "g"}, {}])
def test_gpu_seconds_where_a_gpu_was_used(used):
    """By the provenance, or by what the trainer says of its device; a GPU's second is one of the clock on the wall."""
    controls, experiment = arms(seconds=10.0, control=used, experiment=used)
    if not used:
        *controls, experiment = (
            changed(arm, lambda _: {"notes": {"device": "cuda:0"}}) for arm in (*controls, experiment)
        )
    found = told(controls, experiment)
    assert (found.unit, found.rate_unit) == ("GPU seconds", "tokens per GPU second")
    assert found.rates == pytest.approx((50.0, 50.0))


def test_declared_operations_come_first():
    """They are no clock's: machines may differ; one run without them, and time counts."""
    flops = {"metrics": {"flops": 1e9}}
    controls, experiment = arms(experiment=flops | {"cpu": "d"})
    assert told(controls, experiment).why_not.startswith("times cannot be compared: cpu differs (c and d)")
    controls = [
        changed(arm, lambda each: {"metrics": {**each.metrics, "flops": 1e8 * each.metrics["cpu_time"]}})
        for arm in controls
    ]
    found = told(controls, experiment)
    assert (found.unit, found.factor, found.why_not) == ("FLOPs", pytest.approx(2**0.5), "")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"experiment": {"threads": 2}}, "times cannot be compared: threads differs (1 and 2)"),
        ({"experiment": {"torch": "u"}}, "times cannot be compared: torch differs (t and u)"),
        ({"experiment": {"metrics": {"cpu_time": None}}}, "seed 42 of --rope at 1K tokens has no cpu_time"),
        ({"seeds": (7, 8, 9)}, "the arms have no seed in common"),
        ({"loss": None}, "seed 42 of the experiment diverged"),
    ],
)
def test_what_cannot_be_compared_has_its_reason(given, why):
    """And no number; what may be known of the rates is told all the same."""
    found = told(*arms(**given))
    assert (found.factor, found.why_not) == (None, why)


def test_runs_too_short_for_the_clock():
    """Where the longest of all takes less than a second."""
    controls, experiment = arms(seconds=0.01)
    short = [
        changed(arm, lambda each: {"metrics": {**each.metrics, "cpu_time": each.metrics["cpu_time"] / 100}})
        for arm in controls
    ]
    assert told(short, experiment).why_not == "runs of 0.2 s are too short for the clock, which wants 1 s"


def test_a_crowd_is_a_caution_for_the_cpu_and_a_refusal_for_the_gpu():
    """A busy machine moves the clock on the wall by far more."""
    busy = {"other_busy_cores": 4.0}
    assert told(*arms(experiment=busy)).caution == "up to 4.0 other cores were busy"
    found = told(*arms(control={"gpu": "g"}, experiment={"gpu": "g"} | busy))
    assert found.why_not == "times cannot be compared: up to 4.0 other cores were busy"
    assert found.caution == ""


def test_pairs_in_turn_had_the_same_crowd():
    """Then what ran beside both is no reason; what ran beside the control's other budgets is."""
    controls, experiment = arms()
    starts = {seed: f"2026-11-29T10:{minute:02}" for minute, seed in enumerate(SEEDS)}

    def at(second):
        beside = {**PLACE, "wall_time": 10.0, "other_busy_cores": 4.0}
        return lambda each: {"provenance": {**beside, "started": f"{starts[each.spec.seed]}:{second}+00:00"}}

    turned = changed(controls[1], at("00")), changed(experiment, at("11"))
    assert told([controls[0], turned[0], controls[2]], turned[1]).caution == ""
    crowded = Arm(PLAIN, tuple(run(each.spec.seed, 1.0, 20.0, 2.0, other_busy_cores=2.0) for each in controls[2]))
    assert (
        told([controls[0], turned[0], crowded], turned[1]).caution
        == "up to 2.0 other cores were busy at the control's other budgets"
    )


def test_rates_of_a_budget_in_seconds():
    """By what the runs count; nothing where they do not."""
    seconds = Budget(1000, "seconds")
    assert told(*arms(), budget=seconds).rates is None
    counted = {"metrics": {"train_tokens": 500.0}}
    assert told(*arms(control=counted, experiment=counted), budget=seconds).rates == pytest.approx((50.0, 50.0))
