"""`exprun confirm NAME`: a WINNER once more on fresh seeds."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.shell import LUCK, edit, shell

GOOD = """
@experiment("--rope")
def test_rope(): ...
"""
LUCKY = """
@experiment("--noop")
def test_lucky(): ...
"""


@pytest.fixture
def rope(project):
    """Return a project with a WINNER."""
    project.write(GOOD)
    project.run().assert_outcomes(passed=1)
    return project


def report(project, name="rope"):
    """Return a report's JSON."""
    return json.loads((project.pytester.path / f"docs/research/experiment_{name}_1M.json").read_text(encoding="utf-8"))


def test_a_true_winner_is_confirmed(exprun, rope):
    """Ten fresh pairs at the first level; the reports quote them, and a session afterwards writes the same bytes."""
    told = exprun.told("confirm", "rope")["comparisons"][0]
    fresh = told["confirmation"]
    assert (fresh["confirmed"], len(fresh["seeds"]), fresh["alpha"], told["next"]) == (True, 10, 0.025, "keep")
    assert told["sigmas_better"] == fresh["sigmas"]
    assert len(rope.runs) == 8 + 20
    assert not set(fresh["seeds"]) & {42, 137, 256, 512, 1024}
    text = rope.report("experiment_rope_1M.md")
    assert "## CONFIRMED" in text
    assert "WINNER, CONFIRMED" in rope.report("README.md")
    result = rope.run()
    result.stdout.fnmatch_lines(["rope: CONFIRMED, *", "ledger: 4 lines, head *"])
    assert rope.report("experiment_rope_1M.md") == text
    assert len(rope.runs) == 28


def test_the_second_answer_is_the_first(exprun, rope):
    """Nothing is drawn, trained or noted."""
    out = exprun("confirm", "rope")
    ledger = (rope.pytester.path / ".exprun/ledger.jsonl").read_bytes()
    again = exprun("confirm", "rope")
    assert again == out[out.index("CONFIRMED rope") :]
    assert (rope.pytester.path / ".exprun/ledger.jsonl").read_bytes() == ledger
    assert len(rope.runs) == 28


def test_luck_is_not_confirmed(exprun, project):
    """A change that is better at the seeds of the first look alone: exit status 3, and the report says so."""
    edit(project, "+ 10 * args.worse", LUCK.replace("(-5", "args.noop * (-5"))
    project.write(LUCKY)
    project.run().assert_outcomes(passed=1)
    told = exprun.told("confirm", "lucky", status=3)["comparisons"][0]
    assert (told["verdict"], told["next"], told["confirmation"]["confirmed"]) == ("WINNER", "discard", False)
    assert "## NOT CONFIRMED" in project.report("experiment_lucky_1M.md")
    assert "picked for being large" in exprun("confirm", "lucky", status=3)


def test_what_is_no_winner_is_refused(exprun, project):
    """One line each: NEUTRAL, a name that does not exist, nothing judged, runs that do not stand."""
    assert "no experiment 'rope' was judged" in exprun.refused("confirm", "rope")
    project.write(f'{GOOD}\n@experiment("--worse")\ndef test_worse(comparison): ...')
    project.run().assert_outcomes(passed=2)
    assert "worse is LOSER" in exprun.refused("confirm", "worse")
    assert "did you mean rope?" in exprun.refused("confirm", "rpoe")
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "what was judged as rope does not stand" in exprun.refused("confirm", "rope")
    assert len(project.runs) == 11


def test_one_that_is_interrupted_goes_on(exprun, rope):
    """The seeds stay those that were drawn, and what was trained stands."""
    seeds = exprun.told("confirm", "rope")["comparisons"][0]["confirmation"]["seeds"]
    ledger = (rope.pytester.path / ".exprun/ledger.jsonl").read_bytes()
    for seed in seeds[3:]:
        (path,) = rope.pytester.path.glob(f".exprun/baseline/*/seed-{seed}.json")
        path.unlink()
    held = rope.hold(seeds[5])
    process = shell("confirm", "rope", cwd=rope.pytester.path)
    rope.wait_for_runs(28 + 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    held.unlink()
    assert exprun.told("confirm", "rope")["comparisons"][0]["confirmation"]["seeds"] == seeds
    assert len(rope.runs) == 28 + 3 + 5
    assert (rope.pytester.path / ".exprun/ledger.jsonl").read_bytes() == ledger


def test_confirm_in_a_session(project):
    """By the marker and by the gate; a NEUTRAL has nothing to confirm and does not pass the gate."""
    project.write(
        '@experiment("--rope", confirm=True)\ndef test_rope(comparison):\n    assert comparison.confirmation.confirmed\n'
        '@experiment("--shift=0.5", gate="confirmed")\ndef test_base(): ...\n'
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the gate wants a WINNER that fresh seeds confirm*"])
    assert report(project)["confirmation"]["confirmed"] is True


@pytest.mark.parametrize("mode", ["frozen", "plan"])
def test_a_mode_that_trains_nothing(project, mode):
    """Frozen needs the fresh seeds to be stored; a plan draws none."""
    project.write(GOOD)
    project.run().assert_outcomes(passed=1)
    project.write('@experiment("--rope", gate="confirmed")\ndef test_rope(): ...')
    before = (project.pytester.path / ".exprun/ledger.jsonl").read_bytes()
    result = project.run(f"--exprun-mode={mode}")
    if mode == "frozen":
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*rope is not confirmed yet, and mode frozen trains nothing*"])
    assert (project.pytester.path / ".exprun/ledger.jsonl").read_bytes() == before
    assert len(project.runs) == 8


def test_confirm_takes_a_boolean(project):
    """A misuse is one line at collection."""
    project.write('@experiment("--rope", confirm="yes")\ndef test_rope(): ...')
    result = project.run()
    result.stdout.fnmatch_lines(["*confirm='yes': allowed is True or False*"])


@pytest.mark.usefixtures("rope")
def test_the_ledger_lists_it(exprun):
    """What was asked, what the first look said, what fresh seeds said; and seeds that somebody chose are found."""
    exprun("confirm", "rope")
    exprun("ledger")
    assert re.search(r"rope: WINNER, \+\S+ sigmas on 3 seeds; CONFIRMED, improved by", exprun.flat())
    assert exprun.told("ledger", "verify")["ledger"]["valid"] is True


def test_an_edit_that_does_not_matter_takes_nothing_back(exprun, rope):
    """One run an arm proves that all stands; the seeds are not drawn again."""
    exprun("confirm", "rope")
    edit(rope, "shift = args.shift", "shift = 0 + args.shift")
    result = rope.run()
    result.stdout.fnmatch_lines(["rope: CONFIRMED, *"])
    assert len(rope.runs) == 28 + 2
    assert exprun.told("confirm", "rope")["comparisons"][0]["next"] == "keep"
    assert len(rope.runs) == 28 + 2


def test_two_at_once_draw_once(rope):
    """Each run is trained once, and the ledger has one draw and one outcome."""
    processes = [shell("confirm", "rope", cwd=rope.pytester.path) for _ in range(2)]
    told = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert told[0].partition("CONFIRMED")[2] == told[1].partition("CONFIRMED")[2] != ""
    assert len(rope.runs) == 28
    ledger = (rope.pytester.path / ".exprun/ledger.jsonl").read_text(encoding="utf-8")
    assert [ledger.count(f'"kind": "{kind}"') for kind in ("confirm", "confirmation")] == [1, 1]


def test_fresh_seeds_ask_no_older_state_for_proof(exprun, rope):
    """No earlier state of the code has them, so none is compared with, and nothing alarming is said."""
    edit(rope, "SIGMA = 0.01", "SIGMA = 0.011")
    rope.run().assert_outcomes(passed=1)
    before = len(rope.runs)
    out = exprun("confirm", "rope")
    assert len(rope.runs) == before + 20
    assert "again to see" not in out
    assert "the change matters" not in out
