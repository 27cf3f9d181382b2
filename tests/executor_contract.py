"""What every executor must do. Test files derive a class from `ExecutorContract` and say how their executor is made."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_exprun.running.executors.contract import Surroundings, Task, failure, from_settings
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.files.stray_writes import WROTE
from pytest_exprun.trust.trees.ground import Ground

WILD = Path(__file__).with_name("wild.py")


class Lab:
    """A folder with the wild trainer, and an executor that works in it."""

    def __init__(self, root: Path, executor: str, **options: str) -> None:
        shutil.copy(WILD, root / "wild.py")
        (root / "numbers.txt").write_text("12345", encoding="ascii")
        sys.modules.pop("wild", None)  # another test's, from another folder
        self.root = root
        self.notices: list[str] = []
        self.points: list[tuple[int, int]] = []
        given = {"trainer": "wild:main", "executor": executor, **options}
        self.settings = Settings.read(given, root)
        self.executor = from_settings(self.settings, Surroundings(self.notices.append))

    def tasks(self, *flags: str, seeds=(42, 137, 256)):
        """Return one task a seed."""
        return [Task(RunSpec(Variant(flags), seed, Budget(20_000)), "exp", Ground(self.settings)) for seed in seeds]

    def hear(self, spec, point):
        """Note a progress line."""
        self.points.append((spec.seed, point.step))

    def run(self, *flags: str, seeds=(42, 137, 256)):
        """Perform the runs; return seed -> result."""
        with contextlib.closing(self.executor.run(iter(self.tasks(*flags, seeds=seeds)), self.hear)) as results:
            return {result.spec.seed: result for result in results}

    @property
    def started(self) -> list[tuple[int, int, str]]:
        """Seed, process and directory of every run that has started."""
        log = self.root / "started"
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        return [(int(seed), int(pid), name) for seed, pid, name in (line.split() for line in lines)]


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true, seconds=120.0):
    """Wait for something that happens soon; give up after so long that even a busy machine would have got there."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@contextlib.contextmanager
def interrupted_when(true):
    """Interrupt this block as Ctrl-C does, as soon as something is so."""
    over = threading.Event()

    def watch():
        wait_until(lambda: over.is_set() or true())
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGALRM)

    usual = signal.signal(signal.SIGALRM, signal.default_int_handler)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGALRM, usual)


class ExecutorContract:
    """Results, errors and traces of runs are the same wherever they are performed."""

    name: str
    options: dict[str, str] = {}  # noqa: RUF012  # read only
    at_once = 1

    @pytest.fixture
    def lab(self, tmp_path):
        """Return a lab with this executor."""
        return Lab(tmp_path, self.name, **self.options)

    def test_every_task_gives_one_result(self, lab):
        """Each run's metrics, notes and curve come back with its own spec."""
        results = lab.run(seeds=(42, 137, 256, 512))
        losses = {seed: result.metrics["val_loss"] for seed, result in results.items()}
        assert losses == {seed: 2 + seed / 1000 for seed in (42, 137, 256, 512)}
        for seed, result in results.items():
            assert result.status == "finished"
            assert result.spec == lab.tasks(seeds=(seed,))[0].spec
            assert [point.step for point in result.curve] == [1, 2, 3]
            assert {"wall_time", "cpu_time", "cpu", "host", "started"} <= set(result.provenance)
        assert len(lab.started) == 4

    def test_progress_is_heard_in_order(self, lab):
        """Each progress line of each run is passed on."""
        lab.run()
        for seed in (42, 137, 256):
            assert [step for heard, step in lab.points if heard == seed] == [1, 2, 3]

    def test_a_nan_is_a_diverged_run(self, lab):
        """A non-finite loss is a result."""
        results = lab.run("--how=nan", "--at=137", seeds=(42, 137))
        assert results[137].status == "diverged"
        assert results[137].metrics["val_loss"] is None

    def test_an_exception_is_that_runs_error(self, lab):
        """The message names trainer, seed, flags and the exception; what ran before is not lost."""
        results = lab.run("--how=raise", "--at=137")
        assert failure(results[42]) is None
        assert results[137].status == "crashed"
        assert "seed 137 of --how=raise --at=137: raised ValueError: a bad shape" in failure(results[137])
        assert "wild.py" in failure(results[137])

    def test_an_exit_is_that_runs_error(self, lab):
        """A trainer that calls sys.exit ends its run, not the session."""
        assert "stopped with exit status 3" in failure(lab.run("--how=exit", seeds=(42,))[42])

    def test_out_of_memory_is_named(self, lab):
        """The message says so first, whoever said it."""
        assert failure(lab.run("--how=memory", seeds=(42,))[42]).startswith("out of memory: trainer wild:main")

    def test_what_a_run_read_is_known_afterwards(self, lab):
        """The files that a run opened are recorded here, wherever it ran."""
        lab.run("--how=read", seeds=(42,))
        assert lab.root.resolve() / "numbers.txt" in OPENED.files(lab.root.resolve())

    def test_what_a_run_writes_outside_its_folder_is_in_its_record(self, lab):
        """The file is named from the root, wherever the run was performed."""
        assert "outside.txt" in lab.run("--how=outside", seeds=(42,))[42].provenance[WROTE]

    def test_flags_are_checked_without_a_run(self, lab):
        """The trainer's own parser answers for each run, with a suggestion."""
        specs = [task.spec for task in (*lab.tasks("--slow=1", seeds=(42,)), *lab.tasks("--slwo=1", seeds=(42,)))]
        assert lab.executor.rejects(specs) == [None, "wild:main has no option --slwo=1; did you mean --slow?"]
        assert not lab.started

    def test_directories_are_named_as_in_the_protocol_and_removed(self, lab):
        """Nothing of a run is left once its result is recorded."""
        lab.run(seeds=(42, 137))
        names = [name for _, _, name in lab.started]
        assert sorted(name.rpartition("-")[0] for name in names) == ["exp_20K_seed137", "exp_20K_seed42"]
        assert not list(lab.root.glob("checkpoints/*"))

    def test_a_task_is_asked_for_when_it_can_start(self, lab):
        """Whoever hands out the tasks may still give the later ones to others."""
        asked = []

        def tasks():
            for task in lab.tasks("--slow=0.1", seeds=(1, 2, 3, 4, 5)):
                asked.append(task.spec.seed)
                yield task

        with contextlib.closing(lab.executor.run(tasks(), lab.hear)) as results:
            next(results)
            assert len(asked) <= self.at_once + 1

    def test_an_exception_in_the_callback_ends_everything(self, lab):
        """What the listener raises is passed on, and no run goes on."""

        class Enough(BaseException):
            pass

        def hear(*_):
            raise Enough

        with pytest.raises(Enough), contextlib.closing(lab.executor.run(iter(lab.tasks("--slow=0.1")), hear)) as found:
            list(found)
        self.nothing_runs(lab)

    def nothing_runs(self, lab):
        """Check that no process of a run is left, nor a directory."""
        wait_until(lambda: not any(is_alive(pid) for _, pid, _ in lab.started if pid != os.getpid()))
        wait_until(lambda: not list(lab.root.glob("checkpoints/*")))
