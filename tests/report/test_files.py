"""Report files: written whole or not at all, alike each time, read back; baselines, the list, junit, GitHub."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_exprun.report import files
from pytest_exprun.report.baseline import baseline_report, without_judged
from pytest_exprun.report.github import step_summary
from pytest_exprun.report.junit import properties
from pytest_exprun.report.markdown import experiment_report
from pytest_exprun.report.terminal import assertion_lines
from pytest_exprun.terms.kept import marked
from pytest_exprun.terms.model import Arm, Budget, Variant, baseline_seeds
from pytest_exprun.terms.settings import Settings
from pytest_exprun.verdict.comparison import Comparison, compare
from tests.report_toys import HOSTILE, LOSER, NEUTRAL, UNSURE, comparison, run, tables

PLAIN = Settings(plots="off")


def listing(folder):
    """Return the folder's file names."""
    return sorted(path.name for path in folder.iterdir())


# Files.


def test_a_report_is_markdown_with_json_beside_it(tmp_path):
    """The names say experiment and scale; the JSON holds the whole comparison."""
    path = files.write_experiment(comparison(budget=Budget(20_000)), tmp_path / "docs" / "research", PLAIN)
    assert listing(path.parent) == ["experiment_rope_20K.json", "experiment_rope_20K.md"]
    read = Comparison.from_json(json.loads(path.with_suffix(".json").read_text()))
    assert read == comparison(budget=Budget(20_000))


def test_writing_again_changes_nothing(tmp_path):
    """The same comparison gives the same bytes, and the file is left alone."""
    path = files.write_experiment(comparison(), tmp_path, PLAIN)
    os.utime(path, (1, 1))
    files.write_experiment(Comparison.from_json(comparison().to_json()), tmp_path, PLAIN)
    assert path.stat().st_mtime == 1


def test_a_hooks_text_replaces_the_reports(tmp_path):
    """What pytest_exprun_markdown returns is written as it is."""
    assert files.write_experiment(comparison(), tmp_path, PLAIN, "mine").read_text() == "mine"


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    """Reports are old or new and never half."""
    path = tmp_path / "x.md"
    files.publish(path, "old")

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    target = os if step == "fsync" else Path
    monkeypatch.setattr(target, step, fail)
    with pytest.raises(OSError, match="No space left"):
        files.publish(path, "new")
    monkeypatch.undo()
    assert listing(tmp_path) == ["x.md"]
    assert path.read_text() == "old"


def test_json_has_a_line_a_run(tmp_path):
    """A diff shows which run changed."""
    path = files.write_experiment(comparison(), tmp_path, PLAIN).with_suffix(".json")
    lines = path.read_text().splitlines()
    assert sum(line.startswith(' {"spec"') for line in lines) == 8


# The baseline's report.


def test_the_baseline_report_is_the_protocols(tmp_path):
    """Title, table and seeds are as the protocol has them."""
    text = files.write_baseline(comparison().baseline, tmp_path, PLAIN).read_text()
    assert text.startswith(
        "# Baseline Variance Report: 1M Tokens\n\n| Metric | Mean | Std | Min | Max |\n| --- | ---: | ---: | ---: | ---: |\n"
        "| val_loss | 2.0000 | 0.0158 | 1.9800 | 2.0200 |\n| wall_time | 30.000 | 0.000 | 30.000 | 30.000 |\n\n"
        "Seeds used: 42, 137, 256, 512, 1024\n"
    )
    assert listing(tmp_path) == ["baseline_variance_1M.md"]


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


def test_a_report_that_changed_is_read_again(tmp_path):
    """What is remembered of a file holds for that file only, whoever writes it."""
    files.write_experiment(comparison(), tmp_path, PLAIN)
    assert files.read_reports(tmp_path).comparisons["experiment_rope_1M"].verdict == "WINNER"
    of_another_session = files.json_text(comparison(LOSER))
    (tmp_path / "experiment_rope_1M.json").write_text(of_another_session)
    assert files.read_reports(tmp_path).comparisons["experiment_rope_1M"].verdict == "LOSER"


def test_a_report_just_written_is_not_worked_out_again(tmp_path, monkeypatch):
    """The session that wrote a file knows what is in it."""
    found = comparison()
    files.write_experiment(found, tmp_path, PLAIN)
    monkeypatch.setattr(Comparison, "from_json", lambda _: pytest.fail("read again"))
    assert files.read_reports(tmp_path).comparisons["experiment_rope_1M"] is found


def test_a_baseline_report_with_the_figures_waits_for_the_session_s_end(tmp_path, monkeypatch):
    """Its list of experiments then takes reading them all; where a figure differs it is written at once, list included."""
    baseline = comparison().baseline
    path = files.write_baseline(baseline, tmp_path, PLAIN)
    files.write_experiment(comparison(), tmp_path, PLAIN)
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_reports", lambda _: pytest.fail("reads all reports"))
        files.write_baseline(baseline, tmp_path, PLAIN)
        assert "Experiments judged" not in path.read_text()
        figures = path.read_bytes()
    files.write_overview([baseline], tmp_path, PLAIN)
    listed = path.read_text()
    assert "[rope](experiment_rope_1M.md)" in listed
    path.write_text(listed.replace("| 42 | 2.0000 |", "| 42 | 2.5000 |"))
    assert path.read_text() != listed
    files.write_baseline(baseline, tmp_path, PLAIN)
    assert path.read_text() == listed
    assert without_judged(listed.encode()) == figures


# The list of all experiments.


def test_the_list_has_every_experiment_best_first(tmp_path):
    """Name, change, verdict, improvement, p, n, time; a report that cannot be read is named."""
    for one in (comparison(LOSER, name="worse", flags=("--worse",)), comparison(UNSURE)):
        files.write_experiment(one, tmp_path, PLAIN)
    (tmp_path / "experiment_broken_1M.json").write_text("{")
    (tmp_path / "experiment_foreign_1M.json").write_text("[1]")
    files.write_overview([comparison().baseline], tmp_path, PLAIN)
    text = (tmp_path / "README.md").read_text()
    rows = tables(text)["val_loss at 1M tokens, baseline without flags"]
    assert rows[1] == [
        "[rope](experiment_rope_1M.md)",
        "`--rope`",
        "WINNER (not confirmed, p = .093)",
        "+0.0400 (+2.0 %)",
        "+2.5",
        ".093",
        "3",
        "31.5 s (+5.0 %)",
    ]
    assert rows[2][:4] == ["[worse](experiment_worse_1M.md)", "`--worse`", "LOSER", "-0.0600 (-3.0 %)"]
    assert "cannot be read: `experiment_broken_1M`, `experiment_foreign_1M`." in text
    assert "Experiments judged" in (tmp_path / "baseline_variance_1M.md").read_text()


def test_the_list_keeps_baselines_and_scales_apart(tmp_path):
    """Only what was compared with the same baseline stands in one table; the standard scale comes first."""
    smoke = comparison(name="smoke", budget=Budget(20_000))
    on_rope = comparison(NEUTRAL, name="base", flags=("--rope_base=500",), control=Variant(("--rope",)))
    for one in (smoke, on_rope, comparison()):
        files.write_experiment(one, tmp_path, PLAIN)
    files.write_overview([], tmp_path, PLAIN)
    text = (tmp_path / "README.md").read_text()
    assert re.findall("^## (.*)", text, re.MULTILINE) == [
        "val_loss at 1M tokens, baseline without flags",
        "val_loss at 1M tokens, baseline `--rope`",
        "val_loss at 20K tokens, baseline without flags",
    ]
    assert text.count("**Not the standard scale (1M tokens).**") == 1


def test_a_readme_of_the_user_is_left_alone(tmp_path):
    """Only a list that this package wrote is written again."""
    files.write_overview([], tmp_path, PLAIN)
    files.write_experiment(comparison(), tmp_path, PLAIN)
    files.write_overview([], tmp_path, PLAIN)
    assert "experiment_rope_1M.md" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text("# My notes\n")
    files.write_overview([], tmp_path, PLAIN)
    assert (tmp_path / "README.md").read_text() == "# My notes\n"


# Stale runs.


def kept_experiment():
    """Return a comparison whose experiment was kept: two of its seeds of one commit, one of another."""
    found = comparison()
    commits = ("1f3a9c0e", "1f3a9c0e", None)
    old = (
        replace(one, provenance={**one.provenance, "commit": c})
        for one, c in zip(found.experiment, commits, strict=True)
    )
    runs = tuple(marked(one, "source a|b.py changed; package torch 2.12.0 -> 2.13.0") for one in old)
    return compare(found.declaration, found.baseline, Arm(found.experiment.variant, runs))


def test_a_report_of_stale_runs_is_told_from_one_of_current_runs(tmp_path):
    """Which arm, which seeds, of which commit, and what has changed: in Markdown, JSON, junit and every table of experiments."""
    kept = kept_experiment()
    why = "(source a|b.py changed; package torch 2.12.0 -> 2.13.0)"
    assert kept.stale == {"experiment": f"seeds 42, 137 of commit 1f3a9c0e {why}, seed 256 of commit unknown {why}"}
    text = files.write_experiment(kept, tmp_path, PLAIN).read_text()
    note = next(line for line in text.splitlines() if line.startswith("> **Stale runs**"))
    assert note.endswith(f"Experiment: {kept.stale['experiment'].replace('|', chr(92) + '|')}.")
    assert dict(properties(kept))["exprun.stale_experiment"] == kept.stale["experiment"]
    assert "| WINNER (**stale runs**) |" in step_summary([kept])
    files.write_overview([kept.baseline], tmp_path, PLAIN)
    for name in ("README.md", "baseline_variance_1M.md"):
        assert "| WINNER (**stale runs**) |" in (tmp_path / name).read_text()
    assert "> **Stale runs**" not in (tmp_path / "baseline_variance_1M.md").read_text()
    assert "stale runs: experiment seeds 42, 137 of commit 1f3a9c0e" in "\n".join(assertion_lines(kept))
    assert "stale" not in files.json_text(comparison()) + experiment_report(comparison()) + str(
        properties(comparison())
    )


def test_a_report_of_stale_runs_regenerates_from_its_json(tmp_path):
    """The mark is part of the data: nothing that is written from them later loses it."""
    path = files.write_experiment(kept_experiment(), tmp_path / "one", PLAIN)
    again = Comparison.from_json(json.loads(path.with_suffix(".json").read_text()))
    files.write_experiment(again, tmp_path / "two", PLAIN)
    for suffix in (".md", ".json"):
        assert (tmp_path / "two" / path.with_suffix(suffix).name).read_bytes() == path.with_suffix(suffix).read_bytes()


# junit.


def test_junit_properties_are_flat_and_plain():
    """Names with dots, values str or float: anything else crashes an xdist worker."""
    found = dict(properties(comparison()))
    assert {type(value) for value in found.values()} == {str, float}
    assert found["exprun.verdict"] == found["exprun.verdict_two_sigma"] == "WINNER"
    assert found["exprun.val_loss.cohens_d"] == pytest.approx(-0.09 / math.sqrt(0.000175))
    assert found["exprun.val_loss.experiment_mean"] == pytest.approx(1.91)
    assert found["exprun.wall_time.percent"] == pytest.approx(5.0)
    assert found["exprun.tokens"] == 1e6
    assert found["exprun.confirmed"] == "true"


def test_junit_leaves_out_what_is_undefined():
    """No None, no NaN: a diverged experiment has no p, a shaky time says why."""
    found = dict(properties(comparison((1.9, None, 1.92), provenance={"cpu": "Other"})))
    assert "exprun.p_value_one_sided" not in found
    assert found["exprun.kind"] == "diverged"
    assert found["exprun.wall_time.not_comparable"].startswith("cpu differs")
    assert all(value == value for value in found.values())  # noqa: PLR0124  # not NaN


def test_junit_text_is_xml():
    """Hostile flags come out printable."""
    assert all(str(part).isprintable() for pair in properties(comparison(flags=(f"--{HOSTILE}",))) for part in pair)


# GitHub.


def test_the_step_summary_is_a_short_table(tmp_path):
    """A table with both arms; a doubtful verdict in bold."""
    text = step_summary([comparison(UNSURE)])
    row = tables(text)["Experiments"][1]
    assert row[:5] == [
        "rope",
        "`--rope`",
        "WINNER (**not confirmed**, p = .093)",
        "2.0000 ± 0.0158",
        "1.9600 ± 0.0361",
    ]
    target = tmp_path / "summary.md"
    target.write_text("before\n")
    assert files.append_step_summary([comparison(UNSURE)], {"GITHUB_STEP_SUMMARY": str(target)}) == target
    assert target.read_text(encoding="utf-8") == f"before\n{text}"


@pytest.mark.parametrize(("found", "environ"), [([], {"GITHUB_STEP_SUMMARY": "/nowhere/x"}), ([comparison()], {})])
def test_no_step_summary_without_experiments_or_github(found, environ):
    """Nothing is written where nobody asked or nothing is known."""
    assert files.append_step_summary(found, environ) is None
