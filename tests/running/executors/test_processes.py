"""Each run in a fresh process: the contract of all executors, and what only processes of their own can promise."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_exprun.running.executors.contract import Surroundings, Task, failure, from_settings
from pytest_exprun.running.executors.processes import visible_gpus
from pytest_exprun.running.sandbox import supervision
from pytest_exprun.running.sandbox.run_log import LIMIT, TAIL
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.sameness import difference, with_clocks
from pytest_exprun.trust.trees.ground import Ground
from tests.executor_contract import ExecutorContract, Lab, interrupted_when, is_alive, wait_until

REPOSITORY = Path(__file__).parents[3]


class TestOneProcess(ExecutorContract):
    """A fresh process a run, one at a time."""

    name = "processes"


class TestTwoProcesses(ExecutorContract):
    """Two fresh processes at a time."""

    name = "processes"
    options = {"jobs": "2"}  # noqa: RUF012  # read only
    at_once = 2

    def test_the_others_go_on_after_a_failure(self, lab):
        """A run that fails costs only itself."""
        results = lab.run("--how=raise", "--at=42", seeds=(42, 137, 256, 512))
        assert {seed for seed, result in results.items() if failure(result) is None} == {137, 256, 512}

    def test_runs_beside_each_other_are_marked(self, lab):
        """Wall times of runs that shared the machine are not comparable, so the record says how many there were."""
        results = lab.run(seeds=(42, 137))
        assert [result.provenance["concurrency"] for result in results.values()] == [2, 2]
        assert lab.run(seeds=(42,))[42].provenance["concurrency"] == 1

    def test_a_killed_run_is_tried_once_more(self, lab):
        """The second attempt's result counts; the record says that there were two, and why."""
        results = lab.run("--how=kill_once", "--at=137")
        assert {seed: result.provenance["attempts"] for seed, result in results.items()} == {42: 1, 137: 2, 256: 1}
        assert results[137].metrics["val_loss"] == 2 + 137 / 1000
        assert results[137].provenance["earlier_attempts"] == ["its process was killed by SIGKILL"]
        assert len(lab.notices) == 1
        assert lab.notices[0].startswith(
            "seed 137 of --how=kill_once --at=137: its process was killed by SIGKILL; it is tried once more"
        )

    def test_a_run_that_is_killed_twice_is_an_error_with_its_log(self, lab):
        """The error ends with the last lines and the path of the log, which outlives the run's directory."""
        results = lab.run("--how=kill", "--at=137")
        assert results[137].status == "crashed"
        why = failure(results[137])
        assert why.startswith("seed 137 of --how=kill --at=137: its process was killed by SIGKILL, 2 times")
        assert "the last words" in why
        log = Path(why.rpartition("all of it: ")[2])
        assert log.read_text(encoding="utf-8") == "the last words\n"
        assert (log.parent / ".gitignore").read_text(encoding="ascii") == "*\n"
        assert failure(results[42]) is None
        assert failure(results[256]) is None
        assert [seed for seed, _, _ in lab.started].count(137) == 2

    def test_a_process_that_exits_behind_our_back_is_an_error(self, lab):
        """A process that ends without a result has crashed, whatever its exit status."""
        assert "ended with exit status 7 and no result, 2 times" in failure(lab.run("--how=die", seeds=(42,))[42])

    def test_what_the_trainer_itself_reports_is_not_tried_again(self, lab):
        """An exception comes again at the second attempt; it is not waited for."""
        lab.run("--how=raise", seeds=(42,))
        assert len(lab.started) == 1

    def test_the_output_of_a_run_is_kept_within_bounds(self, lab):
        """A trainer that floods its output fills neither memory nor disk."""
        why = failure(lab.run("--how=flood", seeds=(42,))[42])
        log = Path(why.rpartition("all of it: ")[2])
        assert LIMIT < log.stat().st_size <= LIMIT + TAIL + 100

    def test_children_of_a_run_end_with_it(self, lab):
        """What a run leaves running is ended, and the record says so."""
        assert lab.run("--how=child", seeds=(42,))[42].provenance["processes_left_behind"] == 1
        wait_until(lambda: not left_by_wild(lab))

    def test_closing_ends_what_runs(self, lab):
        """After the caller has gone no process and no directory is left."""
        results = lab.executor.run(iter(lab.tasks("--slow=600")), lab.hear)
        with interrupted_when(lambda: len(lab.started) == 2), contextlib.closing(results):
            next(results)  # nothing arrives
        assert len(lab.started) == 2
        self.nothing_runs(lab)

    def test_one_thread_a_run_unless_told(self, lab, monkeypatch):
        """Two runs beside each other do not fight for the cores; the user's own number stands."""
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert lab.run(seeds=(42,))[42].notes["omp"] == "1"
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert lab.run(seeds=(42,))[42].notes["omp"] == "3"

    def test_each_job_has_a_gpu_of_its_own(self, lab, monkeypatch):
        """Runs are spread over the GPUs that are visible here."""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
        results = lab.run(seeds=(42, 137))
        assert {result.notes["gpu"] for result in results.values()} == {"4", "6"}


def left_by_wild(lab: Lab) -> list[int]:
    """Processes that the wild trainer of a lab left running."""
    started = {pid for _, pid, _ in lab.started}
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and int(fields[2]) in started:
                found.append(int(path.parent.name))
    return found


class Clock:
    """Stands for the module `time` where runs are limited: an hour is over when the hanging run has begun to hang, and it alone is left."""

    sleep = staticmethod(time.sleep)

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def monotonic(self) -> float:
        """Seconds; it goes on when the run has said where it is."""
        started = {seed: pid for seed, pid, _ in self._lab.started}
        if set(started) < {42, 137} or is_alive(started[42]) or len(left_by_wild(self._lab)) < 2:
            return 0.0
        logs = [path.read_text(encoding="utf-8") for path in self._lab.root.glob(".exprun/logs/*.log")]
        return 3700.0 if any("in happen" in log for log in logs) else 3601.0


def test_a_run_past_its_time_is_ended_with_its_children(tmp_path, monkeypatch):
    """The limit ends C code and child processes too; the log says where the run was; it is not tried again."""
    lab = Lab(tmp_path, "processes", jobs="2", timeout="3600")
    monkeypatch.setattr(supervision, "time", Clock(lab))
    results = lab.run("--how=hang", "--at=137", seeds=(42, 137))
    assert failure(results[42]) is None
    assert results[137].status == "timeout"
    why = failure(results[137])
    assert why.startswith("seed 137 of --how=hang --at=137 ran longer than exprun_timeout = 3600 s and was ended")
    assert "in happen" in Path(why.rpartition("all of it: ")[2]).read_text(encoding="utf-8")
    wait_until(lambda: not left_by_wild(lab))
    assert len(lab.started) == 2


ORPHANS = """
import sys
from pathlib import Path
from tests.executor_contract import Lab
Lab(Path(sys.argv[1]), "processes", jobs="2").run("--slow=600")
"""


def test_runs_end_with_a_session_that_is_killed(tmp_path):
    """After SIGKILL of the session nothing goes on training."""
    with subprocess.Popen([sys.executable, "-c", ORPHANS, str(tmp_path)], cwd=REPOSITORY) as session:
        log = tmp_path / "started"
        wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 2)
        session.kill()
    pids = [int(line.split()[1]) for line in log.read_text().splitlines()]
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_executors_agree_to_the_last_bit(both_ways):
    """A real model trained here and in two processes at once gives the same curve and the same loss."""
    here, there = both_ways
    for seed in (42, 137):
        declared = with_clocks(here[seed], ["tokens_per_second", "mfu", "gemm_peak"])
        assert difference(declared, there[seed], "val_loss") is None
        assert len(here[seed].curve) >= 4
    assert here[42].metrics["val_loss"] != here[137].metrics["val_loss"]
    assert difference(here[42], here[137], "val_loss") is not None


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    """Return the runs of a tiny language model in this process and in two others."""
    root = tmp_path_factory.mktemp("llm")
    shutil.copy(REPOSITORY / "train_llm.py", root)
    shutil.copytree(REPOSITORY / "experiments" / "llm", root / "experiments" / "llm")
    if (package := REPOSITORY / "experiments" / "__init__.py").exists():
        shutil.copy(package, root / "experiments")
    flags = ("--size=nano", "--data=synthetic", "--rope")
    found = []
    for options in ({"executor": "inprocess"}, {"executor": "processes", "jobs": "2"}):
        settings = Settings.read({"trainer": "train_llm:main", **options}, root)
        executor = from_settings(settings, Surroundings(print))
        tasks = [Task(RunSpec(Variant(flags), seed, Budget(2048)), "exp", Ground(settings)) for seed in (42, 137)]
        found.append({result.spec.seed: result for result in executor.run(iter(tasks), lambda *_: None)})
        assert not [failure(result) for result in found[-1].values() if failure(result)]
    return found


@pytest.mark.parametrize(
    ("told", "gpus"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("GPU-8f,GPU-9a", ["GPU-8f", "GPU-9a"])]
)
def test_the_users_choice_of_gpus_is_kept(told, gpus):
    """CUDA_VISIBLE_DEVICES says over which GPUs runs are spread."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": told}) == gpus
