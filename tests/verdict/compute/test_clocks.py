"""Which clock the arms are on, and whether their times may be compared."""

from __future__ import annotations

import pytest

from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.compute.clocks import CROWDED, why_times_are_noise, why_times_differ_in_kind, with_one_clock

OURS = {"cpu": "c", "threads": 1, "torch": "t", "wall_time": 9.0, "cpu_time": 8.0}


def run(seed: int, metrics=None, **provenance) -> RunResult:
    """Return a run with the plugin's clocks and what the trainer measured."""
    return RunResult(
        RunSpec(Variant(), seed), "finished", {"val_loss": 1.0, **(metrics or {})}, provenance=OURS | provenance
    )


def test_the_trainers_clock_counts_where_every_run_has_it():
    """One run without it, in either arm, puts all runs on the plugin's; each clock is chosen for itself."""
    whole = Arm(Variant(), tuple(run(seed, {"wall_time": 2.0, "cpu_time": 1.0}) for seed in (42, 137)))
    assert with_one_clock(whole) == (whole,)
    partly = Arm(Variant(), (run(42, {"wall_time": 2.0, "cpu_time": 1.0}), run(137, {"cpu_time": 1.0})))
    for arm in with_one_clock(whole, partly):
        assert [(each.metrics["wall_time"], each.metrics["cpu_time"]) for each in arm] == [(9.0, 1.0)] * 2


def test_a_run_that_nobody_clocked_has_no_time():
    """A record of another tool may hold neither."""
    bare = Arm(Variant(), (RunResult(RunSpec(Variant(), 42), "finished", {"val_loss": 1.0}),))
    assert with_one_clock(bare)[0].runs[0].metrics == {"val_loss": 1.0}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({}, ""),
        ({"cpu": "d"}, "cpu differs (c and d)"),
        ({"threads": 2}, "threads differs (1 and 2)"),
        ({"torch": "u"}, "torch differs (t and u)"),
        ({"concurrency": 2}, "runs of this study trained beside each other"),
        ({"other_busy_cores": CROWDED}, ""),
        ({"other_busy_cores": 1.5}, "up to 1.5 other cores were busy"),
        ({"other_busy_cores": None}, ""),
    ],
)
def test_times_are_compared_under_like_conditions_only(other, why):
    """The reason names what differs."""
    assert why_times_differ_in_kind([run(42), run(137, **other)]) == why


def test_on_a_gpu_the_gpu_counts_and_not_the_processor():
    """The model of the processor that fed it says little."""
    assert why_times_differ_in_kind([run(42, gpu="g"), run(137, gpu="g", cpu="d")]) == ""
    assert why_times_differ_in_kind([run(42, gpu="g"), run(137)]) == "gpu differs (g and None)"


@pytest.mark.parametrize(
    ("baseline", "experiment", "why"),
    [
        ((0.003, 0.004, 0.0035), (0.005, 0.0046), "runs of 0.0048 s are too short for the clock, which wants 1 s"),
        ((0.9, 0.9, 0.9), (0.95, 0.95), "runs of 0.95 s are too short for the clock, which wants 1 s"),
        ((0.2, 0.2, 0.2), (2.0, 2.0), ""),
        ((10.0, 10.1, 9.9), (13.2, 13.3), ""),
        ((10.0, 10.1, 9.9), (10.0, 10.0), ""),
        (
            (8.0, 14.0, 9.0, 6.0, 13.0),
            (13.0, 13.0, 13.4),
            "the baseline's own wall times spread by 34 %, from which the difference does not stand out",
        ),
        ((8.0, 14.0, 9.0, 6.0, 13.0), (30.0, 30.0, 30.0), ""),
        ((10.0,), (13.0,), ""),
    ],
)
def test_a_difference_that_the_clock_cannot_tell_is_no_finding(baseline, experiment, why):
    """Short runs, and a difference within what equal runs differ by; a precise clock may say that nothing changed."""
    assert why_times_are_noise(baseline, experiment) == why
