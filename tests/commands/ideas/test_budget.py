"""`exprun budget`: what a session of many ideas can see."""

from __future__ import annotations

import pytest

from pytest_exprun.commands.ideas.budget import _share
from pytest_exprun.terms.model import SEEDS
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.sessions.prospects import session_outlook
from tests.shell import forge, losses, train_baseline


def test_budget_asks_for_a_baseline_and_trains_none(exprun, project):
    """Without stored runs it says which are missing, as `power` does."""
    assert "is not stored: missing seed 42, 137, 256, 512, 1024" in exprun.refused("budget", "--ideas=50", "--hours=8")
    assert project.runs == []


def test_budget_puts_keeping_beside_confirming(exprun, project):
    """Runs, time, ideas that fit, false keeps and the smallest effect, from the stored noise and run time, here a second."""
    train_baseline()
    for seed in SEEDS:
        forge(project, seed, provenance={"wall_time": 1.0})
    trained = len(project.runs)
    out = exprun("budget", "--ideas=50", "--hours=0.1")
    outlook = session_outlook(50, 0.1, 1.0)
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "0.1 hours are 360 runs" in out
    rows = {line.split("  ")[0].strip(): line.split() for line in out.splitlines()}
    assert rows["runs"][-2:] == [f"{outlook.runs}", f"{outlook.confirmed_runs}"]
    assert rows["ideas that fit"][-2:] == [f"{outlook.possible_ideas}", f"{outlook.possible_confirmed}"]
    shares = [_share(outlook.any_kept), _share(outlook.any_confirmed)]
    assert " ".join(rows["keeps any without effect"]).endswith(" ".join(shares))
    sigma = stats.describe(losses(project)).std
    low, high = stats.sigma_interval(sigma, 5)
    seen = outlook.seen
    assert f"{seen * sigma:.4f} [{seen * low:.4f} to {seen * high:.4f}]" in out
    assert f"takes {outlook.runs_of_first} runs" in exprun.flat()
    assert len(project.runs) == trained


def test_budget_tells_a_program_the_same(exprun, project):
    """One object, as the schema says: the figures of `session_outlook`, and sizes at sigma and both ends of its range."""
    train_baseline()
    found = exprun.told("budget", "--ideas=50", "--hours=0.1")["budget"]
    outlook = session_outlook(50, 0.1, found["seconds_a_run"])
    assert (found["runs"], found["any_confirmed"]) == (outlook.runs, outlook.any_confirmed)
    for name, seen in (("size", outlook.seen), ("size_confirmed", outlook.seen_confirmed)):
        assert found[name] == pytest.approx([seen * sigma for sigma in found["sigma"]])
    assert outlook.seen != outlook.seen_confirmed
    assert found["sigma"][0] == pytest.approx(stats.describe(losses(project)).std)
    other = exprun.told("budget", "--ideas=50", "--hours=0.1", "--rule=tested", "--min-effect=1")["budget"]
    assert other["any_kept"] == session_outlook(50, 0.1, 1.0, rule="tested", min_effect=1.0).any_kept


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--ideas=0", "--hours=8"), "ideas = 0: allowed is a whole number from 1 to 1,000"),
        (("--ideas=50", "--hours=-1"), "hours = -1.0: allowed is a finite number above 0"),
        (("--ideas=many", "--hours=8"), "invalid int value: 'many'"),
        (("--ideas=50",), "the following arguments are required: --hours"),
    ],
)
def test_budget_of_no_session_is_refused(exprun, project, given, message):  # noqa: ARG001
    """One line: what, and what is allowed."""
    train_baseline()
    assert message in exprun.refused("budget", *given)
