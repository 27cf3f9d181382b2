"""Comparisons side by side: the table of columns, the folder's list, a job's summary page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_exprun.report import files, overview
from pytest_exprun.report.baseline import baseline_report
from pytest_exprun.report.overview import Column, Row, View, cells, index, step_summary
from pytest_exprun.report.terminal import summary_lines
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.verdict.comparison import compare
from pytest_exprun.verdict.compute.speedup import Speedup
from tests.report_toys import LOSER, NEUTRAL, UNSURE, comparison, tables

PLAIN = Settings(plots="off")


# The table of columns.


def test_a_new_column_is_one_row_of_the_table(monkeypatch):
    """Where it has a title it is shown, with no other change anywhere."""
    column = Column(("budget", "Budget", "Budget", "Budget"), lambda row, _: str(row.comparison.declaration.budget))
    monkeypatch.setattr(overview, "COLUMNS", (*overview.COLUMNS, column))
    found = comparison(points=0)
    shown = [line for _, line in summary_lines([found], width=120)]
    assert (shown[1].split()[-1], shown[2].split()[-2:]) == ("budget", ["1M", "tokens"])
    for text in (step_summary([found]), index({"x": found}), baseline_report(found.baseline, judged=[found])):
        header, *_ = (line for line in text.splitlines() if "| Verdict |" in line)
        assert header.endswith("| Budget |")


def test_each_view_has_its_columns():
    """A column without a title there is left out, and its cell is never asked for."""
    titles = {view: ", ".join(cells(view, [])[0]) for view in View}
    assert titles == {
        View.TERMINAL: "name, verdict, baseline, experiment, sigma, p, n, wall %, Holm p",
        View.LIST: "Experiment, Change, Verdict, Improvement, In sigmas, p, n, Wall time",
        View.JOB: "Experiment, Change, Verdict, Baseline, Experiment, Sigmas better, p, n, Wall time, Holm p",
        View.BASELINE: "Experiment, Verdict, Sigmas better, p, Holm p",
    }


@pytest.mark.parametrize("view", View)
def test_a_row_is_as_long_as_its_header(view):
    """Also where a seed diverged and nothing is known of the time."""
    header, row = cells(view, [Row(comparison((1.9, None, 1.92)))])
    assert len(header) == len(row)
    assert all(isinstance(cell, str) and cell for cell in row)


def test_a_time_that_nobody_measured_is_a_dash():
    """In every view that has the column."""
    timed = comparison()
    arms = (
        [replace(run, metrics={"val_loss": run.metrics["val_loss"]}) for run in arm]
        for arm in (timed.baseline, timed.experiment)
    )
    row = Row(compare(timed.declaration, *arms))
    times = [dict(zip(*cells(view, [row]), strict=True)) for view in (View.TERMINAL, View.LIST, View.JOB)]
    assert [times[0]["wall %"], times[1]["Wall time"], times[2]["Wall time"]] == ["-", "-", "-"]


def test_a_link_leads_to_the_file_that_was_read():
    """A report that was renamed is linked under its name of today."""
    (_, named), (_, today) = (cells(View.LIST, [Row(comparison(), stem=stem)]) for stem in ("mine", ""))
    assert (named[0], today[0]) == ("[rope](mine.md)", "[rope](experiment_rope_1M.md)")


# The folder's list.


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


def test_an_empty_folder_says_so():
    """A list of nothing is no empty page."""
    assert index({}).endswith("None yet.\n")


def test_what_ties_a_page_to_the_ledger():
    """The last line of the list and of a job's page; none of an empty page."""
    line = "Ledger: 2 lines, head abc; `exprun ledger verify --head` looks for it.\n"
    anchor = ["ledger: 2 lines, head abc"]
    assert index({"x": comparison()}, anchor=anchor).endswith(line)
    assert step_summary([comparison()], anchor=anchor).endswith(line)
    assert step_summary([], anchor=anchor) == ""


# A job's summary page.


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


# What a change costs.


def crowded(**provenance):
    """Return a comparison whose wall time cannot be compared."""
    return comparison(provenance=provenance or {"other_busy_cores": 3.0})


def test_cpu_time_stands_where_wall_time_cannot_be_compared():
    """In the lists; not where it is another machine's, nor where the clock on the wall does."""
    for view, text in (
        (View.LIST, "31.5 s (+5.0 %, not comparable; CPU time +5.0 %)"),
        (View.JOB, "+5.0 % (not comparable); CPU time +5.0 %"),
    ):
        assert dict(zip(*cells(view, [Row(crowded())]), strict=True))["Wall time"] == text
    (_, other), (_, calm) = (cells(View.LIST, [Row(each)]) for each in (crowded(cpu="Other CPU"), comparison()))
    assert (other[-1], calm[-1]) == ("31.5 s (+5.0 %, not comparable)", "31.5 s (+5.0 %)")


def test_a_speedup_has_a_column_where_one_is_known():
    """Else there is none; of a comparison without one it is a dash."""
    fast, least = (
        replace(comparison(), speedup=each) for each in (Speedup(1.314, 1.2, 1.4), Speedup(1.9, bound="at least"))
    )
    for view in (View.LIST, View.JOB):
        assert "Times as fast" not in cells(view, [Row(comparison())])[0]
        header, *rows = cells(view, [Row(each) for each in (fast, least, comparison())])
        assert [row[header.index("Times as fast")] for row in rows] == ["1.31", "at least 1.90", "-"]
    assert "Times as fast" not in cells(View.LIST, [Row(replace(comparison(), speedup=Speedup(why_not="x")))])[0]
