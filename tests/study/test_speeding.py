"""The control at half and twice the budget, trained once; and both arms trained in turn."""

from __future__ import annotations

import json
import re

import pytest

from tests.shell import edit, let_learn

ASKS = """
@experiment("--rope", speedup=True)
def test_rope(comparison):
    assert comparison.speedup.factor > 1.1
    assert comparison.speedup.low > 1
"""


@pytest.fixture
def learning(toy_project):
    """Return a project whose trainer gets better with its budget, and takes time for it."""
    let_learn(toy_project)
    return toy_project


def test_at_the_marker(learning):
    """The comparison has it; a plan counts its runs, and the question is the same as without."""
    learning.write(ASKS)
    result = learning.run("--exprun-mode=plan")
    result.stdout.fnmatch_lines(["baseline (no flags) at 500K tokens: stored none; missing 42, 137, 256, 512, 1024*"])
    learning.run().assert_outcomes(passed=1)
    assert len(learning.runs) == 18
    assert "speedup" not in json.loads(learning.report("experiment_rope_1M.json"))["declaration"]
    learning.run("--exprun-mode=frozen").assert_outcomes(passed=1)


def test_without_asking_there_is_none(learning):
    """Nothing is trained for it."""
    learning.write('@experiment("--rope")\ndef test_rope(comparison):\n    assert comparison.speedup is None')
    learning.run().assert_outcomes(passed=1)
    assert len(learning.runs) == 8
    learning.write(ASKS)
    result = learning.run("--exprun-mode=frozen")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*frozen mode trains nothing, and seed 42*of no flags at 500K tokens*"])


def test_the_marker_takes_a_boolean(learning):
    """A misuse is one line at collection."""
    learning.write('@experiment("--rope", speedup=2)\ndef test_rope(): ...')
    learning.run().stdout.fnmatch_lines(["*speedup=2: allowed is True or False*"])


def test_it_passes_through_workers(learning):
    """What a worker of pytest-xdist found is in the controller's reports, and in the test's properties."""
    learning.write(ASKS)
    learning.run_fresh("-n1", "--junit-xml=junit.xml").assert_outcomes(passed=1)
    assert "## Better, or only slower?" in learning.report("experiment_rope_1M.md")
    junit = (learning.pytester.path / "junit.xml").read_text(encoding="utf-8")
    assert re.search(r'name="exprun.speedup" value="1.13', junit)


# In turn.

TWO = """
@experiment("--rope")
def test_rope(): ...

@experiment("--shift=0.5", "--noise=0.5")
def test_shift(): ...
"""


def trained(project):
    """Return the runs as e42, c137: the arm's role by its flags, and the seed."""
    return [f"{'e' if len(words) > 6 else 'c'}{words[3]}" for words in map(str.split, project.runs)]


def test_arms_are_trained_in_turn(toy_project):
    """Seed by seed, the control first; what the second look asks for comes last. Verdict and records are those of any order."""
    toy_project.write(TWO)
    toy_project.run("--exprun-order=interleaved", "-k", "shift").assert_outcomes(passed=1)
    assert trained(toy_project) == ["c42", "e42", "c137", "e137", "c256", "e256", "c512", "c1024", "e512", "e1024"]
    said = toy_project.report("experiment_shift_1M.md").partition("## Environment")[0]
    toy_project.run("--exprun-mode=refresh", "-k", "shift").assert_outcomes(passed=1)
    assert trained(toy_project)[10:] == [f"{arm}{seed}" for arm in "ce" for seed in (42, 137, 256, 512, 1024)]
    assert toy_project.report("experiment_shift_1M.md").partition("## Environment")[0] == said


def test_what_may_be_stopped_is_trained_in_turn_all_the_same(toy_project):
    """The first three seeds: to be compared pair by pair is what the order is for. Judged seed by seed, the rest as it is needed."""
    toy_project.write('@experiment("--shift=-1", futility="seeds")\ndef test_shift(): ...')
    toy_project.run("--exprun-order=interleaved").assert_outcomes(passed=1)
    assert trained(toy_project) == ["c42", "e42", "c137", "e137", "c256", "e256", "c512", "c1024", "e512", "e1024"]


def test_only_what_is_missing_is_trained_in_turn(toy_project):
    """A decided experiment asks for three seeds, a second one finds its control stored."""
    toy_project.write(TWO)
    toy_project.run("--exprun-order=interleaved").assert_outcomes(passed=2)
    assert trained(toy_project)[:8] == ["c42", "e42", "c137", "e137", "c256", "e256", "c512", "c1024"]
    assert trained(toy_project)[8:] == ["e42", "e137", "e256", "e512", "e1024"]


def test_an_error_in_turn_is_an_error_of_the_test(toy_project):
    """It is raised by the test that needs the run, and what was trained before is stored."""
    toy_project.write('@experiment("--crash_at=137")\ndef test_crash(): ...')
    result = toy_project.run("--exprun-order=interleaved")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*CUDA out of memory, pretended*"])
    assert trained(toy_project) == [
        "c42",
        "e42",
        "c137",
        "e137",
        "c256",
        "c512",
        "c1024",
    ]  # the control serves others too


def test_several_at_once_are_not_in_turn(toy_project):
    """One line says what to change."""
    toy_project.write(TWO)
    result = toy_project.run("--exprun-order=interleaved", "--exprun-executor=processes", "--exprun-jobs=2")
    result.stderr.fnmatch_lines(["*exprun_order = interleaved trains one run after the other*or exprun_jobs = 1"])


DRIFTS = """
    done = len((traces / "runs").read_text(encoding="utf-8").splitlines())
    cpu = 2e-6 * args.train_tokens * (1.1 if args.noop else 1) * 1.02**done
"""
"""A machine on which each run takes two hundredths longer than the one before."""


def test_a_slowdown_on_a_machine_that_gets_slower(toy_project):
    """Planted: a tenth more work for the same loss. In turn it comes out whatever the machine does; one arm after the other it does not."""
    edit(toy_project, "loss = 2.0 + SIGMA", "loss = 2.0 - 0.2 * math.log2(args.train_tokens / 1e6) + SIGMA")
    edit(toy_project, "    for step in (1, 2, 3):", DRIFTS.strip("\n") + "\n    for step in (1, 2, 3):")
    edit(toy_project, '"cpu_time": 1.0', '"cpu_time": cpu')
    toy_project.write('@experiment("--noop", gate="identical", speedup=True)\ndef test_noop(): ...')
    toy_project.run("--exprun-order=interleaved").assert_outcomes(passed=1)
    told = json.loads(toy_project.report("experiment_noop_1M.json"))["speedup"]
    # Between the two of a pair lies one run, between the arms lie five.
    assert [each["factor"] for each in told["seeds"]] == pytest.approx([1 / 1.1 / 1.02] * 3)
    toy_project.run("--exprun-mode=refresh").assert_outcomes(passed=1)
    told = json.loads(toy_project.report("experiment_noop_1M.json"))["speedup"]
    assert told["factor"] == pytest.approx(1 / 1.1 / 1.02**5)
