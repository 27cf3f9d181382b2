"""`exprun promote NAME`: a confirmed WINNER becomes the baseline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from pytest_exprun.commands.ideas import promote
from pytest_exprun.settings import ini_file
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.rungs import PROMOTED, promotions
from tests.shell import ROPE, edit, ended, shell


def ini(project):
    """Return the ini file's text."""
    return (project.pytester.path / "pytest.ini").read_text(encoding="utf-8")


def rungs(project):
    """Return the lines of the rungs."""
    return promotions(Ledger(project.pytester.path / ".exprun"))


def test_a_confirmed_winner_becomes_the_baseline(exprun, winner):
    """The file gets the flags and nothing else changes; the ledger has the rung; what is left to do is said."""
    before = ini(winner)
    out = exprun("promote", "rope")
    assert ini(winner) == before.replace("[pytest]\n", "[pytest]\nexprun_baseline = --rope\n")
    assert "promoted rope (--rope), rung 1: CONFIRMED, improved by" in exprun.flat()
    assert "+exprun_baseline = --rope\n" in out
    assert "the next session trains what they lack: seed 512, 1024" in exprun.flat()
    assert (
        'experiments/test_rope.py::test_rope now adds its flags to a baseline that has them: give it baseline=""'
        in (exprun.flat())
    )
    (rung,) = rungs(winner)
    assert (rung["name"], rung["control_flags"], rung["flags"], rung["confirmed"]) == ("rope", [], ["--rope"], True)
    assert (len(rung["claim"]["seeds"]), len(rung["fresh"]["seeds"])) == (3, 10)
    assert exprun.told("ledger", "verify")["ledger"]["valid"] is True


def test_its_runs_are_the_new_controls(exprun, winner):
    """The next session trains the two seeds that an experiment lacks, under the same key."""
    exprun("promote", "rope")
    (folder,) = (winner.pytester.path / ".exprun/rope").iterdir()
    winner.write('@experiment("--shift=-5")\ndef test_shift(comparison): ...')
    trained = len(winner.runs)
    winner.run().assert_outcomes(passed=1)
    of_control = [line for line in winner.runs[trained:] if "--shift" not in line]
    assert [line.split()[3] for line in of_control] == ["512", "1024"]
    assert list((winner.pytester.path / ".exprun/rope").iterdir()) == [folder]
    assert {f"seed-{seed}.json" for seed in (42, 137, 256, 512, 1024)} <= {path.name for path in folder.iterdir()}
    assert rungs(winner)[0]["key"] == folder.name


def test_a_program_is_told_the_same(exprun, winner):
    """One object, as the schema says."""
    told = exprun.told("promote", "rope")["promoted"]
    assert told == {
        "name": "rope",
        "rung": 1,
        "confirmed": True,
        "file": str(winner.pytester.path / "pytest.ini"),
        "diff": ["--- a/pytest.ini", "+++ b/pytest.ini", "@@ -2,0 +3 @@", "+exprun_baseline = --rope"],
        "merge": None,
        "missing_seeds": [512, 1024],
    }


def test_one_on_the_other(exprun, winner):
    """The second winner's flags stand behind the first one's, in canonical order; each was judged on the one before."""
    exprun("promote", "rope")
    winner.write('@experiment("--shift=-5")\ndef test_shift(comparison): ...')
    winner.run().assert_outcomes(passed=1)
    exprun("confirm", "shift")
    told = exprun.told("promote", "shift")["promoted"]
    assert told["diff"][-2:] == ["-exprun_baseline = --rope", "+exprun_baseline = --rope --shift=-5"]
    found = exprun.told("ladder")["ladder"]
    assert [(each["name"], each["follows"]) for each in found["rungs"]] == [("rope", True), ("shift", True)]


def test_what_is_not_promoted(exprun, project):
    """One line each: no such experiment, no WINNER, not confirmed, NOT CONFIRMED, runs that do not stand."""
    assert "no experiment 'rope' was judged" in exprun.refused("promote", "rope")
    project.write(f'{ROPE}\n@experiment("--worse", gate="loser")\ndef test_worse(): ...\n')
    edit(project, "loss = 2.0 +", "loss = 2.0 - 0.05 * (args.noop and args.seed < 2000) +")  # no fresh seed has it
    project.write('@experiment("--noop")\ndef test_lucky(): ...', "test_lucky.py")
    project.run().assert_outcomes(passed=3)
    exprun("confirm", "lucky", status=3)
    before = ini(project)
    assert "worse is LOSER" in exprun.refused("promote", "worse")
    assert "exprun confirm rope asks fresh seeds" in exprun.refused("promote", "rope")
    for more in ((), ("--unconfirmed",)):
        assert "lucky is NOT CONFIRMED" in exprun.refused("promote", "lucky", *more)
    shutil.rmtree(project.pytester.path / ".exprun/noop")
    project.run().assert_outcomes(passed=3)
    assert "lucky is NOT CONFIRMED, as the ledger says" in exprun.refused("promote", "lucky", "--unconfirmed")
    assert "did you mean rope?" in exprun.refused("promote", "rpoe")
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "what was judged as rope does not stand" in exprun.refused("promote", "rope", "--unconfirmed")
    kept = exprun.refused("promote", "rope", "--unconfirmed", "--stale=keep")
    assert "rope was judged on runs that do not stand any more" in kept
    assert (ini(project), rungs(project)) == (before, [])


def test_unconfirmed_is_said_for_ever(exprun, project):
    """In the ledger, in the ladder, and still after fresh seeds were asked and said yes."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    exprun("promote", "rope", "--unconfirmed")
    assert "not confirmed by fresh seeds" in exprun.flat()
    exprun("confirm", "rope")
    assert "unconfirmed" in exprun("ladder")
    assert "cannot be added up: no fresh seeds were asked about rope" in exprun.flat()
    found = exprun.told("ladder")["ladder"]
    assert (found["rungs"][0]["confirmed"], found["rungs"][0]["fresh"], found["sum"]) == (False, None, None)


def test_a_second_time(exprun, winner):
    """It is the baseline already; nothing is noted."""
    exprun("promote", "rope")
    before = Ledger(winner.pytester.path / ".exprun").read()
    assert "rope is the baseline already: rung 1 of 1" in exprun.refused("promote", "rope")
    assert Ledger(winner.pytester.path / ".exprun").read() == before


def test_another_baseline_than_todays(exprun, winner):
    """What was judged on other flags or with other arguments would be a jump between ladders; so would code of another day."""
    edit(winner, "[pytest]\n", "[pytest]\nexprun_baseline = --shift=1\n", name="pytest.ini")
    line = exprun.refused("promote", "rope")
    assert "rope was judged on no flags, and today's baseline is --shift=1: it would be a jump between ladders" in line
    edit(winner, "exprun_baseline = --shift=1\n", "exprun_args = --shift=1\n", name="pytest.ini")
    assert "rope was judged with exprun_args = , and today it is --shift=1" in exprun.refused("promote", "rope")
    assert rungs(winner) == []


def test_a_baseline_that_was_changed_by_hand(exprun, winner):
    """Flags that stand in the file already are noted, and the file is left alone; a rung on a changed baseline is said to be so."""
    edit(
        winner,
        "[pytest]\n",
        "[pytest]\nexprun_baseline = --rope # by hand\n".replace(" # by hand", ""),
        name="pytest.ini",
    )
    before = ini(winner)
    told = exprun.told("promote", "rope")["promoted"]
    assert (told["file"], told["diff"], ini(winner)) == (None, [], before)
    edit(winner, "--rope", "--rope --shift=1", name="pytest.ini")
    winner.write('@experiment("--shift=-5", name="low")\ndef test_low(comparison): ...')
    winner.run().assert_outcomes(passed=1)
    exprun("confirm", "low")
    exprun("promote", "low")
    assert "exprun_baseline = --rope --shift=1 --shift=-5\n" in ini(winner)
    exprun("ladder")
    assert "rung 2 was not judged on what rung 1 left" in exprun.flat()


def test_killed_between_the_two_steps(exprun, winner, monkeypatch):
    """The rung is noted and the file is as it was; the next call puts the flags there and notes nothing more."""
    before = ini(winner)
    with monkeypatch.context() as patch:
        patch.setattr(ini_file, "replace_file", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        exprun("promote", "rope", status=130)
    assert (len(rungs(winner)), ini(winner)) == (1, before)
    ledger = Ledger(winner.pytester.path / ".exprun").read()
    told = exprun.told("promote", "rope")["promoted"]
    assert (told["rung"], told["diff"][-1]) == (1, "+exprun_baseline = --rope")
    assert "exprun_baseline = --rope\n" in ini(winner)
    assert Ledger(winner.pytester.path / ".exprun").read() == ledger


def test_a_rung_below_others_is_not_climbed_again(exprun, winner):
    """Taken back by hand after another one was promoted, it is no new rung."""
    exprun("promote", "rope")
    winner.write('@experiment("--shift=-5")\ndef test_shift(comparison): ...')
    winner.run().assert_outcomes(passed=1)
    exprun("promote", "shift", "--unconfirmed")
    edit(winner, "exprun_baseline = --rope --shift=-5\n", "", name="pytest.ini")
    assert "rope is rung 1 already, and shift stands on top of it" in exprun.refused("promote", "rope")


def test_two_at_once(winner):
    """One promotes, the other finds it done; one rung, one change of the file."""
    processes = [shell("promote", "rope", cwd=winner.pytester.path) for _ in range(3)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert sorted(status for _, status in ended) == [0, 2, 2]
    assert all("rope is the baseline already" in err for (_, err), status in ended if status)
    assert len(rungs(winner)) == 1
    assert ini(winner).count("exprun_baseline = --rope\n") == 1


def test_nobody_comes_between_the_rungs_and_the_file(exprun, winner, monkeypatch):
    """The ledger is held from before they are read until the file is written; where locks do not work, one change still is one rung."""
    lock = winner.pytester.path / ".exprun/locks/ledger.lock"
    code = f"""
from pathlib import Path
from pytest_exprun.trust.store.locks import claimed
with claimed(Path({str(lock)!r}), "it") as is_free:
    print(is_free)
"""
    free, read, write = [], promote.promotions, ini_file.replace_file

    def looked(real):
        def look(*given):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
            free.append(done.stdout)
            return real(*given)

        return look

    monkeypatch.setattr(promote, "promotions", looked(read))
    monkeypatch.setattr(ini_file, "replace_file", looked(write))
    exprun("promote", "rope")
    assert set(free) == {"False\n"}
    ledger = Ledger(winner.pytester.path / ".exprun")
    ledger.append(
        PROMOTED,
        {name: value for name, value in rungs(winner)[0].items() if name not in {"prev", "crc", "kind", "time"}},
    )
    assert len(exprun.told("ladder")["ladder"]["rungs"]) == 1


def test_a_file_that_cannot_be_written(exprun, winner, monkeypatch):
    """Where that is seen before, nothing is noted; where it is not, the rung waits for the next call."""

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(
            ini_file.Edit,
            "check_writable",
            lambda edit: (_ for _ in ()).throw(edit._error(OSError(13, "Permission denied"))),
        )
        assert "pytest.ini cannot be written: permission denied" in exprun.refused("promote", "rope")
    assert rungs(winner) == []
    with monkeypatch.context() as patch:
        patch.setattr(ini_file, "replace_file", full)
        assert "pytest.ini cannot be written: no space left on device" in exprun.refused("promote", "rope")
    exprun("promote", "rope")
    assert len(rungs(winner)) == 1


@pytest.mark.parametrize("words", ["--exprun-baseline=", "-o exprun_baseline="])
def test_a_baseline_that_is_set_elsewhere(exprun, winner, words):
    """addopts wins over the key: writing the key would change nothing."""
    edit(winner, "--strict-markers", f"--strict-markers {words}", name="pytest.ini")
    assert "exprun_baseline is set by addopts or PYTEST_ADDOPTS" in exprun.refused("promote", "rope")
    assert rungs(winner) == []


def test_secrets_stay_secret(exprun, project):
    """One of the baseline stays in the file as it was and is printed nowhere; one of the change only its author can write."""
    edit(project, '"--noop"', '"--api_key")\n    parser.add_argument("--noop"', name="toy.py")
    edit(project, "[pytest]\n", "[pytest]\nexprun_baseline = --api_key=hunter2hunter2\n", name="pytest.ini")
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    out = exprun("promote", "rope", "--unconfirmed")
    assert "exprun_baseline = --api_key=hunter2hunter2 --rope\n" in ini(project)
    assert "+exprun_baseline = --api_key=hidden-" in out
    assert "hunter2" not in out + Ledger(project.pytester.path / ".exprun").read().decode()
    project.write('@experiment("--shift=-5", "--api_key=swordfish99")\ndef test_own(comparison): ...')
    project.run().assert_outcomes(passed=1)
    before = ini(project)
    code = "import sys; from pytest_exprun.cli import main; sys.exit(main())"
    process = subprocess.run(
        [sys.executable, "-c", code, "promote", "own", "--unconfirmed", "--json"],
        cwd=project.pytester.path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert process.returncode == 2
    assert "own has a secret of which only a digest is stored" in json.loads(process.stdout)["errors"][0]
    assert "swordfish" not in process.stdout + process.stderr
    assert (ini(project), len(rungs(project))) == (before, 1)


# States of the code.


@pytest.mark.slow
def test_a_diff_is_the_users_to_merge(twins, exprun):
    """The rung is noted, the command is printed, the repository is as it was; merged, the next session trains two seeds."""
    ended("try", "one", "--confirm", cwd=twins.root)
    before = twins.state()
    told = exprun.told("promote", "one")["promoted"]
    tip = twins.git("rev-parse", "one")
    assert (told["merge"], told["file"], told["missing_seeds"]) == (f"git merge {tip[:12]}", None, [512, 1024])
    assert twins.state() | {"count-objects -v": ""} == before | {"count-objects -v": ""}
    assert exprun.told("promote", "one")["promoted"]["merge"] == told["merge"]
    twins.git("merge", "--quiet", tip[:12])
    assert "one is the baseline already: rung 1 of 1" in exprun.refused("promote", "one")
    (rung,) = promotions(Ledger(twins.root / ".exprun"))
    assert (rung["control_tree"], rung["flags"]) == (twins.git("rev-parse", "HEAD~1^{tree}"), [])
    twins.branch("third", **{"toy.py": (twins.root / "toy.py").read_text(encoding="utf-8").replace("2.0 -", "1.9 -")})
    assert ended("try", "third", "--confirm", cwd=twins.root)["comparisons"][0]["baseline_seeds"] == [
        42,
        137,
        256,
        512,
        1024,
    ]
    ended("promote", "third", cwd=twins.root)
    assert [each["follows"] for each in exprun.told("ladder")["ladder"]["rungs"]] == [True, True]


@pytest.mark.slow
def test_an_edit_that_is_in_no_commit(twins, exprun):
    """It is here already, or `exprun apply` brings it back; both are one rung."""
    path = twins.root / "toy.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("ONE = 0", "ONE = 1"), encoding="utf-8")
    (found,) = ended("try", "--confirm", cwd=twins.root)["comparisons"]
    path.write_text(text, encoding="utf-8")
    told = exprun.told("promote", found["name"])["promoted"]
    assert told["merge"] == f"exprun apply {found['name']}"
    exprun("apply", found["name"])
    assert "is the baseline already" in exprun.refused("promote", found["name"])


@pytest.mark.slow
def test_a_merge_by_hand_is_noted(twins, exprun):
    """What is in the files already need not be merged, only noted."""
    ended("try", "one", "--confirm", cwd=twins.root)
    twins.git("merge", "--quiet", "one")
    told = exprun.told("promote", "one")["promoted"]
    assert (told["merge"], told["rung"]) == (None, 1)


@pytest.mark.slow
def test_code_of_another_day(twins, exprun):
    """A branch that was judged on what main was is not put on top of what main is."""
    for name in ("one", "other"):
        ended("try", name, "--confirm", cwd=twins.root)
    exprun("promote", "one")
    twins.git("merge", "--quiet", "one")
    assert "other was judged on main, and the files here are another state" in exprun.refused("promote", "other")


def test_kinds_of_lines_do_not_spend_levels(exprun, winner):
    """A rung is no confirmation."""
    exprun("promote", "rope")
    assert Ledger(winner.pytester.path / ".exprun").entries(f'"kind": "{PROMOTED}"')
    winner.write('@experiment("--shift=-5")\ndef test_shift(comparison): ...')
    winner.run().assert_outcomes(passed=1)
    exprun("ladder", "--measure")
    fresh = exprun.told("confirm", "shift")["comparisons"][0]["confirmation"]
    assert fresh["alpha"] == pytest.approx(0.05 / 6 + 0.025)
