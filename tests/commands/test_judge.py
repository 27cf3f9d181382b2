"""`exprun judge`: a verdict on numbers that exist already."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_exprun.terms.model import SEEDS
from pytest_exprun.verdict import stats
from pytest_exprun.verdict.rules import judge
from tests.shell import (
    BASELINE,
    SAME,
    logs,
    numbers,
)

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"^\$ exprun (judge [^\n]*)\n(.*?)(?=^\$ |^```$)", PAGE, re.MULTILINE | re.DOTALL)


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
    found = exprun.told("judge", numbers(BASELINE), numbers(experiment))
    expected = judge(dict(enumerate(BASELINE)), dict(enumerate(experiment, 5)), looks=1)
    assert (found["report"]["verdict"], found["report"]["reason"], found["report"]["p_value_one_sided"]) == (
        expected.verdict,
        expected.reason,
        expected.p_value,
    )
    assert found["report"]["evidence"]["n_experiment"] == 5
    assert expected.verdict == "NEUTRAL"
    assert judge(dict(enumerate(BASELINE)), dict(enumerate(experiment, 5))).verdict == "WINNER"


def test_judge_without_seeds_is_unpaired(exprun):
    """Typed numbers have no seeds, so the test is Welch's; that is said."""
    found = exprun.told("judge", numbers(BASELINE), numbers(SAME))
    test = stats.welch(BASELINE, SAME)
    assert found["report"]["effects"]["val_loss"]["p_value"] == pytest.approx(test.p_value, rel=1e-12)
    assert found["paired_seeds"] == []
    exprun("judge", numbers(BASELINE), numbers(SAME))
    assert "pairing none: baseline and experiment carry no seeds" in exprun.flat()


def test_judge_pairs_logs_by_seed(exprun, tmp_path):
    """A folder with a log a seed gives the paired test of the same seeds, whatever the order of the names."""
    arms = [logs(tmp_path / "base", BASELINE), logs(tmp_path / "exp", SAME, "log-seed={}")]
    found = exprun.told("judge", *arms)
    assert found["report"]["effects"]["val_loss"]["p_value"] == pytest.approx(
        stats.paired(BASELINE, SAME).p_value, rel=1e-12
    )
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
        found = exprun.told("judge", base, exp, f"--rule={rule}")
        assert found["report"]["effects"]["val_loss"]["delta"] == pytest.approx(delta, abs=1e-12)
        assert f"{abs(delta) / stats.describe(BASELINE).std:.2f} baseline sigmas" in found["report"]["reason"]


def test_judge_takes_many_and_unequal_numbers(exprun):
    """Forty numbers against thirty are one Welch comparison."""
    many = [2 + 0.01 * ((7 * at) % 11 - 5) for at in range(40)]
    found = exprun.told("judge", numbers(many), numbers([value - 0.1 for value in many[:30]]))
    assert (
        found["report"]["verdict"],
        found["report"]["evidence"]["n_baseline"],
        found["report"]["evidence"]["n_experiment"],
    ) == ("WINNER", 40, 30)
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


@pytest.mark.parametrize(("line", "shown"), EXAMPLES)
def test_examples_of_judge_in_the_documentation_are_real(exprun, line, shown):
    """What the page shows is what the command prints."""
    assert exprun(*line.split()) == shown


def test_the_page_has_an_example_of_judge():
    """The test above has something to compare."""
    assert EXAMPLES


def test_judge_reads_the_reports_of_this_project(exprun):
    """A report's own arms give its own verdict."""
    report = Path(__file__).parents[2] / "docs" / "research" / "experiment_rope_1M.json"
    out = exprun("judge", f"{report}:baseline", f"{report}:experiment", "--json")
    told, found = json.loads(report.read_text(encoding="utf-8")), json.loads(out)
    assert (found["report"]["verdict"], found["report"]["effects"]["val_loss"]["delta"]) == (
        told["verdict"],
        told["effects"]["val_loss"]["delta"],
    )
    assert found["paired_seeds"] == [42, 137, 256]
