"""Several workers of pytest-xdist: each seed is trained once, and the controller tells and writes what a single process would."""

from __future__ import annotations

import re
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
    single = toy_project.run("--exprun-mode=frozen")
    single.assert_outcomes(passed=3, failed=1)
    assert len(toy_project.runs) == trained
    assert toy_project.report("experiment_rope_1M.md") == first
    single.stdout.fnmatch_lines(["*rope: wall time is not comparable, runs of this study trained beside each other*"])


def test_refresh_trains_each_seed_once(toy_project):
    """In refresh mode the first worker sets the old records aside, and no worker sets aside what another one has just trained."""
    toy_project.write(BODY)
    toy_project.run()
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
    toy_project.run()
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


CRASHES = """
import os, subprocess
from pathlib import Path
from toy import build_parser, main as well

def main(argv):
    args = build_parser().parse_args(argv)
    if args.seed == 42 and not args.shift:
        (traces := Path(__file__).with_name(".traces")).mkdir(exist_ok=True)
        with (traces / "crashed").open("a") as log:
            log.write("x")
        if DIES:
            subprocess.run(["kill", "-KILL", str(os.getpid())], check=True)
        raise ValueError("a bad shape")
    return well(argv)
"""


def crashes_of(toy_project, *args: str, dies: bool) -> tuple[int, list[str]]:
    """Run four experiments on a baseline whose seed 42 crashes, by two workers; count the attempts, and return the tests' errors."""
    source = CRASHES.replace("DIES", str(dies))
    (toy_project.pytester.path / "crashes.py").write_text(source, encoding="utf-8")
    tests = (f'@experiment("--shift={number}")\ndef test_{number}(): ...' for number in range(1, 5))
    toy_project.write("\n\n".join(tests))
    said = re.compile(r"(trainer crashes:main \(exprun_trainer\): )?seed 42 of no flags: |worker '\w+' crashed while")
    result = toy_project.run_fresh("-n", "2", "--exprun-trainer=crashes:main", "--exprun-args=--slow 0.3", *args)
    assert "passed" not in result.parseoutcomes()
    attempts = (toy_project.pytester.path / ".traces" / "crashed").read_text(encoding="utf-8")
    assert not list(toy_project.pytester.path.glob(".exprun/baseline/*/seed-42.json"))
    return len(attempts), [line for line in result.outlines if said.match(line)]


def test_a_run_that_failed_is_tried_by_one_worker_only(toy_project):
    """The trainer's exception is every worker's error, word by word; it is met once."""
    attempts, errors = crashes_of(toy_project, dies=False)
    assert attempts == 1
    assert len(errors) == 4
    assert len(set(errors)) == 1
    assert "seed 42 of no flags: raised ValueError: a bad shape" in errors[0]


def test_a_process_that_died_is_replaced_once_a_session(toy_project):
    """Executor `processes` tries a killed run once more; the second worker does not begin again."""
    attempts, errors = crashes_of(toy_project, "--exprun-executor=processes", dies=True)
    assert attempts == 2
    assert len(errors) == 4
    assert "its process was killed by SIGKILL, 2 times" in errors[0]


def test_a_run_that_ends_its_worker_ends_two_workers_at_most(toy_project):
    """In process a crash takes the worker with it; after the second one the other tests report it instead of dying too."""
    attempts, errors = crashes_of(toy_project, dies=True)
    assert attempts == 2
    died = [line for line in errors if "the process that performed it died, 2 times in this session" in line]
    assert len(died) == 2
    assert all("seed 42 of no flags" in line for line in died)
