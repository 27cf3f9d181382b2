"""`exprun aa`: the baseline against itself."""

from __future__ import annotations

from pathlib import Path

from pytest_exprun.commands.audit import TOLERANCE
from pytest_exprun.terms.model import baseline_seeds
from pytest_exprun.verdict.rules import rule_named
from tests.shell import (
    ROPE,
    edit,
)

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


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
    assert "ignores its seed" in exprun.err


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


def test_figures_of_chance_in_the_documentation_are_those_of_the_code():
    """The table of relabelling rates is the table of the code."""
    for label, found in (
        ("two_sigma", rule_named("two_sigma").chance(2)),
        ("tested, `min_effect` 2", rule_named("tested").chance(2)),
        ("tested, `min_effect` 1", rule_named("tested").chance(1)),
    ):
        low, high = (f"{100 * bound:.2g}" for bound in (found.low, found.high))
        assert f"| {label} | {100 * found.relabelled:.1f} % | {low} to {high} % |" in PAGE
    assert TOLERANCE == 0.5
    assert "by half a standard deviation" in " ".join(PAGE.split())
