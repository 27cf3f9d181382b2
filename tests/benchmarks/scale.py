"""What the controller itself costs at 1,000 experiments: an executor that answers at once, 5,000 records, and a session that reads them.

    python tests/benchmarks/scale.py [EXPERIMENTS]        (NO_FSYNC=1: without waiting for the disk)

Prints CPU seconds and peak memory of the first session (all runs performed) and of the second (all runs stored), and beside them those of
a session of as many empty tests: on a busy machine the ratio says more than the seconds. No training, no cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIMULATED = """
import os
import random
from pytest_exprun.terms.outcome import CurvePoint, RunResult

if os.environ.get("NO_FSYNC"):
    os.fsync = lambda descriptor: None


class Simulated:
    def __init__(self, settings, surroundings):
        pass

    def rejects(self, specs):
        return [None] * len(specs)

    def run(self, tasks, on_point):
        for task in tasks:
            spec = task.spec
            loss = 2 + 0.01 * random.Random(f"{spec.seed} {spec.variant.flags}").gauss(0, 1)
            curve = tuple(CurvePoint(step, {"val_loss": loss + 1 / step}) for step in range(1, 21))
            times = {"wall_time": 1.0, "cpu_time": 1.0}
            yield RunResult(spec, "finished", {"val_loss": loss, **times}, curve=curve, provenance=times)


def main(argv):
    raise SystemExit("never called")
"""
INI = """[pytest]
addopts = --import-mode=importlib --strict-markers -p no:cacheprovider -q
exprun_trainer = trainer:main
exprun_executor = simulated:Simulated
exprun_plots = off
"""
TEST = """
import pytest
from pytest_exprun import experiment


@pytest.mark.parametrize("number", range({count}))
@experiment("--idea={{number}}", rule="tested", gate="not_loser")
def test_idea(comparison, number): ...
"""

EMPTY = """
import pytest


@pytest.mark.parametrize("number", range({count}))
def test_empty(number): ...
"""


def session(folder: Path, tests: str = "experiments") -> str:
    """Run pytest once; return its figures."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.Popen(  # ourselves
            [sys.executable, "-m", "pytest", tests],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
            stdout=output,
        )
        _, _, used = os.wait4(done.pid, 0)
        output.seek(0)
        lines = output.read().strip().splitlines()
    seconds = time.perf_counter() - started
    for error in [line for line in lines if line.startswith("ERROR")][:1]:
        print(error)
    last = lines[-1] if lines else "no output"
    return f"{used.ru_utime + used.ru_stime:.1f} CPU s, {seconds:.1f} s, peak {used.ru_maxrss / 1024:.0f} MB   {last}"


def main() -> None:
    """Make the project and run it twice."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "simulated.py").write_text(SIMULATED, encoding="utf-8")
        (folder / "trainer.py").write_text("def main(argv): ...\n", encoding="utf-8")
        (folder / "pytest.ini").write_text(INI, encoding="utf-8")
        (folder / "experiments").mkdir()
        (folder / "experiments" / "test_ideas.py").write_text(TEST.format(count=count), encoding="utf-8")
        print(f"all performed: {session(folder)}", flush=True)
        print(f"{len(list(folder.glob('.exprun/*/*/seed-*.json')))} records")
        print(f"all stored:    {session(folder)}", flush=True)
        (folder / "empty").mkdir()
        (folder / "empty" / "test_empty.py").write_text(EMPTY.format(count=count), encoding="utf-8")
        print(f"empty tests:   {session(folder, 'empty')}")


if __name__ == "__main__":
    main()
