"""Where runs are performed: one contract for all executors, and what only some of them can promise."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_exprun.running.executors import child
from pytest_exprun.running.executors.contract import Surroundings, Task, failure, from_settings, out_of_memory
from pytest_exprun.running.executors.processes import visible_gpus
from pytest_exprun.running.sandbox.run_log import LIMIT, TAIL, RunLog
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.settings import Settings
from pytest_exprun.trust.store.records import difference
from tests.executor_contract import WILD, ExecutorContract, Lab, interrupted_when, is_alive, wait_until

REPOSITORY = Path(__file__).parents[3]


class TestInProcess(ExecutorContract):
    """One run after the other in this process."""

    name = "inprocess"


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
    monkeypatch.setattr(child, "time", Clock(lab))
    results = lab.run("--how=hang", "--at=137", seeds=(42, 137))
    assert failure(results[42]) is None
    assert results[137].status == "timeout"
    why = failure(results[137])
    assert why.startswith("seed 137 of --how=hang --at=137 ran longer than exprun_timeout = 3600 s and was ended")
    assert "in happen" in why
    wait_until(lambda: not left_by_wild(lab))
    assert len(lab.started) == 2


def test_in_process_a_run_past_its_time_ends_at_the_next_progress_line(tmp_path):
    """The error says at which step."""
    lab = Lab(tmp_path, "inprocess", timeout="0.3")
    results = lab.run("--slow=0.2", "--lines=50", seeds=(42,))
    assert results[42].status == "timeout"
    assert "ran longer than exprun_timeout = 0.3 s and was stopped at step" in failure(results[42])
    assert len(lab.points) < 10


HANGS = """
import sys
from pathlib import Path
from pytest_exprun.running.executors import inprocess
from tests.executor_contract import Lab
inprocess.GRACE_SECONDS = 2.0
lab = Lab(Path(sys.argv[1]), "inprocess", timeout="0.5")
lab.notices = print
lab.run("--how=sleep", seeds=(42,))
"""


def in_own_process(source, folder):
    """Run a script that may end its process."""
    command = [sys.executable, "-c", source, str(folder)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)


def test_in_process_a_silent_run_ends_the_session(tmp_path):
    """Past the grace period the stacks of all threads are shown and the process ends: never a silent hang."""
    done = in_own_process(HANGS, tmp_path)
    assert done.returncode == 1
    assert "Timeout (0:00:02.500000)!" in done.stderr
    assert "in happen" in done.stderr


CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(3600)']); time.sleep(3600)"


def processes_in(folder: Path) -> list[int]:
    """Living processes with this working directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink() == folder and is_alive(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("start", ["subprocess.Popen([sys.executable, '-S', '-c', CHILD])", "fork()"])
def test_in_process_the_children_of_a_silent_run_end_with_the_session(tmp_path, start):
    """No process of the run is left when the session was ended, neither its children nor theirs; forked ones hold our pipes open."""
    body = f"""
import multiprocessing, subprocess, sys, time
CHILD = {CHILD!r}
def fork():
    multiprocessing.get_context("fork").Process(target=subprocess.run, args=([sys.executable, "-S", "-c", CHILD],)).start()
def main(argv):
    {start}
    time.sleep(3600)
"""
    (tmp_path / "leaves.py").write_text(body, encoding="utf-8")
    hangs = HANGS.replace('timeout="0.5"', 'timeout="1", trainer="leaves:main"').replace('"--how=sleep", ', "")
    done = in_own_process(hangs, tmp_path)
    assert "in main" in done.stderr
    wait_until(lambda: not processes_in(tmp_path))


LEFT = """
import sys
from pathlib import Path
from tests.executor_contract import Lab
lab = Lab(Path(sys.argv[1]), "inprocess")
lab.run("--how=child", seeds=(42,))
print(lab.notices)
"""


def test_in_process_what_a_run_left_running_ends_with_the_session(tmp_path):
    """It is named, and it does not outlive an orderly end either."""
    command = [sys.executable, "-c", LEFT, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    wait_until(lambda: not processes_in(tmp_path))
    assert "left behind the running child process" in done.stdout


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
        assert difference(here[seed], there[seed]) is None
        assert len(here[seed].curve) >= 4
    assert here[42].metrics["val_loss"] != here[137].metrics["val_loss"]
    assert difference(here[42], here[137]) is not None


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    """Return the runs of a tiny language model in this process and in two others."""
    root = tmp_path_factory.mktemp("llm")
    shutil.copy(REPOSITORY / "train_llm.py", root)
    shutil.copytree(REPOSITORY / "experiments" / "llm", root / "experiments" / "llm")
    if (package := REPOSITORY / "experiments" / "__init__.py").exists():
        shutil.copy(package, root / "experiments")
    flags = ("--size=nano", "--data=synthetic", "--rope")
    tasks = [Task(RunSpec(Variant(flags), seed, Budget(2048)), "exp") for seed in (42, 137)]
    found = []
    for options in ({"executor": "inprocess"}, {"executor": "processes", "jobs": "2"}):
        settings = Settings.read({"trainer": "train_llm:main", **options}, root)
        executor = from_settings(settings, Surroundings(print))
        found.append({result.spec.seed: result for result in executor.run(iter(tasks), lambda *_: None)})
        assert not [failure(result) for result in found[-1].values() if failure(result)]
    return found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere_to_be_found:Executor", "No module named 'nowhere_to_be_found'"),
        ("pytest_exprun.terms.model:Arm", "no executor Arm, a class with the methods run and rejects"),
        ("pytest_exprun.terms.model:Nobody", "no executor Nobody"),
    ],
)
def test_an_executor_that_does_not_exist_is_one_line(tmp_path, name, words):
    """It names the key, the value and what is missing."""
    settings = Settings.read({"executor": name}, tmp_path)
    with pytest.raises(SettingsError, match=r"^exprun_executor = ") as caught:
        from_settings(settings, Surroundings(print))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_executor_is_found_by_module_and_class(tmp_path):
    """Anything with the two methods will do."""
    settings = Settings.read({"executor": "pytest_exprun.running.executors.inprocess:InProcess"}, tmp_path)
    assert type(from_settings(settings, Surroundings(print))).__name__ == "InProcess"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (None, False),
    ],
)
def test_out_of_memory_is_recognised(error, is_memory):
    """Python's own, torch's on both devices, and nothing else."""
    assert out_of_memory(error) is is_memory


@pytest.mark.parametrize(
    ("told", "gpus"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("GPU-8f,GPU-9a", ["GPU-8f", "GPU-9a"])]
)
def test_the_users_choice_of_gpus_is_kept(told, gpus):
    """CUDA_VISIBLE_DEVICES says over which GPUs runs are spread."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": told}) == gpus


def test_a_log_that_cannot_be_written_costs_nothing(tmp_path):
    """The end of the output is still there for the message."""
    (tmp_path / "file").touch()
    log = RunLog(tmp_path / "file" / "run.log")
    log.write(b"50%\r100%\nsomething broke\n")
    log.close(keep=True)
    assert log.ending().splitlines()[:3] == ["its output ended:", "  100%", "  something broke"]


def test_the_worker_needs_no_pytest_and_nothing_heavy():
    """What a cluster's machine imports before the trainer is this package and the standard library."""
    probe = (
        "import sys, pytest_exprun.running.executors.worker; "
        "print(sorted({'pytest', '_pytest', 'numpy', 'scipy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "[]\n"


def test_the_worker_works_by_hand(tmp_path):
    """A job on standard input gives events on standard output, the trainer's own output apart from them."""
    import json

    shutil.copy(WILD, tmp_path)
    spec = RunSpec(Variant(), 42, Budget(20_000))
    settings = Settings.read({"trainer": "wild:main"}, tmp_path)
    job = {"do": "run", "settings": settings.to_json(), "root": str(tmp_path), "specs": [spec.to_json()]}
    done = subprocess.run(
        [sys.executable, "-m", "pytest_exprun.running.executors.worker"],
        input=json.dumps({**job, "output_dir": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ},
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["point", "point", "point", "result"]
    assert "Step 1 | val_loss" in done.stderr
