"""`exprun speedup NAME`: better, or only slower?"""

from __future__ import annotations

import json
import math
import re

import pytest

from pytest_exprun.trust.store.records import decode
from tests.shell import COSTS, ROPE, edit, forge, let_learn


@pytest.fixture
def learning(project):
    """Return a project whose trainer gets better with its budget, and takes time for it."""
    let_learn(project)
    project.write(ROPE)
    return project


def judged(project, cost=1.25):
    """Judge --rope, at another price if need be."""
    edit(project, "1.25 if args.rope", f"{cost} if args.rope")
    project.run().assert_outcomes(passed=1)
    return project


def test_the_answer(exprun, learning):
    """The control is trained at half and twice the budget once; better by half a doubling for a quarter more is sqrt(2) / 1.25."""
    judged(learning)
    out = exprun("speedup", "rope")
    assert len(learning.runs) == 8 + 10
    assert re.search(
        r"^baseline \(no flags\): training seeds 42, 137, 256, 512, 1024 at 500K tokens$", out, re.MULTILINE
    )
    assert re.search(r"^baseline \(no flags\): training seeds 42, 137, 256, 512, 1024 at 2M tokens$", out, re.MULTILINE)
    assert "10/10 runs" in out
    assert out.splitlines()[-4:] == [
        "rope: 1.13 times as fast to the same loss (95 % interval 1.13 to 1.13)",
        "It gets there with less compute than the control.",
        "tokens per CPU second: baseline 500,000, experiment 400,000",
        "by seed, in CPU seconds: 1.13 (42), 1.13 (137), 1.13 (256)",
    ]
    assert all(len(line) <= 80 for line in out.splitlines())
    again = exprun("speedup", "rope")
    assert out.endswith(again)
    assert len(learning.runs) == 18


def test_for_a_program(exprun, learning):
    """One object, as the schema says; the report's JSON has the same."""
    judged(learning)
    told = exprun.told("speedup", "rope")["speedup"]
    assert told["factor"] == pytest.approx(math.sqrt(2) / 1.25)
    assert (told["name"], told["unit"], told["bound"], told["better"]) == ("rope", "CPU seconds", "", True)
    assert told["rates"] == pytest.approx([500_000, 400_000])
    report = json.loads(learning.report("experiment_rope_1M.json"))["speedup"]
    assert report == {name: value for name, value in told.items() if name != "name"}


def test_the_reports_have_it_and_keep_it(exprun, learning):
    """A section, a column, the same bytes after the next session, which trains nothing."""
    judged(learning)
    before = learning.report("README.md")
    assert "Times as fast" not in before
    exprun("speedup", "rope")
    text, listed = learning.report("experiment_rope_1M.md"), learning.report("README.md")
    assert "## Better, or only slower?\n\n**1.13 times as fast to the same loss" in text
    assert "| tokens per CPU second | 500,000 | 400,000 |" in text
    assert "| Times as fast |" in listed
    assert re.search(r"^\| \[rope\].*\| 1\.13 \|$", listed, re.MULTILINE)
    result = learning.run()
    result.stdout.fnmatch_lines(["rope: 1.13 times as fast to the same loss*"])
    assert (learning.report("experiment_rope_1M.md"), learning.report("README.md")) == (text, listed)
    assert len(learning.runs) == 18


def test_better_only_by_computing_more(exprun, learning):
    """A WINNER that takes twice the time: better at equal tokens, and the control would be better with that time."""
    judged(learning, cost=2.0)
    out = exprun("speedup", "rope")
    assert "rope: 0.71 times as fast to the same loss" in out
    assert "Better at equal tokens only by computing more" in out
    assert learning.run().ret == 0
    assert "**0.71 times as fast" in learning.report("experiment_rope_1M.md")


def test_beyond_the_measured_range(exprun, learning):
    """Ten sigmas are more than two doublings here: what the range shows, in words, without an interval."""
    edit(learning, "0.2 * math.log2", "0.04 * math.log2")
    judged(learning, cost=1.0)
    told = exprun.told("speedup", "rope")["speedup"]
    assert (told["bound"], told["low"], told["high"]) == ("at least", None, None)
    assert told["factor"] == pytest.approx(2.0)
    flat = " ".join(exprun("speedup", "rope").split())
    assert (
        "rope: at least 2.00 times as fast to the same loss: at seeds 42, 137, 256 the control does not get there"
        in flat
    )
    assert "at least 2.00" in learning.report("README.md")


def test_flops_count_where_the_trainer_returns_them(exprun, learning):
    """They need no clock, so that machines may differ; tokens a second are told all the same."""
    edit(learning, '"note": "toy"', '"flops": 1e6 * args.train_tokens * (1.5 if args.rope else 1)')
    judged(learning)
    forge(learning, 137, {"cpu": "another"}, slug="rope")
    told = exprun.told("speedup", "rope")["speedup"]
    assert (told["unit"], told["rate_unit"]) == ("FLOPs", "tokens per CPU second")
    assert told["factor"] == pytest.approx(math.sqrt(2) / 1.5)


def test_steps_are_counted_where_they_are_the_budget(exprun, learning):
    """The rate is in the budget's unit."""
    edit(learning, '"--train_tokens"', '"--train_steps", dest="train_tokens"')
    edit(learning, '"train_tokens": args.train_tokens, ', "")
    edit(learning, "[pytest]", "[pytest]\nexprun_budget = 1000000 steps", name="pytest.ini")
    judged(learning)
    assert "steps per CPU second: baseline 500,000, experiment 400,000" in exprun("speedup", "rope")


@pytest.mark.parametrize(
    ("provenance", "why"),
    [({"cpu": "another"}, "cpu differs ("), ({"threads": 7}, "threads differs (")],
)
def test_times_of_two_machines_are_refused(exprun, learning, provenance, why):
    """One line with the reason and the way out, which works."""
    judged(learning)
    forge(learning, 137, provenance, slug="rope")
    exprun("speedup", "rope", status=2)
    line = exprun.err.splitlines()[-1]
    assert f"rope: no speedup can be told: times cannot be compared: {why}" in line
    assert line.endswith("train both arms again, in turn: exprun speedup rope --in-turn")
    before = len(learning.runs)
    assert exprun.told("speedup", "rope", "--in-turn")["speedup"]["factor"] == pytest.approx(math.sqrt(2) / 1.25)
    assert learning.seeds("--rope")[3:] == [42, 137, 256]
    trained = [(words[1], words[3]) for words in map(str.split, learning.runs[before:])]
    assert [seed for _, seed in trained[:8]] == ["42", "42", "137", "137", "256", "256", "512", "1024"]
    assert [budget for budget, _ in trained[8:]] == ["500000"] * 5 + ["2000000"] * 5


def test_a_busy_machine_is_a_word_of_caution(exprun, learning):
    """CPU times are compared all the same, and what ran beside is told."""
    judged(learning)
    for seed in (42, 137, 256):
        forge(learning, seed, {"other_busy_cores": 3.2})
    assert "note: up to 3.2 other cores were busy, which moves CPU times too" in " ".join(
        exprun("speedup", "rope").split()
    )
    assert "The machine was busy (up to 3.2 other cores were busy)" in learning.report("experiment_rope_1M.md")


def test_a_curve_that_does_not_fall_is_refused(exprun, project):
    """The toy's own loss does not depend on its budget; the seed is named, and training again would not help."""
    edit(project, '"cpu_time": 1.0', COSTS)
    project.write('@experiment("--noop", gate="identical")\ndef test_noop(): ...')
    project.run().assert_outcomes(passed=1)
    exprun("speedup", "noop", status=2)
    assert "at seed 42 the control is no better after twice the training" in exprun.err
    assert "in turn" not in exprun.err


def test_what_was_not_judged_is_refused(exprun, learning):
    """A name that is none, and runs that do not stand; nothing is trained."""
    judged(learning)
    assert "did you mean rope?" in exprun.refused("speedup", "rpoe")
    edit(learning, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "what was judged as rope does not stand" in exprun.refused("speedup", "rope")
    assert len(learning.runs) == 8


def test_nothing_of_the_other_budgets_is_in_the_ledger(exprun, learning):
    """The control against itself is no question; half the budget's baseline has no report of its own either."""
    judged(learning)
    before = (learning.pytester.path / ".exprun/ledger.jsonl").read_bytes()
    exprun("speedup", "rope")
    assert (learning.pytester.path / ".exprun/ledger.jsonl").read_bytes() == before
    assert not list((learning.pytester.path / "docs/research").glob("*500K*"))
    records = learning.pytester.path.glob(".exprun/baseline/*/seed-42.json")
    budgets = {decode(path.read_bytes()).result.spec.budget.amount for path in records}
    assert budgets == {500_000, 1_000_000, 2_000_000}


def test_all_again_is_counted(exprun, learning):
    """What is trained again at the other budgets is among what is to come; each line has the old loss."""
    judged(learning)
    exprun("speedup", "rope")
    out = exprun("speedup", "rope", "--in-turn")
    assert "18/18 runs  (was " in out
    assert "11/11" not in out
