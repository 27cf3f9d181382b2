"""Experiments that are diffs, through whole sessions: what is compared, where it runs, what is never trained."""

from __future__ import annotations

import json
import re

import pytest

from tests.states import Checkout

INI = """
[pytest]
addopts = --import-mode=importlib
exprun_trainer = toy:main
exprun_plots = off
filterwarnings = error
"""
BETTER = ("loss = 2.0 +", "loss = 1.9 +")


@pytest.fixture
def lab(toy_project):
    """Return the toy project as a repository, its store ignored, with a branch `idea` that is better by ten sigmas."""
    root = toy_project.pytester.path
    checkout = Checkout(root)
    checkout.toy = (root / "toy.py").read_text(encoding="utf-8")
    checkout.project = toy_project
    checkout.commit("first", **{"pytest.ini": INI, ".gitignore": ".exprun/\n.traces/\n*.pyc\ndocs/\n"})
    checkout.branch("idea", **{"toy.py": edited(checkout, *BETTER)})
    return checkout


def edited(checkout, old, new):
    """Return the trainer's source with a change."""
    assert old in checkout.toy
    return checkout.toy.replace(old, new)


def run(checkout, *args):
    """Run pytest in this process; return its result."""
    return checkout.project.pytester.runpytest_inprocess(*args)


def report(checkout, name):
    """Return a report's JSON."""
    return json.loads((checkout.root / "docs" / "research" / f"experiment_{name}_1M.json").read_text(encoding="utf-8"))


def trained(checkout):
    """Return how many runs were trained, by tree."""
    logs = (checkout.root / ".exprun" / "trees").glob("*/.traces/runs")
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in logs)


def test_a_branch_is_judged_against_where_it_branched_off(lab):
    """Both arms run in trees of their own, none in the root; the second idea trains no baseline run."""
    result = run(lab, "--exprun-tried=idea")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["idea (*) against main (*): 1 file, +1 -1", "  toy.py  +1 -1", "idea * WINNER *"])
    assert trained(lab) == 8
    assert not lab.project.runs
    lab.branch("worse", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 2.2 +")})
    result = run(lab, "--exprun-tried=worse")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["worse: LOSER worse: *", "gate not_loser: the verdict is LOSER, the gate wants WINNER or NEUTRAL"]
    )
    assert trained(lab) == 9, "what is tried ends with its first seed if that one is hopeless"
    told = report(lab, "idea")["declaration"]
    assert told["diff"]["base"] == lab.git("rev-parse", "main")
    assert told["diff"]["tip"] == lab.git("rev-parse", "idea")
    assert told["diff"]["files"] == [["toy.py", 1, 1]]


def test_several_are_one_family(lab):
    """One baseline, one row each, Holm over them."""
    lab.branch("same", **{"toy.py": edited(lab, "args.slow)", "args.slow + 0)")})
    result = run(lab, "--exprun-tried=idea same")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["same * no effect *"])
    assert trained(lab) == 5 + 3 + 3


def test_the_working_tree_with_what_is_not_committed(lab):
    """On main it is judged against the last commit; its name says which state it was."""
    lab.write(**{"toy.py": edited(lab, *BETTER)})
    result = run(lab, "--exprun-tried=.")
    result.assert_outcomes(passed=1)
    name = re.search(
        r"(main-[0-9a-f]{7}) \(\w+ with changes that are in no commit\) against main", result.stdout.str()
    )[1]
    assert report(lab, name)["declaration"]["diff"]["uncommitted"] is True
    text = (lab.root / "docs" / "research" / f"experiment_{name}_1M.md").read_text(encoding="utf-8")
    assert "with changes that are in no commit" in text
    assert "exprun try" not in text


@pytest.mark.parametrize("where", ["working tree", "branch", "committed"])
def test_in_a_clone_with_commits_that_are_not_pushed(lab, where):
    """How to train here was committed on main of somebody else's project: an idea on top of it is judged alone, and so is a last commit."""
    lab.git("update-ref", "refs/remotes/origin/main", "main")
    lab.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    lab.commit("setup", **{"settings.py": "x = 1\n"})
    idea, files = edited(lab, *BETTER), "1 file, +1 -1"
    if where == "working tree":
        lab.write(**{"toy.py": idea})
        name, against = ".", "main"
    elif where == "branch":
        lab.branch("idea2", **{"toy.py": idea})
        name, against = "idea2", "main"
    else:
        lab.commit("idea", **{"toy.py": idea})
        name, against, files = ".", "origin/main", "2 files, +2 -1"
    result = run(lab, f"--exprun-tried={name}", "--exprun-mode=plan")
    result.stdout.fnmatch_lines([f"*) against {against} (*): {files}"])


def test_what_was_pushed_meanwhile_is_not_judged(lab):
    """A local main that is behind says nothing."""
    behind = lab.git("rev-parse", "main")
    lab.commit("others", **{"other.py": "x = 1\n"})
    lab.git("update-ref", "refs/remotes/origin/main", "main")
    lab.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    lab.branch("idea2", **{"toy.py": edited(lab, *BETTER)})
    lab.git("checkout", "--quiet", "idea2")
    lab.git("branch", "--quiet", "--force", "main", behind)
    result = run(lab, "--exprun-tried=.", "--exprun-mode=plan")
    result.stdout.fnmatch_lines(["idea2 (*) against origin/main (*): 1 file, +1 -1"])


def test_an_edit_during_the_session_changes_nothing(lab):
    """States are pinned when it begins: a ref that moves, and a file that is edited."""
    hook = "import pathlib, subprocess\ndef pytest_exprun_run_finished(run):\n    pathlib.Path('toy.py').write_text('nonsense(')\n"
    hook += "    subprocess.run(['git', 'branch', '--force', 'idea', 'main'], check=True)\n"
    lab.write(**{"conftest.py": hook})
    run(lab, "--exprun-tried=idea").assert_outcomes(passed=1)
    assert report(lab, "idea")["verdict"] == "WINNER"


def test_merging_a_judged_branch_trains_nothing(lab):
    """Keys hold content: its runs stand for main, whoever trained them and where."""
    run(lab, "--exprun-tried=idea").assert_outcomes(passed=1)
    lab.git("merge", "--quiet", "idea")
    lab.project.write("def test_base(baseline): ...")
    result = lab.project.run("--exprun-mode=plan")
    result.stdout.fnmatch_lines(["no experiments selected: nothing to train"])
    lab.project.write('@experiment("--rope")\ndef test_rope(): ...')
    lab.project.run("--exprun-mode=plan").stdout.fnmatch_lines(
        ["baseline * stored 42, 137, 256; missing 512, 1024; to train 2*"]
    )


def test_what_was_trained_at_home_stands_in_a_tree(lab):
    """And the other way round: a session of tests fills the store for the next diff."""
    lab.project.write('@experiment("--rope")\ndef test_rope(): ...')
    lab.project.run().assert_outcomes(passed=1)
    assert len(lab.project.runs) == 8
    run(lab, "--exprun-tried=idea").assert_outcomes(passed=1)
    assert trained(lab) == 3


def test_ideas_that_came_and_went_do_not_hide_the_baseline(lab):
    """After a harmless edit one run is compared with the stored runs of all states: the baseline's others stand."""
    lab.branch("worse", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 2.2 +")})
    run(lab, "--exprun-tried=idea worse").assert_outcomes(passed=1, failed=1)
    lab.commit("harmless", **{"toy.py": edited(lab, "time.sleep(args.slow)", "time.sleep(args.slow or 0)")})
    before = trained(lab)
    lab.branch("idea2", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 1.8 +")})
    result = run(lab, "--exprun-tried=idea2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*is the same to the last bit, so the other stored seeds stand"])
    assert trained(lab) == before + 1 + 3


@pytest.mark.parametrize(
    ("files", "why"),
    [({"README.md": "x\n"}, "no run depends on what changed (README.md)"), ({}, "no file differs")],
    ids=["docs", "nothing"],
)
def test_nothing_to_compare(lab, files, why):
    """It says so at once and is no failure: nothing is trained."""
    lab.branch("docs", **files)
    result = run(lab, "--exprun-tried=docs", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"docs: nothing to compare: {why}"])
    assert trained(lab) == 0


def test_a_refactoring_is_no_error(lab):
    """Its keys differ and its numbers do not: NEUTRAL, which is no loser; gate `identical` holds."""
    lab.branch("tidy", **{"toy.py": edited(lab, "time.sleep(args.slow)", "time.sleep(args.slow or 0)")})
    result = run(lab, "--exprun-tried=tidy", "--exprun-against-gate=identical")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["tidy * no effect *"])


def test_beside_the_tests(lab):
    """For CI: one item more, with a gate of its own."""
    lab.project.write('@experiment("--rope")\ndef test_rope(): ...')
    lab.write(**{"toy.py": edited(lab, "loss = 2.0 +", "loss = 2.2 +")})
    result = lab.project.run("--exprun-against=main", "--exprun-against-gate=loser")
    result.assert_outcomes(passed=2)
    assert len(lab.project.runs) == 8


def test_a_test_and_a_branch_of_one_name(lab):
    """Each has a report of its own: that of the branch is told apart by its tree."""
    lab.git("checkout", "--quiet", "idea")
    lab.git("checkout", "--quiet", "-b", "rope")
    lab.project.write('@experiment("--worse", gate="loser")\ndef test_rope(): ...')
    lab.commit("a test")
    result = lab.project.run("--exprun-against=main", "--exprun-against-gate=winner")
    result.assert_outcomes(passed=2)
    names = [path.stem for path in (lab.root / "docs" / "research").glob("experiment_rope*.md")]
    assert len(names) == 2
    assert report(lab, "rope")["verdict"] == "LOSER"


def test_flags_and_states_together(lab):
    """The baseline's flags are those of both arms, and each tree's own parser is asked about them."""
    new = edited(
        lab,
        'parser.add_argument("--rope"',
        'parser.add_argument("--new", action="store_true")\n    parser.add_argument("--rope"',
    )
    lab.branch("option", **{"toy.py": new})
    result = run(lab, "--exprun-tried=option", "--exprun-baseline=--new")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*exprun_baseline = --new: toy:main has no option --new*"])
    run(lab, "--exprun-tried=idea", "--exprun-baseline=--rope").assert_outcomes(passed=1)
    assert report(lab, "idea")["declaration"]["variant"]["flags"] == ["--rope"]


@pytest.mark.parametrize(
    "options", [("--exprun-executor=processes", "--exprun-jobs=2"), ("-n", "2")], ids=["processes", "xdist"]
)
def test_wherever_runs_are_performed(lab, options):
    """Several at once, of both trees; by workers of xdist that are told what was pinned."""
    lab.branch("worse", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 2.2 +")})
    result = lab.project.pytester.runpytest_subprocess("--exprun-tried=idea worse", *options)
    result.assert_outcomes(passed=1, failed=1)
    assert trained(lab) == 9


COMMAND = (
    "exprun_command = python toy.py --seed {seed} --train_tokens {train_tokens} --output_dir {output_dir} {flags}\n"
)
KEYWORDS = """
import random, helper

def train(seed, train_tokens, output_dir):
    return helper.LOSS + random.Random(seed).gauss(0, 0.01)
"""


def test_a_command(lab):
    """It runs in the tree, and so do the Pythons that it starts."""
    script = lab.toy + "\nif __name__ == '__main__':\n    import sys\n    main(sys.argv[1:])\n"
    ini = INI.replace("exprun_trainer = toy:main\n", COMMAND)
    lab.commit("a command", **{"toy.py": script, "pytest.ini": ini})
    lab.branch("idea2", **{"toy.py": script.replace(*BETTER)})
    result = run(lab, "--exprun-tried=idea2")
    result.assert_outcomes(passed=1)
    assert trained(lab) == 8


def test_a_function_with_keywords_and_a_module_beside_it(lab):
    """Modules come from the tree."""
    lab.commit("keywords", **{"kw.py": KEYWORDS, "helper.py": "LOSS = 2.0\n"})
    lab.branch("idea2", **{"helper.py": "LOSS = 1.9\n"})
    result = run(lab, "--exprun-tried=idea2", "--exprun-trainer=kw:train")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["idea2 * WINNER *"])


def test_a_src_layout(lab):
    """`pythonpath` of the ini file leads into the tree, whatever the session's own path has."""
    package = {
        "src__lab__init__.py": "",
        "src__lab__train.py": KEYWORDS.replace("helper", "lab.helper"),
        "src__lab__helper.py": "LOSS = 2.0\n",
    }
    package["src/lab/__init__.py"] = package.pop("src__lab__init__.py")
    lab.commit("src", **package)
    lab.branch("idea2", **{"src__lab__helper.py": "LOSS = 1.9\n"})
    result = run(lab, "--exprun-tried=idea2", "--exprun-trainer=lab.train:train", "-o", "pythonpath=src")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["idea2 * WINNER *"])


def test_code_of_the_working_tree_in_a_tree_is_an_error(lab):
    """A tree that names the root itself would be judged by other code."""
    spy = f"import sys\nsys.path.insert(0, {str(lab.root)!r})\nimport helper\n" + lab.toy
    lab.commit("a helper", **{"helper.py": ""})
    lab.branch("spy", **{"toy.py": spy})
    lab.git("checkout", "--quiet", "spy")
    lab.git("rm", "--quiet", "--cached", "helper.py")
    lab.git("commit", "--quiet", "--message", "without")
    lab.git("checkout", "--quiet", "--force", "main")
    result = run(lab, "--exprun-tried=spy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*helper.py from the working tree and not from the state that is judged*"])


def test_data_that_git_ignores(lab):
    """Missing, they are named with the line that shares them; shared, they are read as at home."""
    reader = "from pathlib import Path\nSHIFT = float(Path('data/set.txt').read_text())\n" + lab.toy
    lab.commit("data", **{"toy.py": reader, ".gitignore": ".exprun/\n.traces/\ndata/\n*.pyc\n"})
    lab.write(**{"data__set.txt": "1\n"})
    lab.branch("idea2", **{"toy.py": reader.replace(*BETTER)})
    result = run(lab, "--exprun-tried=idea2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*it looked for data/set.txt, which is in *: share it, exprun_shared = data*"])
    run(lab, "--exprun-tried=idea2", "--exprun-shared=data").assert_outcomes(passed=1)
    before = trained(lab)
    lab.write(**{"data__set.txt": "2\n"})
    run(lab, "--exprun-tried=idea2", "--exprun-shared=data").assert_outcomes(passed=1)
    assert trained(lab) >= before + 8


def test_a_file_that_is_in_no_commit_yet(lab):
    """The control lacks what was made for both sides: it is to be committed, not shared."""
    reader = "from pathlib import Path\nSHIFT = float(Path('set.txt').read_text())\n" + lab.toy
    lab.commit("reader", **{"toy.py": reader})
    lab.write(**{"set.txt": "1\n", "toy.py": reader.replace(*BETTER)})
    result = run(lab, "--exprun-tried=.")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*it looked for set.txt, which is in *: commit what both sides need, and compare *"])
    result.stdout.no_fnmatch_line("*exprun_shared*")


def test_a_session_leaves_the_repository_alone(lab):
    """Index, refs, stash and worktrees; and the working tree, but for the reports."""
    lab.write(**{"untracked.txt": "x"})
    before = lab.state()
    run(lab, "--exprun-tried=idea").assert_outcomes(passed=1)
    after = lab.state()
    told = "status --porcelain --ignored"
    new = set(after.pop(told).splitlines()) - set(before.pop(told).splitlines())
    assert new <= {"!! docs/", "!! .exprun/", "!! __pycache__/", "!! .pytest_cache/"}
    assert after == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--exprun-tried=nosuch",), "'nosuch' is no commit of"),
        (("--exprun-against=nosuch",), "'nosuch' is no commit of"),
        (("--exprun-tried=idea", "--exprun-against=HEAD:toy.py"), "'HEAD:toy.py' is no commit of"),
        (("--exprun-against=main", "--exprun-against-gate=best"), "exprun_against_gate = 'best': allowed is"),
        (("--exprun-tried=idea", "--exprun-shared=nosuch"), "exprun_shared = 'nosuch': nothing of that name"),
    ],
)
def test_bad_input_is_one_line(lab, args, said):
    """Before anything is trained."""
    result = run(lab, *args)
    assert result.ret != 0
    told = [line for line in (result.stdout.str() + result.stderr.str()).splitlines() if said in line]
    assert told
    assert trained(lab) == 0


@pytest.mark.parametrize("options", [(), ("--exprun-args=--noop",), ("--exprun-executor=processes", "--exprun-jobs=2")])
def test_a_state_that_breaks_breaks_no_other(lab, options):
    """One without its trainer, and one that cannot be imported; each error names its state."""
    lab.branch("gone", **{"other.py": "x = 1\n", "toy.py": "def ("})
    lab.git("checkout", "--quiet", "-b", "moved", "main")
    lab.git("mv", "toy.py", "renamed.py")
    lab.commit("moved")
    lab.git("checkout", "--quiet", "main")
    result = run(lab, "--exprun-tried=moved gone idea", *options)
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["moved: trainer module 'toy' not found in *"])
    result.stdout.fnmatch_lines(["gone: trainer toy:main *SyntaxError*"])
    result.stdout.fnmatch_lines(["idea * WINNER *"])


@pytest.mark.slow
def test_two_names(lab):
    """Of one state are one question; two states whose reports would have one name are told apart."""
    lab.git("branch", "again", "idea")
    lab.branch("my/idea", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 2.2 +")})
    lab.branch("my-idea", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 1.8 +")})
    result = run(lab, "--exprun-tried=idea again my/idea my-idea")
    result.assert_outcomes(passed=2, failed=1)
    names = [path.name for path in (lab.root / "docs" / "research").glob("experiment_my-idea-*.json")]
    assert len(names) == 2


def test_an_executor_that_cannot_train_another_state(lab):
    """It is refused before anything is trained: it would train the session's own files."""
    lab.write(**{"own.py": "class Plain:\n    rejects = run = print\n"})
    result = run(lab, "--exprun-tried=idea", "--exprun-executor=own:Plain")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "trains the files of the session, no other states of them" in result.stderr.str()
    assert not list(lab.root.glob(".exprun/trees/*/.traces"))


@pytest.mark.slow
def test_an_executor_of_ones_own(lab):
    """It performs tasks where they say."""
    source = (
        "from pytest_exprun.running.executors.processes import Processes\nclass Own(Processes):\n    trees = True\n"
    )
    lab.write(**{"own.py": source})
    result = run(lab, "--exprun-tried=idea", "--exprun-executor=own:Own")
    result.assert_outcomes(passed=1)
    assert trained(lab) == 8


def test_a_base_that_cannot_train_is_named(lab):
    """The error is of the base, not of the idea."""
    lab.commit("broken", **{"toy.py": "def main(argv):\n    raise ValueError('broken')\n"})
    lab.branch("mended", **{"toy.py": lab.toy})
    result = run(lab, "--exprun-tried=mended")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*seed 42 of main: *broken*"])


class TestMarked:
    """States on a marker, for results that are kept."""

    def test_a_branch(self, lab):
        """Against where it branched off; flags and parameters go with it."""
        lab.project.write('@experiment("--noise=1", ref="idea")\ndef test_idea(): ...')
        lab.project.run().assert_outcomes(passed=1)
        told = report(lab, "idea")["declaration"]
        assert told["variant"]["flags"] == ["--noise=1"]
        assert told["diff"]["tip"] == lab.git("rev-parse", "idea")
        assert trained(lab) == 8

    def test_a_parameter_names_it(self, lab):
        """As it does flags."""
        lab.branch("worse", **{"toy.py": edited(lab, "loss = 2.0 +", "loss = 2.2 +")})
        lab.project.write(
            '@pytest.mark.parametrize("name", ["idea", "worse"])\n@experiment(ref="{name}", gate="winner")\ndef test_try(name): ...'
        )
        lab.project.run().assert_outcomes(passed=1, failed=1)

    def test_a_patch_on_the_files_as_they_are(self, lab):
        """The control is the session's own root: main goes on, and the idea with it."""
        patch = lab.git("diff", "main", "idea", "--", "toy.py") + "\n"
        lab.write(**{"ideas__better.patch": patch, "toy.py": "\n" + lab.toy})
        lab.project.write('@experiment(patch="ideas/better.patch", gate="winner")\ndef test_better(): ...')
        lab.project.run().assert_outcomes(passed=1)
        assert len(lab.project.runs) == 5
        assert trained(lab) == 3

    def test_against_a_tag(self, lab):
        """What is here is on trial, a release the control."""
        lab.git("tag", "v1")
        lab.write(**{"toy.py": edited(lab, *BETTER)})
        lab.project.write('@experiment(against="v1", gate="winner")\ndef test_release(): ...')
        lab.project.run().assert_outcomes(passed=1)
        assert len(lab.project.runs) == 3
        assert trained(lab) == 5

    def test_nothing_to_compare(self, lab):
        """It is skipped with the reason."""
        lab.git("tag", "v1")
        lab.project.write('@experiment(against="v1")\ndef test_release(): ...')
        result = lab.project.run("-rs")
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines(
            ["release: nothing to compare: no run depends on what changed (experiments/test_rope.py)"]
        )

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ('ref="nosuch"', "'nosuch' is no commit of"),
            ('ref="idea", patch="x"', "ref and patch both say where the experiment's files come from"),
            ("ref=3", "ref=3: allowed is a branch, a tag or a commit"),
            ('patch=" "', "allowed is a file with a diff"),
            ('patch="nosuch.patch"', "patch='nosuch.patch': No such file or directory"),
            ('patch="toy.py"', "patch='toy.py' does not apply to the files as they are"),
        ],
    )
    def test_misuse_is_one_line(self, lab, words, said):
        """It names the test."""
        lab.project.write(f"@experiment({words})\ndef test_it(): ...")
        result = lab.project.run()
        result.assert_outcomes(errors=1)
        assert any("@experiment(" in line and said in line for line in result.outlines), result.stdout.str()


class TestSealed:
    """What a state on trial must not change."""

    @pytest.fixture
    def judge(self, lab):
        """Return the lab with an evaluation of its own, and a branch that scales it."""
        toy = lab.toy.replace(
            "    for step in (1, 2, 3):",
            "    from evaluate import scaled\n    loss = scaled(loss)\n    for step in (1, 2, 3):",
        )
        evaluate = "def scaled(loss):\n    return loss * {}\n"
        lab.commit("evaluation", **{"toy.py": toy, "evaluate.py": evaluate.format("1.0"), "data__val__a.txt": "1"})
        lab.branch("cheat", **{"evaluate.py": evaluate.format("0.9"), "other.py": "x = 1\n"})
        return lab

    def test_it_is_refused_before_training(self, judge):
        """The files are named, and the way out."""
        result = run(judge, "--exprun-tried=cheat idea", "--exprun-sealed=evaluate.py data/val*")
        result.assert_outcomes(errors=1, passed=1)
        result.stdout.fnmatch_lines(
            ["cheat: cheat changes evaluate.py, which exprun_sealed keeps as in main: *exprun_seal = overlay"]
        )

    def test_a_plan_says_so_too(self, judge):
        """And counts no run of it."""
        result = run(judge, "--exprun-tried=cheat", "--exprun-sealed=evaluate.py", "--exprun-mode=plan")
        assert result.ret != 0
        result.stdout.fnmatch_lines(["error ahead: cheat changes evaluate.py, which exprun_sealed keeps as in main: *"])
        result.stdout.no_fnmatch_line("*to train*")

    def test_or_judged_by_the_rules_of_the_control(self, judge):
        """Its own change of them is not there: nothing is left of this one."""
        result = run(judge, "--exprun-tried=cheat", "--exprun-sealed=evaluate.py", "--exprun-seal=overlay")
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines(["cheat: nothing to compare: no run depends on what changed (other.py)"])

    def test_files_that_it_adds_or_takes_away(self, judge):
        """Below a sealed folder too."""
        judge.branch("more", **{"data__val__b.txt": "1"})
        judge.git("checkout", "--quiet", "-b", "less", "main")
        judge.git("rm", "--quiet", "data/val/a.txt")
        judge.commit("less")
        judge.git("checkout", "--quiet", "main")
        result = run(judge, "--exprun-tried=more less", "--exprun-sealed=data/val")
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines(["more: more changes data/val/b.txt,*", "less: less changes data/val/a.txt,*"])

    def test_a_patch_on_a_marker(self, judge):
        """The same."""
        judge.write(**{"cheat.patch": judge.git("diff", "main", "cheat") + "\n"})
        judge.project.write('@experiment(patch="cheat.patch")\ndef test_cheat(): ...')
        result = judge.project.run("--exprun-sealed=evaluate.py")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*cheat changes evaluate.py, which exprun_sealed keeps as in main*"])

    def test_what_is_not_there_is_an_error(self, judge):
        """A misspelt seal would seal nothing."""
        result = run(judge, "--exprun-tried=cheat", "--exprun-sealed=evalute.py")
        assert result.ret != 0
        assert "exprun_sealed = 'evalute.py': nothing of that name in main" in result.stdout.str() + result.stderr.str()
