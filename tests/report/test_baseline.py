"""The baseline's report: its noise, what can be seen against it, what it has judged."""

from __future__ import annotations

from pytest_exprun.report import files
from pytest_exprun.report.baseline import baseline_report
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Variant, baseline_seeds
from pytest_exprun.terms.outcome import Arm
from tests.report_toys import NEUTRAL, comparison, run, tables

PLAIN = Settings(plots="off")


def test_the_baseline_report_is_the_protocols(tmp_path):
    """Title, table and seeds are as the protocol has them."""
    text = files.write_baseline(comparison().baseline, tmp_path, PLAIN).read_text()
    assert text.startswith(
        "# Baseline Variance Report: 1M Tokens\n\n| Metric | Mean | Std | Min | Max |\n| --- | ---: | ---: | ---: | ---: |\n"
        "| val_loss | 2.0000 | 0.0158 | 1.9800 | 2.0200 |\n| wall_time | 30.000 | 0.000 | 30.000 | 30.000 |\n\n"
        "Seeds used: 42, 137, 256, 512, 1024\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["baseline_variance_1M.md"]


def test_the_baseline_report_says_what_an_experiment_can_see():
    """The reference values of minimum detectable effects, in sigmas and in the metric's unit."""
    rows = tables(baseline_report(comparison().baseline))["What an experiment can see"]
    assert [row[1] for row in rows] == ["In sigmas", "2.46", "2.02", "2.38", "1.68", "0.75"]
    assert rows[1] == ["3 seeds", "2.46", "0.0389", "1.9 %"]


def test_the_baseline_report_says_what_more_seeds_buy():
    """At five seeds what ten would show, at ten what five would have shown; 2.03 and 1.66 have power .8 by scipy's nct."""
    seeds = baseline_seeds(10)
    ten = Arm(Variant(), tuple(run(Variant(), seed, 2 + seed % 7 / 100) for seed in seeds))
    sentence = "baseline seeds (`exprun_baseline_seeds`) the unpaired figures"
    assert f"With 10 {sentence} would be 2.03 and 1.66 sigmas." in baseline_report(comparison().baseline)
    assert f"With 5 {sentence} would only have been 2.46 and 2.02 sigmas." in baseline_report(ten)


def test_the_baseline_report_uses_the_plugins_clock_where_the_trainer_has_none():
    """A trainer that returns no wall_time still has one in the report."""
    runs = comparison().baseline.runs
    bare = tuple(
        type(one)(one.spec, one.status, {"val_loss": one.metrics["val_loss"]}, provenance={"wall_time": 12.0})
        for one in runs
    )
    assert "| wall_time | 12.000 | 0.000 |" in baseline_report(Arm(Variant(), bare))


def test_a_controls_baseline_report_is_named_after_its_flags(tmp_path):
    """Controls with flags have files of their own."""
    control = Variant(("--rope",))
    arm = Arm(control, tuple(run(control, seed, value) for seed, value in ((42, 1.0), (137, 2.0))))
    assert files.write_baseline(arm, tmp_path, PLAIN).name == "baseline_variance_rope_1M.md"
    assert "Control: `--rope`" in (tmp_path / "baseline_variance_rope_1M.md").read_text()


def test_the_baseline_report_lists_what_it_has_judged(tmp_path):
    """Only experiments on these very runs count, with Holm's p over them all."""
    found = comparison()
    others = [
        comparison(NEUTRAL, name="small", flags=("--small",)),
        comparison(metric="accuracy", name="other"),
        comparison(name="elsewhere", flags=("--small",), control=Variant(("--rope",))),
    ]
    for one in (found, *others):
        files.write_experiment(one, tmp_path, PLAIN)
    text = files.write_baseline(found.baseline, tmp_path, PLAIN).read_text()
    rows = tables(text)["Experiments judged"]
    assert rows[1:] == [
        ["[rope](experiment_rope_1M.md)", "WINNER", "+5.7", "<.0001", ".00028"],
        ["[small](experiment_small_1M.md)", "NEUTRAL", "+0.5", ".00054", ".0022"],
    ]
    assert "elsewhere" not in text
