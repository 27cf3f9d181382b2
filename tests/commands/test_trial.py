"""`exprun try`: exit statuses, what is printed, and one JSON object."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from pytest_exprun.trust.ledger.ledger import Ledger
from tests.shell import LUCK, SCHEMA, shell
from tests.states import Checkout

INI = "[pytest]\nexprun_trainer = toy:main\nexprun_plots = off\n"


@pytest.fixture
def lab(project):
    """Return the toy project as a repository with a better and a worse branch."""
    root = project.pytester.path
    checkout = Checkout(root)
    toy = (root / "toy.py").read_text(encoding="utf-8")
    checkout.commit("first", **{"pytest.ini": INI, ".gitignore": ".exprun/\n.traces/\n*.pyc\ndocs/\n"})
    for name, loss in (("better", "1.9"), ("worse", "2.2")):
        checkout.branch(name, **{"toy.py": toy.replace("loss = 2.0 +", f"loss = {loss} +")})
    return checkout


def tried(lab, *argv):
    """Try states of the code."""
    return ended("try", *argv, cwd=lab.root)


def ended(*argv, cwd):
    """Run a command; return its exit status and what it printed, which for a program is as the schema says."""
    process = shell(*argv, cwd=cwd)
    out, err = process.communicate(timeout=120)
    if "--json" in argv[: argv.index("--") if "--" in argv else None]:
        jsonschema.validate(json.loads(out), SCHEMA)
        assert json.loads(out)["exit_status"] == process.returncode
    return process.returncode, out, err


def test_a_better_and_a_worse_branch(lab):
    """Both on one baseline; the worst decides the exit status. The second look at the same costs no training."""
    status, out, _ = tried(lab, "better", "worse", "--tokens=2000")
    assert status == 1
    assert "gate not_loser: the verdict is LOSER" in out
    status, out, _ = tried(lab, "better", "--tokens=2000", "--json")
    assert status == 0
    told = json.loads(out)
    assert told["exit_status"] == 0
    assert [(each["name"], each["verdict"], each["next"]) for each in told["comparisons"]] == [
        ("better", "WINNER", "confirm")
    ]
    assert told["comparisons"][0]["compared"]["files"] == {"toy.py": [1, 1]}
    assert told["errors"] == told["nothing_to_compare"] == []
    # Two questions with their outcomes; diffs are named by their hash, which the second session adds nothing to.
    ledger = Ledger(lab.root / ".exprun")
    assert told["ledger"] == {"head": ledger.head, "lines": 4}
    asked = next(each for each in ledger.entries() if each.get("name") == "better")
    assert asked["patch"] == told["comparisons"][0]["compared"]["patch"]
    assert asked["tree"] == told["comparisons"][0]["compared"]["tip"]["tree"]
    assert tried(lab, "better", "--tokens=2000", "--gate=loser")[0] == 1


def test_a_dud_costs_one_run_and_is_discarded(lab):
    """Seed by seed is how states are tried; it is said, planned from one run on, and one option trains all seeds."""
    lab.branch(
        "dud", **{"toy.py": (lab.root / "toy.py").read_text(encoding="utf-8").replace("loss = 2.0 +", "loss = 2.02 +")}
    )
    assert "to train 1 to 5" in tried(lab, "dud", "--plan")[1]
    status, out, err = tried(lab, "dud", "--json")
    told = json.loads(out)["comparisons"][0]
    assert (status, told["verdict"], told["kind"], told["next"], told["open"]) == (
        1,
        "NEUTRAL",
        "stopped",
        "discard",
        False,
    )
    assert told["experiment_seeds"] == [42]
    assert told["reason"].startswith("stopped after 1 seed: ")
    assert told["gate"]["reason"].startswith("stopped early, it shows neither harm nor harmlessness")
    assert "one seed after the other, as long as more are worth it (exprun_futility = never: all of them)" in err
    status, out, err = tried(lab, "dud", "--json", "--futility=never")
    assert len(json.loads(out)["comparisons"][0]["experiment_seeds"]) >= 3
    assert "one seed after the other" not in err


@pytest.mark.slow
def test_a_gate_about_harm_trains_all_its_seeds(lab):
    """Stopped early nothing is shown: the session is the protocol's."""
    lab.branch(
        "dud", **{"toy.py": (lab.root / "toy.py").read_text(encoding="utf-8").replace("loss = 2.0 +", "loss = 2.02 +")}
    )
    _, out, _ = tried(lab, "dud", "--gate=non_inferior", "--json")
    told = json.loads(out)["comparisons"][0]
    assert told["kind"] != "stopped"
    assert len(told["experiment_seeds"]) >= 3


def test_nothing_to_compare(lab):
    """A clean main: it says so, and there is nothing wrong."""
    status, out, _ = tried(lab, "--json")
    assert status == 0
    assert json.loads(out)["nothing_to_compare"] == ["main: no file differs"]


def test_a_plan_trains_nothing(lab):
    """It says what would be compared and what that costs."""
    status, out, _ = tried(lab, "worse", "--plan")
    assert status == 0
    assert "worse (" in out
    assert "to train 5" in out
    assert tried(lab, "--plan")[1].splitlines()[1:2] == ["main: nothing to compare: no file differs"]
    assert not list(lab.root.glob(".exprun/trees/*/.traces/runs"))


def test_a_plan_names_what_needs_no_run(lab):
    """It is not left out without a word; why a file of code is none that changed is said."""
    toy = (lab.root / "toy.py").read_text(encoding="utf-8")
    lab.branch("remark", **{"toy.py": f"# said better\n{toy}"})
    status, out, _ = tried(lab, "remark", "--plan")
    assert status == 0
    assert (
        "remark: nothing to compare: no run depends on what changed (toy.py; comments and layout do not count)" in out
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nosuch",), "'nosuch' is no commit of"),
        (("--against=nosuch",), "'nosuch' is no commit of"),
        (("--gate=best",), "exprun_against_gate = 'best': allowed is"),
        (("--tokens=no",), "exprun_tokens = 'no'"),
        (("--nosuch",), "unrecognized arguments: --nosuch"),
    ],
)
def test_bad_input(lab, argv, said):
    """One line, exit status 2; for a program one JSON object all the same."""
    status, out, err = tried(lab, *argv)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.startswith("exprun: ")
    assert err.count("\n") == 1
    status, out, _ = tried(lab, *argv, "--json")
    assert status == 2
    told = json.loads(out)
    assert told["exit_status"] == 2
    assert said in told["errors"][0]


def test_a_plan_names_a_state_without_a_trainer(lab):
    """The others are planned all the same."""
    lab.git("checkout", "--quiet", "-b", "empty", "main")
    lab.git("rm", "--quiet", "toy.py")
    lab.commit("gone")
    lab.git("checkout", "--quiet", "main")
    status, out, _ = tried(lab, "empty", "worse", "--plan")
    assert status == 2
    assert "error ahead: " in out
    assert "toy" in out.partition("error ahead: ")[2].splitlines()[0]
    assert "exp (worse) at 1M tokens" in out


@pytest.mark.slow
def test_the_ini_files_options_for_tests(lab):
    """What stops a session at its first failure or selects tests is not meant for states of the code."""
    (lab.root / "pytest.ini").write_text(INI + "addopts = -x -k nothing -m 'not slow'\n", encoding="utf-8")
    status, out, _ = tried(lab, "worse", "better", "--tokens=2000")
    assert status == 1
    assert "better  WINNER" in out


@pytest.mark.slow
def test_a_session_that_judged_nothing_is_no_success(lab):
    """A worker died, or a hook of the project failed: nobody knows what the state is worth."""
    hook = "import pytest\n\ndef pytest_runtest_teardown(item):\n    raise ValueError('of the project')\n"
    lab.write(**{"conftest.py": hook})
    assert tried(lab, "better", "--tokens=2000")[0] == 2
    lab.write(**{"conftest.py": "import os\n\ndef pytest_runtest_setup(item):\n    os._exit(0)\n"})
    (lab.root / "pytest.ini").write_text(INI + "addopts = -n 1\n", encoding="utf-8")
    assert tried(lab, "better", "--tokens=2000")[0] == 2


def test_a_state_that_cannot_train_is_broken(lab):
    """Its error is in the object, in place of a comparison."""
    lab.branch("broken", **{"toy.py": "def main(argv):\n    raise ValueError('why')\n"})
    status, out, _ = tried(lab, "broken", "--json")
    told = json.loads(out)
    assert (status, told["comparisons"]) == (2, [])
    assert "why" in told["errors"][0]


def test_the_log_and_a_diff_put_to_use(lab, exprun):
    """Best first, with where the diff is; it goes into a clean working tree and nowhere else."""
    assert "no diff was tried yet" in exprun("log")
    tried(lab, "worse", "better", "--tokens=2000")
    exprun("log")
    assert re.search(r"WINNER better: .* \(1 file, \+1 -1\) \S+\.patch LOSER worse: .*\.patch$", exprun.flat())
    patch = Path(re.search(r"\S+\.patch", exprun.flat())[0])
    assert patch.read_text(encoding="utf-8").startswith("diff --git a/toy.py b/toy.py")
    told = exprun.told("log")
    assert [(each["name"], each["next"]) for each in told["tried"]] == [("better", "confirm"), ("worse", "discard")]
    assert "'nosuch' was not tried; there are: better, worse" in exprun.refused("apply", "nosuch")
    lab.write(**{"toy.py": "dirty\n"})
    assert "has changes that are in no commit" in exprun.refused("apply", "better")
    lab.git("checkout", "--quiet", "--", "toy.py")
    assert exprun.told("apply", "better")["compared"]["files"] == {"toy.py": [1, 1]}
    lab.git("checkout", "--quiet", "--", "toy.py")
    assert exprun("apply", "better") == "applied better (1 file, +1 -1): look at it with git diff, then commit it\n"
    assert lab.git("diff", "--stat", "better", "--", "toy.py") == ""
    lab.git("commit", "--quiet", "--all", "--message", "kept")
    assert "does not apply" in exprun.refused("apply", "better")


# Flags.


def ran(project, *argv):
    """Run one experiment by flags."""
    return ended("run", *argv, cwd=project.pytester.path)


def test_flags_without_a_test_file(project):
    """One experiment by its flags, gated, with a report that says how to ask again; a stored one trains nothing."""
    told = json.loads(ran(project, "--json", "--tokens=2000", "--", "--rope", "--shift", "-5")[1])
    assert [(each["name"], each["verdict"], each["compared"]) for each in told["comparisons"]] == [
        ("rope-shift-5", "WINNER", None)
    ]
    again = "exprun run --tokens=2000 -- --rope --shift -5"
    assert f"\n{again}\n" in project.report("experiment_rope-shift-5_2K.md")
    trained = len(project.runs)
    status, out, _ = ran(project, *again.split()[2:])
    assert (status, len(project.runs), trained) == (0, 8, 8)
    assert "1 passed" in out
    status, out, _ = ran(project, "--tokens=2000", "--gate=winner", "--", "--worse")
    assert status == 1
    assert "gate winner: the verdict is LOSER" in out


def test_flags_and_tests_do_not_meet(project):
    """The project's tests are not run, the baseline of its ini file is the control."""
    project.write("def test_nothing(): raise ValueError")
    (project.pytester.path / "pytest.ini").write_text(f"{INI}exprun_baseline = --rope\n", encoding="utf-8")
    told = json.loads(ran(project, "--json", "--", "--worse")[1])
    assert told["comparisons"][0]["verdict"] == "LOSER"
    assert project.runs[0].count("--rope") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "exprun run takes the flags of the change behind --"),
        (["run", "--", "rope"], "exprun run -- rope: flags start with --"),
        (["run", "--", "--seed=3"], "exprun run -- --seed=3: --seed is reserved"),
        (["run", "--", "--x={y}", "--seed=3"], "--seed is reserved"),
        (["run", "--gate=best", "--", "--rope"], "exprun_against_gate = 'best': allowed is"),
        (["run", "--rope"], "unrecognized arguments: --rope"),
    ],
)
def test_flags_that_cannot_be_tried(exprun, project, words, message):
    """One line, before anything is trained."""
    assert message in exprun.refused(*words)
    assert project.runs == []


def test_a_misspelt_flag_is_broken(project):
    """Its error is that of a test."""
    told = json.loads(ran(project, "--json", "--", "--ropee")[1])
    assert told["exit_status"] == 2
    assert "did you mean --rope?" in told["errors"][0]
    assert project.runs == []


def test_a_word_behind_the_flags_mark_is_no_option(project):
    """A trainer may have an option --json of its own."""
    status, out, _ = ran(project, "--", "--json")
    assert status == 2
    assert "no option --json" in out
    assert project.runs == []


# Confirmed at once.


@pytest.mark.slow
def test_a_state_is_confirmed_at_once(lab):
    """Its fresh runs are performed in the trees; what was tried so is told as confirmed by every command that follows."""
    status, out, _ = tried(lab, "better", "--tokens=2000", "--confirm", "--json")
    (found,) = json.loads(out)["comparisons"]
    assert (status, found["next"], found["confirmation"]["confirmed"]) == (0, "keep", True)
    assert not (lab.root / ".traces" / "runs").exists()
    status, out, _ = ended("confirm", "better", "--tokens=2000", "--json", cwd=lab.root)
    assert (status, json.loads(out)["comparisons"][0]["confirmation"]) == (0, found["confirmation"])
    status, out, _ = ended("log", "--json", cwd=lab.root)
    assert json.loads(out)["tried"][0]["next"] == "keep"


@pytest.mark.slow
def test_a_state_that_was_lucky_is_undecided(lab):
    """A WINNER on the first look's seeds alone: exit status 3."""
    toy = (lab.root / "toy.py").read_text(encoding="utf-8")
    lab.branch("lucky", **{"toy.py": toy.replace("+ 10 * args.worse", LUCK)})
    status, out, _ = tried(lab, "lucky", "--tokens=2000", "--confirm")
    assert "lucky: NOT CONFIRMED" in out
    assert status == 3


def test_the_working_tree_has_a_name_of_its_own(lab):
    """On the default branch the runs of both arms would be called alike."""
    lab.write(**{"toy.py": (lab.root / "toy.py").read_text(encoding="utf-8").replace("loss = 2.0 +", "loss = 1.9 +")})
    out = tried(lab, "--tokens=2000")[1]
    assert re.search(r"^exp \(main-[0-9a-f]{7}\): training", out, re.MULTILINE)
    assert re.search(r"^main-[0-9a-f]{7} +seed 42 ", out, re.MULTILINE)


@pytest.mark.slow
def test_why_knows_which_states_were_trained(lab):
    """Records know content alone; the ledger has the commit, the tree and the diff that asked for it."""
    tried(lab, "better", "--tokens=2000")
    told = json.loads(ended("why", "--tokens=2000", "--json", cwd=lab.root)[1])
    found = sorted(text for arm in told["arms"] for text in arm["states"])
    commits = [lab.git("rev-parse", f"{name}^{{commit}}")[:7] for name in ("better", "main")]
    trees = [lab.git("rev-parse", f"{name}^{{tree}}")[:7] for name in ("better", "main")]
    assert re.fullmatch(rf"better \(commit {commits[0]}, tree {trees[0]}, diff [0-9a-f]{{7}}\)", found[0])
    assert found[1] == f"control of better (commit {commits[1]}, tree {trees[1]})"
    assert f"    trained for {found[1]}" in ended("why", "--tokens=2000", cwd=lab.root)[1].splitlines()
