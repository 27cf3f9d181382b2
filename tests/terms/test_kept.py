"""Runs that were judged though something has changed since: the mark and what is said of it."""

from __future__ import annotations

from pytest_exprun.terms.kept import marked, staleness
from pytest_exprun.terms.outcome import Arm
from tests.stored import ROPE, make_run


def kept(seed, commit, why):
    """Return a marked run."""
    return marked(make_run(seed, provenance={"host": "h", "commit": commit}), why)


def test_the_mark_is_beside_what_is_known_of_a_run():
    """The run itself, which may be on its way to a record, is not marked."""
    run = make_run()
    mark = marked(run, "source toy.py changed")
    assert mark.provenance == {"host": "h", "stale": "source toy.py changed"}
    assert run == make_run()
    assert (mark.spec, mark.metrics, mark.curve) == (run.spec, run.metrics, run.curve)


def test_seeds_are_told_by_where_they_come_from():
    """One entry for each commit and reason, in the order of the seeds; a run without the mark is not named."""
    arm = Arm(
        ROPE,
        (
            kept(42, "1f3a9c0e", "source a.py changed"),
            make_run(137),
            kept(256, "2e", "source a.py changed"),
            kept(512, "1f3a9c0e", "source a.py changed"),
            kept(1024, "1f3a9c0e", "source b.py changed"),
        ),
    )
    assert staleness(arm) == (
        "seeds 42, 512 of commit 1f3a9c0e (source a.py changed), seed 256 of commit 2e (source a.py changed), "
        "seed 1024 of commit 1f3a9c0e (source b.py changed)"
    )


def test_an_arm_of_current_runs_has_nothing_to_tell():
    """An unknown commit is called so."""
    assert staleness(Arm(ROPE, (make_run(42), make_run(137)))) == ""
    assert staleness(Arm(ROPE, (marked(make_run(42), "x"),))) == "seed 42 of commit unknown (x)"
