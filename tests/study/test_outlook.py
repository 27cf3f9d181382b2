"""What a session says of the work ahead and of the runs that it has trained."""

from __future__ import annotations

import re

from pytest_exprun.study.outlook import Outlook
from pytest_exprun.terms.model import Variant
from tests.report_toys import run

BASELINE, ROPE, SWIGLU = (Variant(flags) for flags in ((), ("--rope",), ("--swiglu",)))


def outlook():
    """Return one of a baseline's five seeds and two experiments of 3 to 5."""
    names = (repr(variant.identity) for variant in (BASELINE, ROPE, SWIGLU))
    return Outlook(dict(zip(names, ((5, 0), (3, 2), (3, 2)), strict=True)), jobs=2)


def test_the_outlook_counts_what_is_left_run_by_run():
    """Needed runs first, then optional ones; an arm that nobody planned for changes nothing; a verdict takes the optional ones away."""
    ahead = outlook()
    assert ahead.left == (11, 15)
    for _ in range(4):
        ahead.finished(run(ROPE, 42, 1.9))
    assert ahead.left == (8, 11)
    ahead.finished(run(Variant(("--unplanned",)), 42, 1.9))
    assert ahead.left == (8, 11)
    assert ahead.done == 5
    ahead.decided(ROPE)
    assert ahead.left == (8, 10)
    assert ahead.left == (
        sum(needed for needed, _ in ahead.missing.values()),
        sum(needed + optional for needed, optional in ahead.missing.values()),
    )


def test_the_seconds_of_a_run_are_shared_among_jobs():
    """Unknown before the first run; then the mean of all so far, each job's share of it."""
    ahead = outlook()
    assert ahead.seconds_a_run is None
    for seconds in (30.0, 50.0):
        ahead.finished(run(ROPE, 42, 1.9, provenance={"wall_time": seconds}))
    assert ahead.seconds_a_run == 20.0


def test_the_lines_of_runs_are_aligned_and_name_their_arm(toy_project):
    """Controls count as experiments do: one column of seeds, and arms whose flags differ at the end have names that differ."""
    toy_project.write(
        '@pytest.mark.parametrize("shift", [1.001, 1.002])\n@experiment("--shift={shift}", baseline="--rope --noise=0.123456")\n'
        "def test_shift(comparison, shift): ..."
    )
    lines = re.findall(r"^(.*?) seed (?:\d+) +val_loss .*$", toy_project.run("-q").stdout.str(), re.MULTILINE)
    assert {len(name) for name in lines} == {22}
    assert set(lines) == {"noise-0.123456-rope   ", "noise-0.12..hift-1.001", "noise-0.12..hift-1.002"}
