"""One session: reports are there when their verdict is known, what cannot be written fails it, and what is said of runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.study import session as sessions
from pytest_exprun.study.arms.asked import ArmPlan
from pytest_exprun.study.outlook import Outlook
from pytest_exprun.study.session import Session
from pytest_exprun.terms.model import Variant
from tests.report_toys import LOSER, comparison, run

ROPE, PLAIN = Variant(("--rope",)), Variant()
HOME = "docs/research"


class Heard(Session):
    """A session that keeps what it says."""

    def __init__(self, root, **more):
        self.lines, self.lively = [], []
        super().__init__(Settings(plots="off", root=root), self.lines.append, self.lively.append, **more)


@pytest.fixture
def heard(tmp_path):
    """Return a session of an empty project."""
    return Heard(tmp_path)


def reports(root):
    """Return the names of the Markdown reports."""
    return sorted(path.name for path in (root / HOME).glob("*.md"))


def test_a_verdict_is_written_when_it_falls(heard, tmp_path):
    """With its baseline's report, before the session ends; what depends on several experiments comes at the end."""
    heard.compared(comparison())
    assert reports(tmp_path) == ["baseline_variance_1M.md", "experiment_rope_1M.md"]
    assert heard.paths == {"rope": tmp_path / HOME / "experiment_rope_1M.md"}
    heard.compared(comparison(LOSER, name="worse", flags=("--worse",)))
    assert heard.paths["worse"].is_file()
    assert "README.md" not in reports(tmp_path)
    heard.finish()
    assert "experiment_worse_1M.md" in (tmp_path / HOME / "README.md").read_text()
    assert heard.lines == heard.notices == []
    assert not heard.unsaved


def test_what_is_known_is_not_written_again(heard, tmp_path):
    """Several workers may tell of one comparison or arm; the first one counts."""
    heard.receive(comparison())
    for path in (tmp_path / HOME).iterdir():
        path.unlink()
    heard.receive(replace(comparison()))
    heard.receive_arm(comparison().baseline)
    heard.arm_complete(comparison().baseline, "baseline")
    assert reports(tmp_path) == []
    assert len(heard.comparisons) == len(heard.arms) == 1


def test_a_baseline_alone_has_its_report(heard, tmp_path):
    """As soon as all its seeds stand."""
    heard.arm_complete(comparison().baseline, "baseline")
    assert reports(tmp_path) == ["baseline_variance_1M.md"]


def test_a_worker_writes_nothing(tmp_path):
    """It only gathers; the controller writes."""
    heard = Heard(tmp_path, writes_reports=False)
    heard.compared(comparison())
    assert list(heard.comparisons) == [comparison().declaration.comparison_id]
    assert not (tmp_path / HOME).exists()


def test_text_of_a_hook_is_the_report(tmp_path):
    """It is asked once a comparison."""
    heard = Heard(tmp_path, markdown=lambda found: f"mine: {found.name}")
    heard.compared(comparison())
    assert heard.paths["rope"].read_text() == "mine: rope"


@pytest.mark.parametrize("writer", ["write_experiment", "write_baseline", "write_overview"])
def test_a_full_disk_is_a_notice_and_fails_the_session(heard, tmp_path, monkeypatch, writer):
    """The verdict counts all the same, and the other reports are written."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"pytest_exprun.report.files.{writer}", full)
    heard.compared(comparison())
    heard.finish()
    text = f"report not written to {HOME}: No space left on device"
    assert heard.notices == [text]
    assert heard.lines == [f"note: {text}"]
    assert heard.unsaved
    assert [found.name for found in heard.comparisons.values()] == ["rope"]
    assert ("experiment_rope_1M.md" in reports(tmp_path)) is (writer != "write_experiment")


def test_a_record_that_is_not_saved_fails_the_session_and_a_notice_does_not(heard):
    """Both are said now and kept for the summary."""
    heard.notice("seed 42 was set aside")
    assert not heard.unsaved
    heard.not_saved("seed 42 is not saved")
    assert heard.unsaved
    assert heard.notices == ["seed 42 was set aside", "seed 42 is not saved"]
    assert heard.lines == ["note: seed 42 was set aside", "note: seed 42 is not saved"]


def test_the_end_returns_what_earlier_sessions_reported(tmp_path, monkeypatch):
    """The folder's experiments, this session's among them."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    Heard(tmp_path).receive(comparison(LOSER, name="earlier", flags=("--earlier",)))
    heard = Heard(tmp_path)
    heard.receive(comparison())
    assert sorted(found.name for found in heard.finish()) == ["earlier", "rope"]
    assert "rope" in summary.read_text()
    assert "earlier" not in summary.read_text(), "the page of a job shows what the job judged"


def test_a_finished_run_is_one_line_and_goes_to_the_hook(tmp_path):
    """Under the name of its arm: the default baseline's is that, whatever its flags are."""
    hooked = []
    heard = Heard(tmp_path, run_hook=hooked.append)
    runs = [run(Variant(("--shift=1",)), 42, 2.0), run(ROPE, 137, 1.9)]
    for result, role in zip(runs, ("baseline", "exp"), strict=True):
        heard.run_finished(result, role, None)
    assert [line.split()[:3] for line in heard.lines] == [["baseline", "seed", "42"], ["rope", "seed", "137"]]
    assert hooked == runs


@pytest.mark.parametrize(("beside", "left"), [(0, True), (1, False)])
def test_what_is_left_is_said_where_one_process_knows(tmp_path, beside, left):
    """Beside other workers a line has no outlook; a verdict ends what its experiment may need."""
    heard = Heard(tmp_path, beside=beside)
    heard._outlook = Outlook({repr(ROPE.identity): (3, 2)}, jobs=1)
    heard.run_finished(run(ROPE, 42, 1.9), "exp", None)
    assert heard._outlook.left == (2, 4)
    assert ("left" in heard.lines[0]) is left
    heard.compared(comparison())
    assert heard._outlook.left == (0, 0)


def test_the_live_line_changes_a_few_times_a_second_at_most(heard, monkeypatch):
    """A trainer may print a thousand."""
    moments = iter([10.0, 10.0, 10.1, 10.3, 10.3])
    monkeypatch.setattr(sessions.time, "monotonic", lambda: next(moments))
    result = run(ROPE, 42, 1.9)
    for point in result.curve[:3]:
        heard.run_progressed(result.spec, point)
    assert [line.split()[3:5] for line in heard.lively] == [["step", "1"], ["step", "3"]]


def test_what_is_about_to_be_trained_is_said(heard, tmp_path):
    """Which seeds, why stored runs do not stand, and that a report is there whose runs are not."""
    heard._outlook = Outlook({}, jobs=1)
    heard.arm_incomplete(ArmPlan(ROPE, "exp", (42,), (137,)))
    heard.arm_incomplete(ArmPlan(PLAIN, "baseline", (), (42, 137), why="source toy.py changed"))
    assert heard.lines == [
        "exp (--rope): training seed 137 at 1M tokens",
        "baseline (no flags): training seeds 42, 137 at 1M tokens",
        "  stored runs do not stand: source toy.py changed",
    ]
    heard.arm_incomplete(ArmPlan(PLAIN, "baseline", (), (42,)))
    assert len(heard.lines) == 4
    heard.lines.clear()
    (tmp_path / HOME).mkdir(parents=True)
    (tmp_path / HOME / "baseline_variance_1M.md").touch()
    for plan in (ArmPlan(PLAIN, "exp", (), (42,)), ArmPlan(PLAIN, "baseline", (137,), (42,))):
        heard.arm_incomplete(plan)
    assert len(heard.lines) == 2
    heard.arm_incomplete(ArmPlan(PLAIN, "baseline", (), (42,)))
    assert heard.lines[3:] == [f"  {HOME}/baseline_variance_1M.md is there, but the runs behind it are not in .exprun"]


def test_a_frozen_session_only_reads_its_store(tmp_path):
    """So does one that plans; both are built without importing a trainer."""
    for mode in ("run", "refresh", "frozen", "plan"):
        study = Session(Settings(mode=mode, trainer="nosuch:main", root=tmp_path), beside=2, identity="x").study
        assert study.store.read_only is (mode in {"frozen", "plan"})
        assert study.store.root == tmp_path / ".exprun"
        assert (study.beside, study.identity) == (2, "x")
