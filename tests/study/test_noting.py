"""What sessions leave in the ledger: a line before they train, a line for what became of it, and nothing where nothing is new."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from pytest_exprun.study.arms.runs import Runs
from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.ledger.ledger import Ledger
from tests.executor_contract import wait_until
from tests.states import Checkout

ROPE_TEST = '@experiment("--rope")\ndef test_rope(): ...\n'


def story(ledger):
    """Return what the lines say in a few words, after checking that the ledger is valid."""
    assert ledger.verified().faults == ()
    return [each["result"] if each["kind"] == "outcome" else each["kind"] for each in ledger.entries()]


@pytest.fixture
def ledger(toy_project):
    """Return the toy project's ledger."""
    return Ledger(toy_project.pytester.path / ".exprun")


def test_a_session_asks_before_it_trains(toy_project, ledger, monkeypatch):
    """What trains finds the question in the ledger; at the end the verdict stands there; the next session adds nothing."""
    seen, real = [], Runs.train
    monkeypatch.setattr(
        Runs, "train", lambda self, wanted: (seen.append((len(wanted), story(ledger))), real(self, wanted))
    )
    toy_project.write(ROPE_TEST)
    toy_project.run().assert_outcomes(passed=1)
    assert seen == [(5, ["asked"]), (3, ["asked"])]
    assert story(ledger) == ["asked", "judged"]
    outcome = ledger.entries()[1]
    assert (outcome["verdict"], outcome["seeds"], outcome["stale"]) == ("WINNER", [42, 137, 256], False)
    assert outcome["sigmas"] > 2
    before = ledger.path.read_bytes()
    toy_project.run().assert_outcomes(passed=1)
    toy_project.run("--exprun-mode=frozen").assert_outcomes(passed=1)
    toy_project.run("--exprun-mode=plan")
    assert ledger.path.read_bytes() == before


def test_refresh_crash_and_misspelt_flags(toy_project, ledger):
    """Each is told apart; what was refused is refused once."""
    toy_project.write(ROPE_TEST)
    toy_project.run()
    toy_project.run("--exprun-mode=refresh")
    assert story(ledger) == ["asked", "judged"] * 2
    assert [each["mode"] for each in ledger.entries() if each["kind"] == "asked"] == ["run", "refresh"]
    toy_project.write(
        '@experiment("--crash_at=42")\ndef test_crash(): ...\n@experiment("--rpoe")\ndef test_typo(): ...\n'
    )
    for _ in range(2):
        toy_project.run().assert_outcomes(errors=2)
    assert story(ledger)[4:] == ["asked", "error", "asked", "refused", "asked", "error"]
    assert "did you mean" in ledger.entries()[7]["reason"]


def test_collecting_and_a_baseline_alone_are_no_questions(toy_project, ledger):
    """Nothing is compared there."""
    toy_project.write(ROPE_TEST + "def test_noise(baseline): ...\n")
    toy_project.run("--collect-only")
    toy_project.run("-k", "noise").assert_outcomes(passed=1)
    assert not ledger.path.exists()


def test_another_rule_on_stored_runs_is_another_question(toy_project, ledger):
    """Nothing is trained for it, and still it was asked."""
    toy_project.write(ROPE_TEST)
    toy_project.run()
    toy_project.run("--exprun-rule=tested", "--exprun-min-effect=1")
    assert story(ledger) == ["asked", "judged"] * 2
    assert len(toy_project.runs) == 8


def test_a_ledger_that_cannot_be_written(toy_project, ledger):
    """Then nothing is trained: an error of the experiment in one line, and so in the next session."""
    toy_project.write(ROPE_TEST)
    ledger.path.mkdir(parents=True)
    result = toy_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*the ledger *ledger.jsonl cannot be *: is a directory; what is asked stands there before it is trained*"]
    )
    assert toy_project.runs == []


def test_an_outcome_that_cannot_be_written_costs_no_verdict(toy_project, ledger, monkeypatch):
    """The verdict stands, a note says what is missing, and the session fails for it."""
    real = Ledger.append

    def append(self, kind, content):
        if kind == "outcome":
            raise StoreError("the ledger is full")
        return real(self, kind, content)

    monkeypatch.setattr(Ledger, "append", append)
    toy_project.write(ROPE_TEST)
    result = toy_project.run()
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*what became of rope is not in the ledger: the ledger is full*"])
    assert story(ledger) == ["asked"]


def training(toy_project):
    """Start a session; return it, while its second seed waits for a file to be removed, and that file."""
    held = toy_project.hold(137)
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", "experiments", "-p", "no:cacheprovider"],
        cwd=toy_project.pytester.path,
        stdout=subprocess.DEVNULL,
    )
    toy_project.wait_for_runs(2)
    return session, held


def test_interrupted(toy_project, ledger):
    """Ctrl-C while a seed trains: stopped, which is said; the next session asks again and has its verdict."""
    toy_project.write(ROPE_TEST)
    session, held = training(toy_project)
    session.send_signal(signal.SIGINT)
    wait_until(lambda: session.poll() is not None)
    held.unlink()
    assert story(ledger) == ["asked", "stopped"]
    assert ledger.entries()[1]["reason"] == "KeyboardInterrupt"
    toy_project.run().assert_outcomes(passed=1)
    assert story(ledger) == ["asked", "stopped", "asked", "judged"]


def test_killed(toy_project, ledger):
    """SIGKILL while a seed trains: the question stays open, and the next session answers it."""
    toy_project.write(ROPE_TEST)
    session, held = training(toy_project)
    os.kill(session.pid, signal.SIGKILL)
    session.wait()
    held.unlink()
    assert story(ledger) == ["asked"]
    toy_project.run().assert_outcomes(passed=1)
    assert story(ledger) == ["asked", "judged"]


def test_workers_of_xdist(toy_project, ledger):
    """Two workers with the same question and one each of their own: three questions, three outcomes."""
    toy_project.write(
        ROPE_TEST
        + '@experiment("--rope")\ndef test_again(comparison): ...\n'
        + '@experiment("--shift=1")\ndef test_one(): ...\n@experiment("--shift=2")\ndef test_two(): ...\n'
    )
    toy_project.run("-n2", "--dist=load")
    assert sorted(story(ledger)) == ["asked"] * 3 + ["judged"] * 3


def test_several_at_once_are_all_asked_first(toy_project, ledger):
    """An executor that trains what is to come has asked for it."""
    toy_project.write('@experiment("--shift=1")\ndef test_one(): ...\n@experiment("--shift=2")\ndef test_two(): ...\n')
    toy_project.run("--exprun-executor=processes", "--exprun-jobs=2")
    assert story(ledger) == ["asked", "asked", "judged", "judged"]


def test_secrets_are_digests(toy_project, ledger):
    """In flags as everywhere."""
    toy_project.write('@experiment("--rope", "--wandb_key=abcdefgh12345678")\ndef test_rope(): ...\n')
    toy_project.run()
    assert b"abcdefgh12345678" not in ledger.path.read_bytes()
    assert "hidden-" in json.dumps(ledger.entries()[0]["flags"])


def test_seeds_of_a_gate_alone_are_asked_and_answered(toy_project, ledger):
    """`non_inferior` may train seeds after the verdict: in a later session that is asking again, and no question is left open."""
    toy_project.write('@experiment("--worse")\ndef test_worse(): ...\n')
    toy_project.run().assert_outcomes(failed=1)
    toy_project.write('@experiment("--worse", gate="non_inferior")\ndef test_worse(): ...\n')
    for _ in range(2):
        toy_project.run().assert_outcomes(failed=1)
    assert len(toy_project.runs) == 10
    assert story(ledger) == ["asked", "judged"] * 2


def test_what_a_baseline_has_judged_is_counted_from_the_ledger(toy_project, ledger):
    """Who deletes the reports, and tries flag after flag, is told of all of them; also of one that broke, not of one without effect."""
    for flag in ("--shift=1", "--shift=-1", "--crash_at=42", "--noop"):
        toy_project.write(f'@experiment("{flag}")\ndef test_x(): ...\n', "test_x.py")
        toy_project.run("experiments/test_x.py")
        shutil.rmtree(toy_project.pytester.path / "docs")
    (toy_project.pytester.path / "experiments" / "test_x.py").unlink()
    toy_project.write(ROPE_TEST)
    result = toy_project.run()
    result.stdout.fnmatch_lines(["this baseline has judged 4 experiments: about 0.12 false winners to expect"])
    assert "This baseline has judged 4 experiments" in toy_project.report("baseline_variance_1M.md")
    ledger.path.unlink()
    toy_project.run("--exprun-mode=frozen").stdout.fnmatch_lines(["this baseline has judged 1 experiment:*"])


def test_reports_hold_the_head(toy_project, ledger):
    """The summary and the list of all experiments; no experiment's report, and the same bytes again."""
    toy_project.write(ROPE_TEST)
    line = "ledger: 2 lines, head {}"
    result = toy_project.run()
    result.stdout.fnmatch_lines([line.format(ledger.head[:16])])
    assert f"Ledger: 2 lines, head {ledger.head[:16]}" in toy_project.report("README.md")
    assert ledger.head[:16] not in toy_project.report("experiment_rope_1M.md")
    reports = {path: path.read_bytes() for path in (toy_project.pytester.path / "docs" / "research").iterdir()}
    for mode in ("run", "frozen"):
        toy_project.run(f"--exprun-mode={mode}").stdout.fnmatch_lines([line.format(ledger.head[:16])])
        assert {path: path.read_bytes() for path in reports} == reports


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_ledger_that_cannot_be_read(toy_project, ledger):
    """A note; stored runs are judged all the same."""
    toy_project.write(ROPE_TEST)
    toy_project.run()
    ledger.path.chmod(0)
    result = toy_project.run("--exprun-mode=frozen")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["note: the ledger * cannot be read: permission denied*"])


def test_a_line_that_is_broken_stops_no_session(toy_project, ledger):
    """In the middle of the ledger: sessions go on, the check names the line, and its question counts as one without an outcome."""
    toy_project.write('@experiment("--shift=1")\ndef test_one(): ...\n@experiment("--shift=2")\ndef test_two(): ...\n')
    toy_project.run()
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join([lines[0], lines[1][:-9] + b"\n", *lines[2:]]))
    shutil.rmtree(toy_project.pytester.path / "docs")
    toy_project.write(ROPE_TEST)
    toy_project.run().stdout.fnmatch_lines(["this baseline has judged 3 experiments:*"])
    assert [number for number, _ in ledger.verified().faults] == [2, 3]
    assert len(ledger.entries()) == 5


def test_a_state_that_is_refused_is_asked_once(toy_project, ledger):
    """It changes what is sealed: nothing is trained, and however often it is tried there are two lines."""
    root = toy_project.pytester.path
    checkout = Checkout(root)
    checkout.commit("first", **{".gitignore": ".exprun/\n.traces/\n*.pyc\ndocs/\n", "evaluate.py": "SCALE = 1\n"})
    checkout.branch("cheat", **{"evaluate.py": "SCALE = 0.9\n"})
    for _ in range(2):
        result = toy_project.pytester.runpytest_inprocess("--exprun-tried=cheat", "--exprun-sealed=evaluate.py")
        result.assert_outcomes(errors=1)
    assert story(ledger) == ["asked", "refused"]
    asked, outcome = ledger.entries()
    assert (asked["name"], asked["tree"]) == ("cheat", checkout.git("rev-parse", "cheat^{tree}"))
    assert "exprun_sealed" in outcome["reason"]
    assert toy_project.runs == []
