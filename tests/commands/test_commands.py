"""The `exprun` command: every subcommand in this process, and what a shell sees in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.cli import build_parser, main
from pytest_exprun.commands.audit import TOLERANCE
from pytest_exprun.commands.why import matches
from pytest_exprun.study.session import Session
from pytest_exprun.terms.declaration import declare_baseline
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import SEEDS, Variant, baseline_seeds
from pytest_exprun.terms.project import find_project
from pytest_exprun.trust.store.records import decode, encode
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.relabeling import chance
from pytest_exprun.verdict.rules import judge

BASELINE = (2.00, 2.01, 2.02, 1.99, 1.98)
SAME = (1.99, 2.003, 2.012, 1.985, 1.97)
ROPE = '@experiment("--rope")\ndef test_rope(): ...'


def numbers(values):
    """Return numbers as they are typed."""
    return ",".join(map(str, values))


class Exprun:
    """Calls `exprun` in this process and keeps what it printed."""

    def __init__(self, capsys):
        self._capsys = capsys

    def __call__(self, *argv, status=0):
        """Run the command; fail unless its exit status is the expected one. Return its standard output."""
        self._capsys.readouterr()
        returned = main(list(argv))
        self.out, self.err = self._capsys.readouterr()
        assert returned == status, self.out + self.err
        return self.out

    def refused(self, *argv):
        """Run the command, expect it to be refused in one line, and return that line."""
        out = self(*argv, status=2)
        assert out == ""
        assert re.fullmatch(r"exprun: [^\n]+\n", self.err), self.err
        return self.err

    def flat(self):
        """Return what was printed with folded lines joined."""
        return " ".join(self.out.split())


@pytest.fixture
def exprun(capsys, monkeypatch):
    """Return the command; sessions started around the tests say nothing to it."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Exprun(capsys)


@pytest.fixture
def project(toy_project):
    """Return a toy project, which is the current directory."""
    assert Path.cwd() == toy_project.pytester.path
    return toy_project


def train_baseline(**changes):
    """Train and store ten seeds of the baseline, as `exprun aa` does."""
    settings = find_project(Path.cwd(), {}).settings({name: str(value) for name, value in changes.items()})
    seeds = baseline_seeds(10)
    study = Session(settings, writes_reports=False).study
    study.arm(settings.default_control, seeds, declare_baseline(settings, seeds, seeds))


def snapshot(folder):
    """Return the bytes of every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# judge


@pytest.mark.parametrize(
    ("experiment", "verdict", "status"),
    [
        ((1.90, 1.91, 1.92), "WINNER", 0),
        (SAME, "NEUTRAL", 0),
        ((2.05, 2.061, 2.069), "LOSER", 1),
        ((1.9, "nan", 1.9), "LOSER", 1),
        ((2.0, 2.4, 1.9), "LOSER", 1),
    ],
)
def test_judge_says_the_verdict_and_exits_with_it(exprun, experiment, verdict, status):
    """0 unless the experiment is a LOSER, then 1."""
    out = exprun("judge", numbers(BASELINE), numbers(experiment), status=status)
    assert f"\n{verdict} experiment: val_loss 2.0000 -> " in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert out.isascii()


def test_judge_takes_a_batch_as_one_look(exprun):
    """Five numbers at once are one look at level .025 over all of them, even where the first three alone would have been decisive."""
    experiment = (1.9, 1.91, 1.92, 2.1, 2.19)
    found = json.loads(exprun("judge", numbers(BASELINE), numbers(experiment), "--json"))
    expected = judge(dict(enumerate(BASELINE)), dict(enumerate(experiment, 5)), looks=1)
    assert (found["verdict"], found["reason"], found["p_value_one_sided"]) == (
        expected.verdict,
        expected.reason,
        expected.p_value,
    )
    assert found["evidence"]["n_experiment"] == 5
    assert expected.verdict == "NEUTRAL"
    assert judge(dict(enumerate(BASELINE)), dict(enumerate(experiment, 5))).verdict == "WINNER"


def test_judge_without_seeds_is_unpaired(exprun):
    """Typed numbers have no seeds, so the test is Welch's; that is said."""
    found = json.loads(exprun("judge", numbers(BASELINE), numbers(SAME), "--json"))
    test = stats.welch(BASELINE, SAME)
    assert found["effects"]["val_loss"]["p_value"] == pytest.approx(test.p_value, rel=1e-12)
    assert found["paired_seeds"] == []
    exprun("judge", numbers(BASELINE), numbers(SAME))
    assert "pairing none: baseline and experiment carry no seeds" in exprun.flat()


def logs(folder, values, name="run_seed{}.log"):
    """Write a log for each seed of the protocol; the last value counts."""
    folder.mkdir(parents=True)
    for seed, value in zip(SEEDS, values, strict=False):
        (folder / name.format(seed)).write_text(
            f"Step 1 | val_loss: 9.0\nStep 2 | val_loss: {value} | lr: 1\n", encoding="utf-8"
        )
    return str(folder)


def test_judge_pairs_logs_by_seed(exprun, tmp_path):
    """A folder with a log a seed gives the paired test of the same seeds, whatever the order of the names."""
    arms = [logs(tmp_path / "base", BASELINE), logs(tmp_path / "exp", SAME, "log-seed={}")]
    found = json.loads(exprun("judge", *arms, "--json"))
    assert found["effects"]["val_loss"]["p_value"] == pytest.approx(stats.paired(BASELINE, SAME).p_value, rel=1e-12)
    assert sorted(found["paired_seeds"]) == sorted(SEEDS)
    out = exprun("judge", *arms)
    assert "pairing by seed, 5 in common (42, 137, 256, 512, 1024)" in exprun.flat()
    assert re.search(r"^42 +2\.0000 +1\.9900 +-0\.0100$", out, re.MULTILINE)


def test_judge_pairs_the_common_seeds_of_a_quoted_glob(exprun, tmp_path):
    """Arms of other lengths are paired where they overlap; three pairs are too few for a paired test and that is said."""
    base, exp = logs(tmp_path / "base", BASELINE), logs(tmp_path / "exp", SAME[:3])
    exprun("judge", f"{base}/*.log", f"{exp}/*.log")
    assert "3 in common (42, 137, 256); too few for a paired test" in exprun.flat()
    assert "Welch" in exprun.out


@pytest.mark.parametrize("shared", [0, 1])
def test_judge_pairs_nothing_by_a_single_seed(exprun, tmp_path, shared):
    """With fewer than two seeds in common the arms are compared unpaired, and that is said."""
    base, exp = logs(tmp_path / "base", BASELINE), tmp_path / "exp"
    logs(exp, SAME[:4], "{}")
    for number, seed in enumerate(SEEDS[shared:4]):
        (exp / str(seed)).rename(exp / f"seed{number}.log")
    exprun("judge", base, f"{exp}/*")
    assert "pairing none: the arms have fewer than two seeds in common" in exprun.flat()
    assert "Welch" in exprun.out


def test_judge_shows_the_difference_that_the_verdict_is_about(exprun, tmp_path):
    """two_sigma compares means of all seeds, also where only some are common; tested compares the pairs."""
    base = logs(tmp_path / "base", BASELINE)
    exp = logs(tmp_path / "exp", [9.0, *SAME[1:], 1.99], "seed{}")
    (tmp_path / "exp" / "seed42").rename(tmp_path / "exp" / "seed7")
    (tmp_path / "exp" / "seed7").write_text("val_loss: 1.9", encoding="utf-8")
    for rule, delta in (
        ("two_sigma", sum([1.9, *SAME[1:]]) / 5 - sum(BASELINE) / 5),
        ("tested", sum(SAME[1:]) / 4 - sum(BASELINE[1:]) / 4),
    ):
        found = json.loads(exprun("judge", base, exp, f"--rule={rule}", "--json"))
        assert found["effects"]["val_loss"]["delta"] == pytest.approx(delta, abs=1e-12)
        assert f"{abs(delta) / stats.describe(BASELINE).std:.2f} baseline sigmas" in found["reason"]


def test_judge_takes_many_and_unequal_numbers(exprun):
    """Forty numbers against thirty are one Welch comparison."""
    many = [2 + 0.01 * ((7 * at) % 11 - 5) for at in range(40)]
    found = json.loads(exprun("judge", numbers(many), numbers([value - 0.1 for value in many[:30]]), "--json"))
    assert (found["verdict"], found["evidence"]["n_baseline"], found["evidence"]["n_experiment"]) == ("WINNER", 40, 30)
    exprun("judge", numbers(many), numbers(many[:30]))


def test_judge_reads_a_column_and_a_direction(exprun, tmp_path):
    """A metric of which more is better turns the verdict round; a metric that nobody knows must say so."""
    for name, values in (("a.csv", BASELINE), ("b.csv", [value + 0.1 for value in BASELINE])):
        (tmp_path / name).write_text("seed,score\n" + "".join(f"{s},{v}\n" for s, v in zip(SEEDS, values, strict=True)))
    arms = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--metric=score"]
    assert "nobody says whether more score is better" in exprun.refused("judge", *arms)
    assert "WINNER" in exprun("judge", *arms, "--higher-is-better")
    assert "LOSER" in exprun("judge", *arms, "--lower-is-better", status=1)
    assert "LOSER" in exprun("judge", *arms[:2], "--column=score", status=1), "a loss, whatever the column is called"


def test_judge_by_the_tested_rule_shows_the_protocols_verdict_where_it_differs(exprun):
    """--rule and --min-effect decide; two_sigma's own verdict stands beside."""
    unsure = numbers((1.92, 1.97, 1.99))
    assert "NOTE: not confirmed, p = .093" in exprun("judge", numbers(BASELINE), unsure)
    out = exprun("judge", numbers(BASELINE), unsure, "--rule=tested")
    assert "NEUTRAL experiment" in out
    assert "WINNER by the protocol's own rule two_sigma, not by tested" in exprun.flat()
    small = numbers([value - 0.018 for value in BASELINE])
    assert "WINNER" not in exprun("judge", numbers(BASELINE), small, "--rule=tested")
    exprun(
        "judge",
        numbers([*BASELINE] * 6),
        numbers([value - 0.018 for value in BASELINE] * 6),
        "--rule=tested",
        "--min-effect=1",
    )
    assert exprun.out.splitlines()[4].startswith("WINNER")


def test_judge_takes_negative_numbers(exprun):
    """A list that starts with a minus is no option."""
    negative = numbers([-value for value in BASELINE])
    assert "NEUTRAL" in exprun("judge", negative, negative)
    assert "LOSER" in exprun("judge", negative, numbers([-1.0, -1.0, -1.0]), status=1)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "was given 0"),
        (["1,2,3,4,5"], "was given 1"),
        (["a.log", "b.log", "c.log"], "quote a glob"),
        (["1,2,3,4", "1,2,3"], "the baseline has 4 seeds: a verdict needs at least 5"),
        (["1,2,3,4,5", "1,2"], "the experiment has 2 seeds: a verdict needs at least 3"),
        (["1,1,1,1,1", "1,2,3"], "s_b = 0"),
        (["1,2,3,4,nan", "1,2,3"], "baseline seed 5 diverged"),
        (["1,2,3,4,x", "1,2,3"], "neither an existing file"),
        (["1,2,3,4,5", "1,2,3", "--rule=p_hacking"], "exprun_rule = 'p_hacking': allowed is two_sigma or tested"),
        (["1,2,3,4,5", "1,2,3", "--min-effect=-1"], "exprun_min_effect = '-1'"),
        (["1,2,3,4,5", "1,2,3", "--minimum=1"], "unrecognized arguments: --minimum=1"),
        (["1,2,3,4,5", "1,2,3", "--higher-is-better", "--lower-is-better"], "not allowed with"),
        (["1,2,3,4,1e200", "1,2,3"], "1e+200"),
    ],
)
def test_judge_refuses_in_one_line(exprun, argv, message):
    """Bad input is one line on standard error and the exit status 2."""
    assert message in exprun.refused("judge", *argv)


def test_judge_takes_rule_and_metric_from_the_project(exprun, project):
    """The ini file's rule counts here too."""
    path = project.pytester.path / "pytest.ini"
    path.write_text(path.read_text() + "exprun_rule = tested\n", encoding="utf-8")
    assert "NEUTRAL" in exprun("judge", numbers(BASELINE), numbers((1.92, 1.97, 1.99)))
    assert "WINNER" in exprun("judge", numbers(BASELINE), numbers((1.92, 1.97, 1.99)), "--exprun-rule=two_sigma")


# aa


def test_aa_trains_five_further_seeds_and_finds_nothing(exprun, project):
    """The baseline's five seeds and five more are trained once, and judged unpaired: NEUTRAL."""
    out = exprun("aa")
    assert project.seeds() == list(baseline_seeds(10))
    assert "NEUTRAL aa: val_loss" in out
    assert "A/A passed" in out
    assert "Relabelling: 2000 random ways to call the 10 stored baseline runs" in exprun.flat()
    assert "gave a verdict in 6.9 % (WINNER 6.6 %, LOSER 0.3 %)" in exprun.flat()
    assert "ten normal seeds give a verdict in 6 % on average, 95 % of such sets between 3 and 14 %" in exprun.flat()
    assert "Wall time differs by 0.00 %" in exprun.flat()
    assert "Step 1" not in out
    assert all(len(line) <= 80 for line in out.splitlines())
    again = exprun("aa")
    assert len(project.runs) == 10
    assert again == out[out.index("A/A at 1M tokens") :]


def test_aa_and_a_session_share_their_runs(exprun, project):
    """What aa stored stands in a session and the other way round; a session's baseline keeps its five seeds, and aa writes no report."""
    exprun("aa")
    assert not (project.pytester.path / "docs").exists()
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    assert len(project.seeds()) == 10
    assert "## Baseline Statistics (N=5 runs)" in project.report("experiment_rope_1M.md")


def test_aa_after_a_session_trains_five(exprun, project):
    """The stored baseline is not trained again."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    exprun("aa")
    assert project.seeds() == list(baseline_seeds(10))


def edit(project, old, new, name="toy.py"):
    """Change a file of the project."""
    path = project.pytester.path / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_aa_fails_where_results_depend_on_more_than_the_seed(exprun, project):
    """A trainer that gets better with every run is caught: exit status 1, and the reason in plain words."""
    edit(project, "    for step in (1, 2, 3):", "    loss -= 0.02 * (args.seed > 1024)\n    for step in (1, 2, 3):")
    exprun("aa", status=1)
    assert "A/A FAILED: WINNER though nothing was changed. Chance alone does this in about 6 %" in exprun.flat()


def test_aa_uses_the_projects_baseline_rule_and_seeds(exprun, project):
    """Flags, budget, common arguments, rule and a longer baseline come from the settings."""
    out = exprun(
        "aa", "--baseline=--rope", "--tokens=20_000", "--args=--shift=1", "--rule=tested", "--baseline-seeds=8"
    )
    assert [line.split()[1:4:2] for line in project.runs] == [["20000", str(seed)] for seed in baseline_seeds(13)]
    assert all("--shift=1 --rope" in line for line in project.runs)
    assert "A/A at 20K tokens: the baseline (--rope) against its own further seeds 16384" in exprun.flat()
    assert "the 13 stored baseline runs" in exprun.flat()
    assert "baseline    8 " in out
    assert "2 % on average, 95 % of such sets between 0 and 4 %" in exprun.flat()


def test_aa_refuses_a_trainer_that_ignores_the_seed(exprun, project):
    """All losses equal is no noise but a broken trainer."""
    edit(project, "args.constant else", "True else")
    exprun("aa", status=2)
    assert "seems to ignore --seed" in exprun.err


def test_a_failing_trainer_shows_its_last_lines(exprun, project):
    """What the trainer printed before it failed is shown on standard error, and finished seeds stay stored."""
    edit(project, "    if args.seed == args.crash_at:", "    print('loading', args.seed)\n    if args.seed == 256:")
    exprun("aa", status=2)
    assert "the trainer's last lines:\n" in exprun.err
    assert "  loading 256\n" in exprun.err
    assert (
        "trainer toy:main (exprun_trainer): seed 256 of no flags: raised RuntimeError: CUDA out of memory" in exprun.err
    )
    assert "Traceback" not in exprun.err
    exprun("why")
    assert "seeds 42, 137 of" in exprun.flat()


# power


def test_power_asks_for_a_baseline_and_trains_none(exprun, project):
    """Without stored runs it says which are missing, and that it trains nothing."""
    project.write(ROPE)
    assert "is not stored: missing seed 42, 137, 256, 512, 1024" in exprun.refused("power")
    assert project.runs == []
    assert not (project.pytester.path / ".exprun").exists()


def test_power_gives_seeds_for_each_effect_with_the_range_of_sigma(exprun, project):
    """Counts are those of the t test at the estimated sigma, and between its 95 % bounds; rho is unknown before any experiment."""
    train_baseline()
    out = exprun("power")
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "rho is not known yet" in out
    sigma = stats.describe(_losses(project)).std
    low, high = stats.sigma_interval(sigma, 5)
    for d in (0.5, 1.0, 2.0):
        row = next(line for line in out.splitlines() if line.startswith(f"d = {d:g} "))
        assert f"{d * sigma:.4f}" in row
        unpaired = [stats.seeds_needed(d * sigma / true) for true in (sigma, low, high)]
        assert f"{unpaired[0]} [{unpaired[1]} to {unpaired[2]}]" in row
        paired = [stats.seeds_needed_paired(d * sigma / true, 0.9) for true in (sigma, low, high)]
        assert row.endswith(f"{paired[0]} [{paired[1]} to {paired[2]}]")
    assert re.search(r"^5 \+ 3 +2\.46 ", out, re.MULTILINE)
    assert re.search(r"^5 \+ 5, unpaired +2\.02 ", out, re.MULTILINE)
    assert re.search(r"^5 pairs, rho 0\.90 +0\.75 ", out, re.MULTILINE)


def _losses(project, count=5):
    """Return the stored losses of the baseline's first seeds."""
    records = [decode(path.read_bytes()) for path in project.pytester.path.glob(".exprun/baseline/*/seed-*.json")]
    by_seed = {record.result.spec.seed: record.result.metrics["val_loss"] for record in records}
    return [by_seed[seed] for seed in baseline_seeds(count)]


def test_power_learns_rho_from_stored_experiments(exprun, project):
    """An arm on the same seeds gives its correlation; the plan's columns follow the arms with most seeds."""
    project.write(f'{ROPE}\n@experiment("--shift=0.3", "--noise=0.4")\ndef test_noise(): ...')
    project.run().assert_outcomes(passed=2)
    exprun("power")
    own = json.loads((project.pytester.path / "docs/research/experiment_noise_1M.json").read_text())["evidence"]["rho"]
    assert f"--shift=0.3 --noise=0.4 {own:.2f} (5 seeds)" in exprun.flat()
    assert "--rope 1.00 (3 seeds)" in exprun.flat()
    assert re.search(rf"effect +size +unpaired +rho {int(100 * own) / 100:.2f}$", exprun.out, re.MULTILINE)


def test_power_ignores_arms_of_another_budget(exprun, project):
    """An experiment at another scale says nothing of this baseline."""
    project.write('@experiment("--shift=0.3", "--noise=0.4")\ndef test_noise(): ...')
    project.run("--exprun-tokens=20000").assert_outcomes(passed=1)
    train_baseline()
    assert "rho is not known yet" in exprun("power")
    assert "rho so far" in exprun("power", "--tokens=20000")


def test_power_of_a_stale_baseline_says_why(exprun, project):
    """Runs of other code do not stand in."""
    train_baseline()
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "stored runs do not stand: source toy.py changed" in exprun.refused("power")


# why


def test_why_of_an_empty_store(exprun, project):
    """Nothing stored is said, and nothing is made."""
    before = snapshot(project.pytester.path)
    assert "nothing is stored in" in exprun("why")
    assert snapshot(project.pytester.path) == before


def test_why_says_that_nothing_changed_or_what_did(exprun, project):
    """Right after a session every arm stands; a changed source is named with its old and new digest."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    exprun("why")
    assert re.search(r"^baseline \(no flags\) at 1M tokens$", exprun.out, re.MULTILINE)
    assert re.search(r"seeds 42, 137, 256, 512, 1024 of \S+: nothing changed: 5 seeds stand", exprun.flat())
    assert re.search(
        r"\(--rope\) at 1M tokens seeds 42, 137, 256 of \S+: nothing changed: 3 seeds stand", exprun.flat()
    )
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    before = snapshot(project.pytester.path)
    out = exprun("why")
    assert len(re.findall(r"^    source toy.py: [0-9a-f]{12} -> [0-9a-f]{12}$", out, re.MULTILINE)) == 2
    assert "nothing changed" not in out
    assert snapshot(project.pytester.path) == before
    assert len(project.runs) == 8


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import argparse", "import argparse  # a comment"),
        ('"""Pretend to train."""', '"""Really pretend."""'),
    ],
)
def test_why_agrees_with_a_session_on_harmless_changes(exprun, project, old, new):
    """What the fingerprint sees through is no change here either."""
    train_baseline()
    edit(project, old, new)
    assert "nothing changed: 10 seeds stand" in " ".join(exprun("why").split())


@pytest.mark.parametrize(
    ("stale", "consequence"),
    [
        ("verify", "the next session trains one seed again; if it is the same to the last bit, the others stand"),
        ("retrain", "the next session trains them again"),
        ("error", "the next session refuses them (exprun_stale = error)"),
        ("keep", "the next session judges from them all the same, and says so (exprun_stale = keep)"),
    ],
)
def test_why_says_what_the_next_session_does(exprun, project, stale, consequence):
    """The consequence follows exprun_stale."""
    train_baseline()
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    exprun("why", f"--stale={stale}")
    assert consequence in exprun.flat()


def test_why_after_a_verified_change(exprun, project):
    """A seed that came out the same lets the others stand; what changed is still shown."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    edit(project, "def main(argv):", "def unused():\n    return 3\n\n\ndef main(argv):\n    unused()")
    project.run().assert_outcomes(passed=1)
    assert len(project.seeds()) == 6
    exprun("why")
    assert "stand, because one trained again came out the same to the last bit" in exprun.flat()
    assert "source toy.py: " in exprun.out


def test_why_names_a_changed_setting_and_tells_scales_apart(exprun, project):
    """Budgets are questions of their own; another trainer is a change of all."""
    train_baseline(tokens=20_000)
    train_baseline()
    out = exprun("why")
    assert out.index("at 20K tokens") < out.index("at 1M tokens")
    assert exprun.flat().count("nothing changed: 10 seeds stand") == 2
    shutil.copy(project.pytester.path / "toy.py", project.pytester.path / "toy2.py")
    out = exprun("why", "--trainer=toy2:main")
    assert out.count("    trainer: toy:main -> toy2:main\n") == 2


@pytest.mark.usefixtures("project")
def test_why_shows_the_arguments_of_every_run(exprun):
    """What all runs were given stands in the arm's line, a blank before it."""
    train_baseline(args="--noise=0.5")
    assert exprun("why").startswith("baseline (no flags) at 1M tokens with --noise=0.5\n")


def test_why_of_one_arm(exprun, project):
    """-k chooses arms as it chooses tests; what matches nothing is said with what there is."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    assert "baseline" not in exprun("why", "-k", "rope")
    assert "--rope" not in exprun("why", "-k", "not rope")
    assert "no stored arm matches -k 'qk'; there are: rope, baseline" in exprun("why", "-k", "qk")
    assert "allowed are parts of a name" in exprun.refused("why", "-k", "rope and (")


@pytest.mark.parametrize(
    ("expression", "found"),
    [("rope", True), ("ROPE", True), ("not rope", False), ("rope and base", False), ("rope or base", True), ("not (base or x)", True),
     ("lr_scale=0.5", True), ("-3", False)],
)  # fmt: skip
def test_expressions_are_read_as_by_pytest(expression, found):
    """Names, and, or, not, brackets; in any case."""
    assert matches(expression, "rope-lr_scale=0.5") is found


@pytest.mark.parametrize("expression", ["", "rope rope", "(", "and", "not", "rope)"])
def test_expressions_that_cannot_be_read_are_refused(expression):
    """One line, and nothing is evaluated."""
    with pytest.raises(RefusedError, match="allowed are parts of a name"):
        matches(expression, "rope")


def test_why_names_damaged_records_and_leaves_them(exprun, project):
    """A record that cannot be believed is named with the reason; it stays for the next session to set aside."""
    train_baseline()
    path = next(project.pytester.path.glob(".exprun/baseline/*/seed-137.json"))
    data = path.read_bytes()
    path.write_bytes(data[:-9] + b"x" + data[-8:])
    exprun("why")
    assert "damaged: baseline/" in exprun.flat()
    assert "seed-137.json" in exprun.flat()
    assert "9 seeds stand" in exprun.flat()
    assert path.exists()


def test_why_follows_what_a_run_read(exprun, project):
    """A file that a run opened and that changed since makes just the runs that read it fall."""
    edit(
        project,
        "    time.sleep(args.slow)",
        "    (Path(__file__).parent / ('da' + 'ta.bin')).read_bytes()\n    time.sleep(args.slow)",
    )
    (project.pytester.path / "data.bin").write_bytes(b"1")
    train_baseline()
    exprun("why")
    assert "nothing changed: 10 seeds stand" in exprun.flat()
    (project.pytester.path / "data.bin").write_bytes(b"2")
    exprun("why")
    assert "no seed stands; files that a run read have changed" in exprun.flat()
    assert "seed 42 does not stand: file data.bin: " in exprun.flat()


# audit


def test_audit_trains_one_stored_run_again(exprun, project):
    """An honest record comes back bit for bit, one run is trained, and the store is as before."""
    train_baseline()
    before = snapshot(project.pytester.path / ".exprun")
    exprun("audit", "--seed=137")
    assert "audit passed: seed 137 of no flags came back bit for bit." in exprun.flat()
    assert len(project.runs) == 11
    assert snapshot(project.pytester.path / ".exprun") == before
    assert not list((project.pytester.path / "checkpoints").glob("*"))


def test_audit_draws_a_run_at_random(exprun, project):
    """Without --seed and --slug any stored run may be drawn."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    for _ in range(12):
        exprun("audit")
    drawn = {tuple(line.split()[3:5]) for line in project.runs[8:]}
    # Twelve draws out of eight runs: that they are all the same has a probability of 8 ** -11.
    assert len(drawn) > 1


def forge(project, seed, provenance=None, slug="baseline", **metrics):
    """Write another result into a record, checksum and all."""
    path = next(project.pytester.path.glob(f".exprun/{slug}/*/seed-{seed}.json"))
    record = decode(path.read_bytes())
    record.result.metrics.update(metrics)
    record.result.provenance.update(provenance or {})
    path.write_bytes(encode(record))
    return path


def test_audit_catches_a_forged_record(exprun, project):
    """A record that the code did not make is named: exit status 1, the record untouched, in plain words."""
    train_baseline()
    path = forge(project, 256, val_loss=1.5)
    data = path.read_bytes()
    exprun("audit", "--seed=256", status=1)
    assert "AUDIT FAILED: seed 256 of no flags did not come back: val_loss 1.5 and 1.98" in exprun.flat()
    assert path.read_bytes() == data
    exprun("audit", "--seed=42")


def test_audit_catches_a_trainer_that_is_not_reproducible(exprun, project):
    """The last bit counts."""
    train_baseline()
    forge(project, 42, val_loss=_losses(project)[0] * (1 + 2e-16))
    exprun("audit", "--seed=42", status=1)
    assert "or the trainer is not reproducible" in exprun.flat()


@pytest.mark.parametrize(("sigmas", "status"), [(TOLERANCE * 0.9, 0), (TOLERANCE * 1.1, 1), (20.0, 1)])
def test_audit_on_another_machine_has_a_tolerance(exprun, project, sigmas, status):
    """Where the CPU differs, half a sigma of the arm is allowed and no more; which fact differs is said."""
    train_baseline()
    losses = _losses(project, 10)
    # The forged value widens the arm's own spread a little; solve for the move in units of the spread that the audit sees.
    moved = next(
        losses[0] + step * 1e-5
        for step in range(1, 10**6)
        if step * 1e-5 / stats.describe([losses[0] + step * 1e-5, *losses[1:]]).std >= min(sigmas, 2.9)
    )
    forge(project, 42, {"cpu": "Abacus 9000"}, val_loss=moved)
    exprun("audit", "--seed=42", status=status)
    assert "cpu Abacus 9000 -> " in exprun.flat()
    assert ("within tolerance" in exprun.flat()) == (status == 0)


def test_audit_of_an_equal_run_needs_no_tolerance(exprun, project):
    """Bit for bit on another machine is bit for bit."""
    train_baseline()
    forge(project, 42, {"cpu": "Abacus 9000"})
    assert "came back bit for bit" in exprun("audit", "--seed=42")


def test_audit_of_one_arm(exprun, project):
    """--slug names an arm by its folder or its flags."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    for slug in ("rope", "--rope"):
        exprun("audit", f"--slug={slug}")
        assert "of --rope came back" in exprun.flat()
    assert "no such arm; there are: baseline, rope" in exprun.refused("audit", "--slug=qk")
    assert "has no such stored seed; there are: 42, 137, 256" in exprun.refused("audit", "--slug=rope", "--seed=7")
    assert "invalid int value: 'x'" in exprun.refused("audit", "--seed=x")


def test_audit_wants_runs_that_stand(exprun, project):
    """Runs of other code cannot come back, so they are no subject of an audit."""
    assert "nothing to audit" in exprun.refused("audit")
    train_baseline()
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "nothing to audit" in exprun.refused("audit")


# The command itself.


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["powr"], "invalid choice: 'powr'"),
        (["why", "--rootdir=nowhere"], "--rootdir nowhere: no such folder"),
        (["why", "--tokens=0"], "exprun_tokens = '0'"),
        (["why", "--trainer=toy"], "exprun_trainer = 'toy': allowed is module:function"),
        (["power", "--trainer=nosuch:main"], "trainer module 'nosuch' not found"),
        (["aa", "--trainer=toy:nosuch"], "has no function 'nosuch'"),
        (["aa", "--baseline=--ropee"], "did you mean --rope?"),
        (["aa", "--metric=zork"], "nobody says whether more zork is better"),
        (["why", "--store=toy.py", "-k"], "expected one argument"),
    ],
)
def test_mistakes_are_one_line(exprun, project, argv, message):
    """Every mistake is one line that says what is allowed, with exit status 2."""
    assert project.runs == []
    exprun(*argv, status=2)
    assert message in exprun.err
    assert exprun.err.splitlines()[-1].startswith("exprun: ")
    assert len(exprun.err.splitlines()) == 1


def test_a_mistake_in_the_configuration_is_one_line(exprun, project):
    """So is a misspelt key."""
    (project.pytester.path / "pytest.ini").write_text("[pytest]\nexprun_trainr = toy:main\n", encoding="utf-8")
    assert "did you mean exprun_trainer?" in exprun.refused("why")


def test_another_root_directory(exprun, project, tmp_path_factory, monkeypatch):
    """--rootdir names the project from anywhere."""
    train_baseline()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert "nothing changed: 10 seeds stand" in " ".join(exprun("why", f"--rootdir={project.pytester.path}").split())


def test_a_trainer_on_pythonpath_is_found(exprun, project):
    """pytest's `pythonpath` counts, the key is the session's, and the import path is left as it was."""
    source = project.pytester.mkdir("src") / "toy3.py"
    (project.pytester.path / "toy.py").rename(source)
    edit(project, "exprun_trainer = toy:main", "exprun_trainer = toy3:main\npythonpath = src", name="pytest.ini")
    before = list(sys.path)
    exprun("aa")
    assert sys.path == before
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    trained = (source.parent / ".traces" / "runs").read_text(encoding="utf-8").splitlines()
    assert len(trained) == 13
    assert "nothing changed: 10 seeds stand" in " ".join(exprun("why").split())


def test_ctrl_c_ends_without_a_traceback(exprun, project):
    """130, finished seeds stay stored."""
    edit(
        project,
        "    if args.seed == args.crash_at:",
        "    if args.seed == 256:\n        raise KeyboardInterrupt\n    if False:",
    )
    exprun("aa", status=130)
    assert exprun.err == "exprun: interrupted; runs that had finished are stored\n"
    assert "42, 137 of" in exprun("why")


@pytest.mark.parametrize("command", ["", "power", "judge", "aa", "why", "audit"])
def test_help_fits_and_is_ascii(exprun, command, monkeypatch):
    """--help of every command names the exit statuses."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as done:
        main([*command.split(), "--help"])
    assert done.value.code == 0
    out = exprun._capsys.readouterr().out
    assert "exit status: 0" in out
    assert out.isascii()
    assert all(len(line) <= 80 for line in out.splitlines())


def test_every_setting_of_a_session_is_an_option(exprun):
    """Nothing of the settings' table is forgotten, but for what only a session has a use for."""
    from pytest_exprun.terms.settings import Settings

    with pytest.raises(SystemExit):
        main(["aa", "--help"])
    out = exprun._capsys.readouterr().out
    given = {row.name for row in Settings.rows() if f"{row.flag} " in out}
    assert {row.name for row in Settings.rows()} - given == {"mode", "plots"}


def shell(*argv, cwd, **more):
    """Start `exprun` in a process of its own."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())", *argv],
        cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def test_the_console_script_is_installed():
    """The entry point names this function."""
    from importlib.metadata import entry_points

    (found,) = entry_points(group="console_scripts", name="exprun")
    assert found.load() is main
    assert Variant().slug == "baseline"


def test_a_real_sigint_ends_with_130(project):
    """Ctrl-C in a shell: the process ends by itself, without a traceback, with what was finished stored."""
    project.hold(137)
    process = shell("aa", cwd=project.pytester.path)
    project.wait_for_runs(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert err == "exprun: interrupted; runs that had finished are stored\n"
    assert len(list(project.pytester.path.glob(".exprun/baseline/*/seed-*.json"))) == 1


def test_a_closed_pipe_is_quiet(tmp_path):
    """`exprun ... | head -0` prints no traceback."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())", "judge", "1,2,3,4,5", "1,2,3"],
        cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=180,
    )  # fmt: skip
    os.close(write)
    assert (process.returncode, process.stderr) == (141, "")


def test_it_works_where_nothing_is_printable_but_ascii(tmp_path):
    """A metric with a foreign name, on a terminal that has no such letters."""
    (tmp_path / "a.csv").write_text("größe_loss\n" + "\n".join(map(str, BASELINE)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())", "judge", "a.csv", "a.csv",
         "--column=größe_loss"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert r"gr\xf6\xdfe_loss" in done.stdout


def test_judge_and_why_import_nothing_heavy(project):
    """Neither pytest nor torch nor scipy.stats nor the trainer is loaded to judge numbers or to say what changed."""
    code = (
        "import sys; from pytest_exprun.cli import main; main(['judge', '1,2,3,4,5', '1,2,3']); main(['why']); "
        "print(sorted({'pytest', '_pytest', 'torch', 'toy', 'scipy.stats', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.pytester.path, capture_output=True, text=True, check=True, timeout=180
    )
    assert done.stdout.splitlines()[-1] == "[]"


# Its page in the documentation.

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\$ exprun (judge [^\n]*)\n(.*?)(?=^\$ |^```$)", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("line", "shown"), EXAMPLES)
def test_examples_of_judge_in_the_documentation_are_real(exprun, line, shown):
    """What the page shows is what the command prints."""
    assert exprun(*line.split()) == shown


def test_the_page_has_an_example_of_judge():
    """The test above has something to compare."""
    assert EXAMPLES


@pytest.mark.parametrize("command", ["power", "judge", "aa", "why", "audit"])
def test_every_command_and_option_is_documented(command):
    """Each command has its heading, and each option of its own stands below it."""
    assert f"\n## exprun {command}\n" in PAGE
    section = PAGE.split(f"\n## exprun {command}\n")[1].split("\n## ")[0]
    (parsers,) = [action for action in build_parser()._actions if isinstance(action.choices, dict)]
    for action in parsers.choices[command]._actions:
        if action.option_strings and not action.dest.startswith("exprun_") and action.dest not in ("help", "rootdir"):
            assert f"`{action.option_strings[0]}" in section, action.option_strings


@pytest.mark.parametrize("name", ["rootdir", "130"])
def test_what_all_commands_share_is_documented(name):
    """The root directory and the exit statuses stand at the top."""
    assert name in PAGE.split("\n## ")[0]


def test_figures_of_chance_in_the_documentation_are_those_of_the_code():
    """The table of relabelling rates is the table of the code."""
    for label, found in (
        ("two_sigma", chance("two_sigma", 2)),
        ("tested, `min_effect` 2", chance("tested", 2)),
        ("tested, `min_effect` 1", chance("tested", 1)),
    ):
        low, high = (f"{100 * bound:.2g}" for bound in (found.low, found.high))
        assert f"| {label} | {100 * found.mean:.1f} % | {low} to {high} % |" in PAGE
    assert TOLERANCE == 0.5
    assert "by half a standard deviation" in " ".join(PAGE.split())
