"""What it costs to hear what a run asks for, and what the start of a session costs that has everything stored.

    python tests/benchmarks/hearing.py [ROUNDS] [BEFORE] [--repository]

BEFORE is a checkout of another state of the package, taken in turn. With --repository a copy of this repository is a project too, its
experiments trained at size nano, which needs torch and takes a minute. Prints medians of CPU seconds, and least and most.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

HERE = Path(__file__).parents[2]
ASKING = """
import contextlib, os, subprocess, sys, time
from pathlib import Path
from pytest_exprun.trust.files.accesses import OPENED
heard, what, root = sys.argv[1] == "heard", sys.argv[2], Path(sys.argv[3])
files = sorted(map(str, root.iterdir()))
names = [f"ASKED_{number}" for number in range(1000)]
READING = "import sys, time; [open(name).read() for name in sys.argv[1:]]; print(time.process_time())"
before = time.process_time()
with OPENED.recording(root) if heard else contextlib.nullcontext():
    began = time.process_time()
    if what == "files":
        for file in files:
            with open(file) as opened:
                opened.read()
    elif what == "started":
        done = subprocess.run([sys.executable, "-c", READING, *files], capture_output=True, text=True, check=True)
        began -= float(done.stdout)
        before -= float(done.stdout)
    else:
        for name in names:
            os.environ.get(name)
    asked = time.process_time() - began
print(asked, time.process_time() - before)
"""
INI = "[pytest]\naddopts = --import-mode=importlib -q -p no:cacheprovider\nexprun_trainer = toy:main\nexprun_plots = off\n"
TEST = """
from pytest_exprun import experiment

@experiment("--rope")
def test_rope(): ...
"""
CACHED = ("-q", "-p", "no:cacheprovider", "-k", "rope")
COLLECTED = ("--co", "-q", "-p", "no:cacheprovider")
NANO = ("experiments", "--exprun-args=--size nano", "--exprun-tokens=20000")


def used(command: Sequence[str], folder: Path, package: str) -> float:
    """Return the CPU seconds of a command."""
    with tempfile.TemporaryFile("w+") as output:
        environment = os.environ | {"PYTHONPATH": package}
        done = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)  # ourselves
        _, status, usage = os.wait4(done.pid, 0)
        if status:
            output.seek(0)
            sys.exit(output.read()[-3000:])
    return usage.ru_utime + usage.ru_stime


def asking(what: str, folder: Path, how: str) -> float:
    """Return the CPU seconds of a process' questions."""
    command = [sys.executable, "-c", ASKING, how, what, str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(HERE)}
    )
    return float(done.stdout.split()[1])


def in_turn(rounds: int, cases: dict[str, Callable[[], float]]) -> None:
    """Measure each case once a round; print a row for each."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measure in cases.items():
            taken[name].append(measure())
    first = statistics.median(next(iter(taken.values())))
    for name, values in taken.items():
        middle = statistics.median(values)
        print(f"  {name:28} {middle:.4f} ({min(values):.4f} to {max(values):.4f})   {middle / first:.2f}", flush=True)


def starts(rounds: int, states: dict[str, str], make: Callable[[Path], None], given: Sequence[str]) -> None:
    """Measure sessions on a project of which everything is stored, each state of the package with a store of its own."""
    with tempfile.TemporaryDirectory() as name:
        cases = {}
        for state, package in states.items():
            folder = Path(name) / state
            make(folder)
            pytest = [sys.executable, "-m", "pytest", *given]
            used([*pytest, *CACHED], folder, package)
            if not cases:
                cases["pytest --co"] = partial(used, [*pytest, *COLLECTED], folder, package)
            cases[state] = partial(used, [*pytest, *CACHED], folder, package)
        in_turn(rounds, cases)


def toy(folder: Path) -> None:
    """Make a project of one experiment."""
    folder.mkdir()
    shutil.copy(HERE / "tests" / "toy.py", folder)
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    (folder / "test_ideas.py").write_text(TEST, encoding="utf-8")


def repository(folder: Path) -> None:
    """Copy the reference trainer and its experiments."""
    folder.mkdir()
    for name in ("experiments", "train_llm.py", "pyproject.toml", "conftest.py"):
        copy = shutil.copytree if (HERE / name).is_dir() else shutil.copy
        copy(HERE / name, folder / name)
    options = (folder / "pyproject.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    # A name that earlier versions do not know.
    known = [line for line in options if not line.startswith("exprun_clocks")]
    (folder / "pyproject.toml").write_text("".join(known), encoding="utf-8")


def main() -> None:
    """Print everything."""
    words = [word for word in sys.argv[1:] if word != "--repository"]
    rounds = int(words[0]) if words else 5
    states = {"now": str(HERE), **({"before": words[1]} if len(words) > 1 else {})}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(10_000):
            (folder / f"{number}.txt").write_text("text\n", encoding="utf-8")
        titles = {
            "files": "10,000 files opened and read",
            "started": "the same by a Python that is started, its start included",
            "variables": "1,000 variables read",
        }
        for what, title in titles.items():
            print(title)
            in_turn(rounds, {how: partial(asking, what, folder, how) for how in ("without", "heard")})
    print("a session on a toy project, stored")
    starts(rounds, states, toy, ())
    if "--repository" in sys.argv:
        print("a session on this repository's experiments, stored")
        starts(rounds, states, repository, NANO)


if __name__ == "__main__":
    main()
