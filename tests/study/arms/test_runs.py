"""What becomes of stored runs when the code changes, when two sessions meet, and when a session is ended from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

GUARD = 120
"""Seconds that even a busy machine does not need for a session."""
ROPE = '@experiment("--rope")\ndef test_rope(comparison):\n    assert comparison.verdict is Verdict.WINNER\n'


def edit(toy_project, old: str, new: str) -> None:
    """Change the toy trainer."""
    path = toy_project.pytester.path / "toy.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def stored(toy_project):
    """Return a project whose eight runs are stored."""
    toy_project.write(ROPE)
    toy_project.run().assert_outcomes(passed=1)
    assert len(toy_project.runs) == 8
    return toy_project


def test_a_comment_costs_nothing(stored):
    """What does not compile to anything else is no change."""
    edit(stored, "    parser.add_argument(", "    # a comment\n    parser.add_argument(")
    stored.run().assert_outcomes(passed=1)
    assert len(stored.runs) == 8


def test_a_new_flag_costs_one_run_an_arm(stored):
    """A change that computes the same is proven by one seed of each arm; the other seeds stand, also in the next session."""
    edit(stored, "    return parser", '    parser.add_argument("--new", action="store_true")\n    return parser')
    result = stored.run()
    result.assert_outcomes(passed=1)
    assert len(stored.runs) == 10
    result.stdout.fnmatch_lines(
        ["*source toy.py changed; training seed * again*", "*the same to the last bit*other stored seeds stand*"]
    )
    stored.run("--exprun-mode=frozen").assert_outcomes(passed=1)
    assert len(stored.runs) == 10


def test_a_change_that_matters_is_noticed_and_the_arm_trained_anew(stored):
    """The first differing progress line stops the run; all seeds of the arm are trained anew, and the line says what differed."""
    edit(stored, "loss = 2.0 +", "loss = 2.5 +")
    result = stored.run()
    result.assert_outcomes(passed=1)
    assert len(stored.runs) == 8 + (1 + 5) + (1 + 3)
    result.stdout.fnmatch_lines(
        ["*note: baseline (no flags): the change matters (*val_loss*): all its seeds are trained anew*"]
    )
    assert "2.50" in stored.report("baseline_variance_1M.md")


def test_a_change_in_the_last_bit_of_the_result_is_noticed(stored):
    """Equal progress lines do not save a run whose final metric differs."""
    edit(stored, '"val_loss": loss,', '"val_loss": loss * (1 + 1e-15),')
    result = stored.run()
    assert len(stored.runs) == 8 + 5 + 3
    result.stdout.fnmatch_lines(["*the change matters (*"])


def test_stale_retrain(stored):
    """With exprun_stale=retrain nothing is verified."""
    edit(stored, "    return parser", '    parser.add_argument("--new", action="store_true")\n    return parser')
    result = stored.run("--exprun-stale=retrain")
    assert len(stored.runs) == 16
    result.stdout.fnmatch_lines(["*stored runs do not stand: source toy.py changed*"])


def test_stale_error(stored):
    """With exprun_stale=error a changed source is an error in setup that names it."""
    edit(stored, "loss = 2.0 +", "loss = 2.5 +")
    result = stored.run("--exprun-stale=error")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*stored runs do not stand (source toy.py changed) and exprun_stale = error*"])
    assert len(stored.runs) == 8


def test_stale_keep_judges_the_old_runs_and_says_so(stored):
    """With exprun_stale=keep historical records are judged, and everything that a session writes or prints of them is marked."""
    records = {path: path.read_bytes() for path in (stored.pytester.path / ".exprun").rglob("seed-*.json")}
    current = stored.report("experiment_rope_1M.md")
    edit(stored, "loss = 2.0 +", "loss = 2.5 +")
    result = stored.run("--exprun-stale=keep", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1)
    assert len(stored.runs) == 8
    assert {path: path.read_bytes() for path in records} == records
    origin = "seeds 42, 137, 256{} of commit unknown (source toy.py changed)"
    arms = {"baseline": origin.format(", 512, 1024"), "experiment": origin.format("")}
    result.stdout.fnmatch_lines(
        [
            "*note: baseline (no flags): judged from stale runs: " + arms["baseline"],
            "rope  WINNER~ *",
            "~ judged from stale runs (exprun_stale = keep): see the notes",
        ]
    )
    note = (
        "> **Stale runs** (`exprun_stale = keep`): what they depend on had changed since they were trained. Baseline: "
    )
    assert f"\n\n{note}{arms['baseline']}. Experiment: {arms['experiment']}.\n\n" in stored.report(
        "experiment_rope_1M.md"
    )
    assert f"\n\n{note}{arms['baseline']}.\n\n" in stored.report("baseline_variance_1M.md")
    assert "| WINNER (**stale runs**) |" in stored.report("README.md")
    assert "| WINNER (**stale runs**) |" in stored.report("baseline_variance_1M.md")
    assert json.loads(stored.report("experiment_rope_1M.json"))["stale"] == arms
    junit = (stored.pytester.path / "junit.xml").read_text(encoding="utf-8")
    for arm, text in arms.items():
        assert f'<property name="exprun.stale_{arm}" value="{text}" />' in junit
    edit(stored, "loss = 2.5 +", "loss = 2.0 +")
    stored.run("--exprun-mode=frozen").assert_outcomes(passed=1)
    assert stored.report("experiment_rope_1M.md") == current


def test_frozen_refuses_stale_runs(stored):
    """Frozen mode never verifies: a changed source is an error that names it."""
    edit(stored, "loss = 2.0 +", "loss = 2.5 +")
    result = stored.run("--exprun-mode=frozen")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*frozen mode trains nothing*stored runs do not stand: source toy.py changed*"])


def test_source_changed_while_training_is_not_stored(toy_project):
    """A run during which the source changed is nobody's result."""
    edit(
        toy_project,
        "    time.sleep(args.slow)",
        "    Path(__file__).write_text(Path(__file__).read_text() + '\\nX = 1')",
    )
    toy_project.write(ROPE)
    result = toy_project.run_fresh()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*source toy.py changed while seed 42 of no flags trained: the run is not stored*"])
    assert not list((toy_project.pytester.path / ".exprun").rglob("seed-*.json"))


def test_a_file_that_a_run_reads_joins_the_key(toy_project):
    """A configuration file found by a computed name is noticed all the same; one that runs write is not an input."""
    (toy_project.pytester.path / "conf").mkdir()
    config = toy_project.pytester.path / "conf" / "noise.txt"
    config.write_text("0", encoding="utf-8")
    edit(
        toy_project,
        "    time.sleep(args.slow)",
        "    args.shift += float((Path(__file__).parent / 'conf' / ('noise' + '.txt')).read_text())",
    )
    toy_project.write(ROPE)
    toy_project.run()
    assert len(toy_project.runs) == 8
    toy_project.run()
    assert len(toy_project.runs) == 8
    config.write_text("3", encoding="utf-8")
    result = toy_project.run()
    assert len(toy_project.runs) == 16
    result.stdout.fnmatch_lines(["*noise.txt changed since its run read it*"])


def test_relative_paths_start_at_the_root_wherever_pytest_was_started(toy_project):
    """The same project gives the same runs from a subdirectory: a run works in the root directory, and pytest stays where it was."""
    (toy_project.pytester.path / "noise.txt").write_text("0", encoding="utf-8")
    edit(toy_project, "    time.sleep(args.slow)", "    args.shift += float(Path('noise' + '.txt').read_text())")
    toy_project.write(ROPE + "    import os; assert os.path.basename(os.getcwd()) == 'elsewhere'\n")
    elsewhere = toy_project.pytester.path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "noise.txt").write_text("99", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "../experiments", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False, timeout=GUARD)
    assert done.returncode == 0, done.stdout
    assert "1.99" in toy_project.report("baseline_variance_1M.md")


def test_a_second_session_in_one_process_runs_the_new_code(toy_project):
    """pytest.main() twice, as in a notebook, with an edit between: the runs are those of the edited code, and shadows do not count."""
    toy_project.write(ROPE)
    (toy_project.pytester.path / "experiments" / "toy.py").write_text(
        "raise RuntimeError('a shadow')", encoding="utf-8"
    )
    script = toy_project.pytester.path / "notebook.py"
    script.write_text(
        "import pathlib, sys, pytest\n"
        "sys.path[:0] = ['experiments', '.']\n"
        "assert pytest.main(['experiments', '-q', '-p', 'no:cacheprovider']) == 0\n"
        "toy = pathlib.Path('toy.py')\n"
        "toy.write_text(toy.read_text().replace('loss = 2.0 +', 'loss = 2.5 +'))\n"
        "assert pytest.main(['experiments', '-q', '-p', 'no:cacheprovider', '--exprun-stale=retrain']) == 0\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=toy_project.pytester.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=GUARD,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(toy_project.runs) == 16
    assert "2.50" in toy_project.report("baseline_variance_1M.md")


def start(toy_project, *args: str) -> subprocess.Popen[str]:
    """Start a session in the background."""
    command = [sys.executable, "-m", "pytest", "experiments", "-p", "no:cacheprovider", *args]
    return subprocess.Popen(
        command, cwd=toy_project.pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_sessions_train_each_seed_once(toy_project):
    """The one that comes second waits, says for whom, and reads the result."""
    toy_project.write(ROPE)
    held = toy_project.hold(42)
    with start(toy_project) as first:
        toy_project.wait_for_runs(1)
        with start(toy_project) as second:
            waits = next((line for line in second.stdout if line.startswith("waiting for seed 42")), "")
            held.unlink()
            outputs = [session.stdout.read() for session in (first, second)]
    assert f": process {first.pid} on " in waits
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert len(toy_project.runs) == 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_ending_signal_keeps_finished_seeds(toy_project, number):
    """SIGTERM and SIGHUP end as Ctrl-C does: finished seeds stored, junit written, no checkpoint left, exit status 2."""
    toy_project.write('@experiment("--worse", gate="loser")\ndef test_a(): ...\n\n' + ROPE)
    toy_project.hold(256)
    session = start(toy_project, "--junitxml=junit.xml")
    toy_project.wait_for_runs(3)
    os.kill(session.pid, number)
    output = session.communicate(timeout=GUARD)[0]
    assert session.returncode == pytest.ExitCode.INTERRUPTED, output
    assert len(list((toy_project.pytester.path / ".exprun").glob("*/*/seed-*.json"))) == 2
    assert (toy_project.pytester.path / "junit.xml").exists()
    assert not list(toy_project.pytester.path.glob("checkpoints/*"))


def test_a_killed_session_loses_only_the_seed_in_flight(toy_project):
    """After SIGKILL the next session goes on where the first one was, without waiting for its lock."""
    toy_project.write(ROPE)
    held = toy_project.hold(256)
    session = start(toy_project)
    toy_project.wait_for_runs(3)
    session.kill()
    session.communicate(timeout=GUARD)
    held.unlink()
    toy_project.run_fresh().assert_outcomes(passed=1)
    assert len(toy_project.runs) == 8 + 1


def test_a_full_disk_costs_the_record_and_not_the_result(toy_project, monkeypatch):
    """The verdict still falls; the summary says what is not saved, and the session does not exit with 0."""
    import errno

    from pytest_exprun.trust.store.filesystem import FileSystem

    publish = FileSystem.publish

    def full(self, path, data, temporary):
        if path.name.startswith("seed-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return publish(self, path, data, temporary)

    monkeypatch.setattr(FileSystem, "publish", full)
    toy_project.write(ROPE)
    result = toy_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["note: seed 42 of no flags is not saved: *no space left on device*", "*WINNER*"])
