"""Which clock the arms are on, and whether their times may be compared."""

from __future__ import annotations

import pytest

from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.compute.clocks import (
    CROWDED,
    SLOW,
    are_in_turn,
    why_times_are_noise,
    why_times_differ_in_kind,
    why_too_slow,
    with_one_clock,
)

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


# In turn.


def timed(*starts, length=10.0, host="h", **more):
    """Return runs of seeds 42, 137, ... that started at so many seconds of a day, by turns of two arms."""
    runs = [
        run(seed, started=f"2026-11-29T10:{start // 60:02}:{start % 60:02}+00:00", wall_time=length, host=host, **more)
        for seed, start in zip((42, 137, 256), starts, strict=False)
    ]
    return Arm(Variant(), tuple(runs))


@pytest.mark.parametrize(
    ("first", "second", "are"),
    [
        ((0, 20, 40), (10, 30, 50), True),
        ((10, 30, 50), (0, 20, 40), True),
        ((0, 20, 40), (30, 50, 70), True),  # two runs lie between
        ((0, 20, 40), (10, 30, 82), False),  # one pair is far apart
        ((0, 10, 20), (50, 60, 70), False),  # one arm after the other
    ],
)
def test_runs_in_turn_are_told_by_when_they_ran(first, second, are):
    """Each seed's runs within two runs of each other, whoever came first."""
    assert are_in_turn(timed(*first), timed(*second)) is are


def test_runs_of_which_nothing_is_known_are_not_in_turn():
    """No start, another machine, runs too short for the clock, no seed in common."""
    one, other = timed(0, 20), timed(10, 30)
    assert are_in_turn(one, other)
    assert not are_in_turn(one, Arm(Variant(), (run(42), run(137))))
    assert not are_in_turn(one, timed(10, 30, host="i"))
    assert not are_in_turn(timed(0, 20, length=0.5), timed(1, 21, length=0.5))
    assert not are_in_turn(one, Arm(Variant(), (run(7),)))


def test_what_ran_beside_runs_in_turn_is_no_reason():
    """Another machine, or runs of ours beside each other, still is."""
    busy = [run(42, other_busy_cores=4.0), run(137)]
    assert why_times_differ_in_kind(busy, in_turn=True) == ""
    assert why_times_differ_in_kind([*busy, run(256, threads=2)], in_turn=True) == "threads differs (1 and 2)"
    assert "beside each other" in why_times_differ_in_kind([*busy, run(256, concurrency=2)], in_turn=True)


def test_pairs_tell_what_a_drifting_clock_hides():
    """Times that double from seed to seed, a tenth more in each pair; and pairs that do not agree."""
    control = (10.0, 14.0, 20.0)
    slower = tuple(1.1 * each for each in control)
    assert "spread by" in why_times_are_noise(control, slower)
    assert why_times_are_noise(control, slower, in_turn=True) == ""
    assert "the differences of the pairs spread by 25 %" in why_times_are_noise(
        (10.0, 10.0, 10.0), (8.0, 13.0, 11.0), in_turn=True
    )


@pytest.mark.parametrize(
    ("slower", "why"),
    [
        ({"wall_time": SLOW * 9.0}, ""),
        ({"wall_time": 28.0}, "3.1 times the baseline's wall_time (limit: 3)"),
        ({"wall_time": 28.0, "concurrency": 2}, ""),
        ({"cpu_time": 80.0}, ""),
        ({"cpu_time": 80.0, "concurrency": 2}, "10.0 times the baseline's cpu_time (limit: 3)"),
        ({"cpu_time": 80.0, "wall_time": 90.0, "cpu": "d"}, ""),
        ({"cpu_time": 80.0, "gpu": "g", "concurrency": 2}, ""),
        ({"wall_time": None, "cpu_time": None}, ""),
    ],
)
def test_a_run_is_too_slow_by_a_clock_that_can_be_compared(slower, why):
    """Wall time if nothing ran beside it, else CPU time on the same machine; on a GPU that says nothing."""
    place = {"gpu": slower["gpu"]} if "gpu" in slower else {}
    baseline = Arm(Variant(), tuple(run(seed, **place) for seed in (42, 137, 256)))
    assert why_too_slow(baseline, run(42, **slower)) == why


def test_a_run_shorter_than_the_clock_can_tell_is_never_too_slow():
    """Milliseconds are the machine's, not the change's."""
    baseline = Arm(Variant(), tuple(run(seed, wall_time=0.01) for seed in (42, 137)))
    assert why_too_slow(baseline, run(42, wall_time=0.9)) == ""
    assert why_too_slow(baseline, run(42, wall_time=1.1)) != ""
