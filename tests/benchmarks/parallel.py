"""How much sooner two processes or two workers end than one, with a trainer that sleeps: wall-time ratios, side by side.

python tests/benchmarks/parallel.py [SECONDS_A_RUN]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOY = Path(__file__).parent.parent / "toy.py"
INI = "[pytest]\naddopts = --import-mode=importlib -q -p no:cacheprovider\nexprun_trainer = toy:main\nexprun_plots = off\n"
TESTS = """
from pytest_exprun import experiment

@experiment("--rope")
def test_a(): ...

@experiment("--rope", "--shift=1")
def test_b(): ...

@experiment("--rope", "--shift=2")
def test_c(): ...

@experiment("--rope", "--shift=3")
def test_d(): ...
"""
WAYS = {
    "one process": [],
    "two jobs": ["--exprun-executor=processes", "--exprun-jobs=2"],
    "two workers": ["-n", "2"],
}


def cold(way: list[str], only: str, seconds: str) -> float:
    """Return the wall seconds of a session that has nothing stored."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(TOY, folder)
        (folder / "pytest.ini").write_text(INI, encoding="utf-8")
        (folder / "experiments").mkdir()
        (folder / "experiments" / "test_ideas.py").write_text(TESTS, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "experiments", "-k", only, f"--exprun-args=--slow {seconds}", *way]
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


def main() -> None:
    """Print a row for each way: one experiment of 8 runs, four experiments of 17 runs together."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "2"
    for only, runs in (("test_a", 8), ("test", 17)):
        alone = None
        for name, way in WAYS.items():
            took = cold(way, only, seconds)
            alone = alone or took
            print(f"{runs:2} runs of {seconds} s, {name:12} {took:6.1f} s   {took / alone:.2f}", flush=True)


if __name__ == "__main__":
    main()
