"""What it costs to hear a trainer that prints very much: sessions in which one seed does, in the three ways in which runs are performed.

    python tests/benchmarks/printing.py [ROUNDS] [BEFORE]

BEFORE is a checkout of another state of the package: then the same sessions are run with it in turn. Prints CPU and wall seconds of a
session, its processes included, less those of a session in which nobody prints much; beside them those of a plain test that calls the
trainer, and of the script as it is, printing without a buffer into a pipe. Medians of the rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAINER = """
import os
import sys


def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    loss = 2 + seed / 1e5 - ("--idea=1" in argv)
    shape = os.environ["SHAPE"] if seed == 42 and "--idea=1" not in argv else "quiet"
    if shape == "2,000,000 lines of 100 bytes":
        line = "x" * 99
        for _ in range(2_000_000):
            print(line)
    elif shape == "200,000 lines of 1,000 bytes":
        line = "x" * 999
        for _ in range(200_000):
            print(line)
    elif shape == "one line of 200 MB":
        print("x" * 200_000_000)
    elif shape == "100,000 progress lines":
        for step in range(100_000):
            print(f"Step {step} | val_loss: {loss + 1 / (step + 1):.4f} | train_loss: {loss:.4f} | time: {step / 10:.1f}s")
    print(f"Step 100000 | val_loss: {loss:.4f}")
    return {"val_loss": loss}


if __name__ == "__main__":
    main(sys.argv)
"""
TEST = """
from pytest_exprun import experiment

@experiment("--idea=1")
def test_idea(): ...
"""
PLAIN = """
import sys
import noisy

def test_plain():
    noisy.main(["--seed", "42"])
"""
INI = "[pytest]\naddopts = --import-mode=importlib -q -p no:cacheprovider\nexprun_plots = off\n"
TRAINED = "exprun_trainer = noisy:main\n"
WAYS = {
    "plain test": "",
    "in process": TRAINED,
    "processes": f"{TRAINED}exprun_executor = processes\n",
    "command": "exprun_command = python noisy.py --seed {seed} --train_tokens {train_tokens} --output_dir {output_dir} {flags}\n",
}
SHAPES = (
    "2,000,000 lines of 100 bytes",
    "200,000 lines of 1,000 bytes",
    "one line of 200 MB",
    "100,000 progress lines",
)


def used(command: list[str], folder: Path, shape: str, before: str = "") -> tuple[float, float]:
    """Return the CPU and wall seconds of a command, and of all that it waited for."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        environment = os.environ | {"SHAPE": shape, **({"PYTHONPATH": before} if before else {})}
        done = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)  # ourselves
        _, status, usage = os.wait4(done.pid, 0)
        if status:
            output.seek(0)
            sys.exit(output.read()[-3000:])
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started


def session(way: str, shape: str, before: str) -> tuple[float, float]:
    """Return the CPU and wall seconds of a session that trains everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "noisy.py").write_text(TRAINER, encoding="utf-8")
        (folder / "test_ideas.py").write_text(PLAIN if way == "plain test" else TEST, encoding="utf-8")
        (folder / "pytest.ini").write_text(INI + WAYS[way], encoding="utf-8")
        return used([sys.executable, "-m", "pytest"], folder, shape, before)


def script(shape: str) -> tuple[float, float]:
    """Return the CPU and wall seconds of the script alone, printing into a pipe."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "noisy.py").write_text(TRAINER, encoding="utf-8")
        return used(["sh", "-c", f"{sys.executable} -u noisy.py --seed 42 | cat"], Path(name), shape)


def main() -> None:
    """Print a row for each shape and way."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    states = {"now": "", **({"before": sys.argv[2]} if len(sys.argv) > 2 else {})}
    for shape in SHAPES:
        taken: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            taken.setdefault("the script", []).append(less(script(shape), script("quiet")))
            for way in WAYS:
                for state, folder in states.items():
                    figures = less(session(way, shape, folder), session(way, "quiet", folder))
                    taken.setdefault(way if way == "plain test" else f"{way} {state}", []).append(figures)
        print(shape)
        for name, figures in taken.items():
            cpu, wall = (statistics.median(part) for part in zip(*figures, strict=True))
            print(f"  {name:18} {cpu:6.2f} CPU s {wall:6.2f} s", flush=True)


def less(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return what one took more than the other."""
    return one[0] - other[0], one[1] - other[1]


if __name__ == "__main__":
    main()
