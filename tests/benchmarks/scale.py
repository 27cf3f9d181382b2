"""What the controller itself costs at 1,000 experiments: an executor that answers at once, 5,000 records, and a session that reads them.

    python tests/benchmarks/scale.py [EXPERIMENTS]        (NO_FSYNC=1: without waiting for the disk)

Prints CPU seconds and peak memory of the first session (all runs performed) and of the second (all runs stored). No training, no cluster.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIMULATED = """
import random
from pytest_exprun.model import CurvePoint, RunResult


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


def session(folder: Path) -> str:
    """Run pytest once; return its figures."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "pytest", "experiments", "-p", "pytest_exprun.plugin"]
    done = subprocess.run(  # ourselves
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if "error" in done.stdout:
        print(next(line for line in done.stdout.splitlines() if line.startswith("ERROR")))
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]
    return f"{cpu:.1f} CPU s, {time.perf_counter() - started:.1f} s, peak {after.ru_maxrss / 1024:.0f} MB   {last}"


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
        print(f"all stored:    {session(folder)}")
        print("collect only: ", end=" ", flush=True)
        collect = [sys.executable, "-m", "pytest", "experiments", "--co", "-q"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(collect, cwd=folder, capture_output=True, check=False)  # ourselves
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} CPU s")


if __name__ == "__main__":
    main()
