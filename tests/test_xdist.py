"""Several workers of pytest-xdist: each seed is trained once, and the controller tells and writes what a single process would."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

BODY = """
@experiment("--rope")
def test_rope(comparison):
    assert comparison.verdict is Verdict.WINNER

@experiment("--worse", gate="loser")
def test_worse(): ...

@experiment("--shift=0.3", "--noise=0.1")
def test_shift(): ...

@experiment("--worse", "--shift=1")
def test_fails(): ...
"""


def by_run(toy_project) -> Counter[str]:
    """Count how often each run was started, whatever its directory."""
    return Counter(line.partition(" --output_dir")[0] for line in toy_project.runs)


def test_two_workers_train_each_seed_once_and_tell_everything(toy_project):
    """Runs, verdicts, reports, junit, summary and progress lines are complete, none twice."""
    toy_project.write(BODY)
    result = toy_project.run_fresh("-n", "2", "--exprun-args=--slow 0.1", "--junitxml=junit.xml")
    result.assert_outcomes(passed=3, failed=1)
    assert set(by_run(toy_project).values()) == {1}
    assert len(toy_project.runs) == 5 + 3 + 3 + 5 + 3
    lines = result.outlines
    for seed in (42, 137, 256, 512, 1024):
        assert len([line for line in lines if line.startswith("baseline") and f"seed {seed} " in line]) == 1
    progress = [number for number, line in enumerate(lines) if "seed 42 " in line and "val_loss" in line]
    summary = next(number for number, line in enumerate(lines) if "= experiments =" in line)
    assert len(progress) == 1 + 4
    assert max(progress) < summary
    rows = [line.split()[:2] for line in lines[summary:] if "+-" in line]
    assert sorted(rows) == [["fails", "LOSER"], ["rope", "WINNER"], ["shift", "NEUTRAL"], ["worse", "LOSER"]]
    reports = sorted(path.name for path in (toy_project.pytester.path / "docs" / "research").glob("*.md"))
    assert [name for name in reports if name.startswith("experiment")] == [
        f"experiment_{name}_1M.md" for name in ("fails", "rope", "shift", "worse")
    ]
    suite = ET.parse(toy_project.pytester.path / "junit.xml").getroot()
    verdicts = [each.get("value") for each in suite.iter("property") if each.get("name") == "exprun.verdict"]
    assert sorted(verdicts) == ["LOSER", "LOSER", "NEUTRAL", "WINNER"]


def test_verdicts_and_runs_are_those_of_one_process(toy_project):
    """What two workers stored, one process judges without training; only times are marked as not comparable."""
    toy_project.write(BODY)
    toy_project.run_fresh("-n", "2")
    trained = len(toy_project.runs)
    first = toy_project.report("experiment_rope_1M.md")
    single = toy_project.run_fresh("--exprun-mode=frozen")
    single.assert_outcomes(passed=3, failed=1)
    assert len(toy_project.runs) == trained
    assert toy_project.report("experiment_rope_1M.md") == first
    single.stdout.fnmatch_lines(["*rope: wall time is not comparable, runs of this study trained beside each other*"])


def test_refresh_trains_each_seed_once(toy_project):
    """In refresh mode the first worker sets the old records aside, and no worker sets aside what another one has just trained."""
    toy_project.write(BODY)
    toy_project.run_fresh("-n", "2")
    before = by_run(toy_project)
    result = toy_project.run_fresh("-n", "2", "--exprun-mode=refresh")
    result.assert_outcomes(passed=3, failed=1)
    assert by_run(toy_project) == before + before


def test_notices_and_hooks_reach_the_controller(toy_project):
    """Hooks are called by the controller only, once a run; what a worker noticed stands in the summary."""
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    (toy_project.pytester.path / "conftest.py").write_text(
        "def pytest_exprun_run_finished(config, run):\n"
        "    assert not hasattr(config, 'workerinput')\n"
        "    print('HEARD', run.spec.seed, run.metrics['val_loss'] > 0)\n",
        encoding="utf-8",
    )
    toy_project.run_fresh("-n", "2")
    record = next(toy_project.pytester.path.glob(".exprun/*/*/seed-42.json"))
    record.write_bytes(record.read_bytes()[:-20])
    result = toy_project.run_fresh("-n", "2", "-s")
    result.assert_outcomes(passed=1)
    assert [line for line in result.outlines if line.startswith("HEARD")] == ["HEARD 42 True"]
    assert len([line for line in result.outlines if "is damaged" in line]) >= 1


def test_a_broken_run_is_an_error_in_every_worker(toy_project):
    """The error reaches the report of each test that needs the run; the others are judged."""
    toy_project.write(BODY + '\n@experiment("--crash_at=137")\ndef test_crash(): ...\n')
    toy_project.run_fresh("-n", "2").assert_outcomes(passed=3, failed=1, errors=1)
