"""Report files: written whole or not at all, alike each time, read back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_exprun.report import files
from pytest_exprun.report.baseline import without_judged
from pytest_exprun.report.markdown import experiment_report
from pytest_exprun.report.overview import step_summary
from pytest_exprun.report.terminal import assertion_lines
from pytest_exprun.report.values import properties
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.kept import marked
from pytest_exprun.terms.model import Budget
from pytest_exprun.terms.outcome import Arm
from pytest_exprun.verdict.comparison import Comparison, compare
from tests.report_toys import LOSER, comparison

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
