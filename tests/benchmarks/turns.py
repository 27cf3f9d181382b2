"""How well a slowdown of a tenth is told beside busy processes, one arm after the other and both in turn.

A trainer counts in a loop for about a second of CPU time; the experiment counts a tenth longer and changes nothing else, or its loss by a
hair, so that all five seeds are needed. The truth is 1 / 1.1 = 0.91. Run: python tests/benchmarks/turns.py [--busy 4]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TRAINER = """
import argparse, math, random, time

def main(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_tokens", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--output_dir")
    parser.add_argument("--work", type=float, default=1.0)
    parser.add_argument("--hair", type=float, default=0.0)
    args = parser.parse_args(argv)
    wall, cpu, total = time.perf_counter(), time.process_time(), 0
    for each in range(int(LOOPS * args.work * args.train_tokens / 1e6)):
        total += each & 3
    loss = 2 - 0.2 * math.log2(args.train_tokens / 1e6) + random.Random(args.seed).gauss(0, 0.01)
    loss += args.hair * random.Random(f"hair {args.seed}").gauss(0, 0.01)
    return {"val_loss": loss, "wall_time": time.perf_counter() - wall, "cpu_time": time.process_time() - cpu}
"""
TESTS = """
from pytest_exprun import experiment

@experiment("--work=1.1", gate="identical"{})
def test_same(): ...

@experiment("--work=1.1", "--hair=0.01"{})
def test_hair(): ...
"""


def session(folder: Path, name: str, *words: str, ask: str = "") -> None:
    """Judge one experiment, training what is missing."""
    (folder / "test_counts.py").write_text(TESTS.format(ask, ask), encoding="utf-8")
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", name, *words)
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def crowd(count: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile."""
    beside = [multiprocessing.Process(target=burn, daemon=True) for _ in range(count)]
    for each in beside:
        each.start()
    try:
        yield
    finally:
        for each in beside:
            each.kill()


def told(folder: Path, name: str) -> str:
    """Return what the report says of speed, and of both clocks."""
    report = json.loads((folder / f"docs/research/experiment_{name}_1M.json").read_text(encoding="utf-8"))
    clocks = []
    for clock in ("cpu_time", "wall_time"):
        effect = report["effects"][clock]
        mean = sum(run["metrics"][clock] for run in report["baseline"]) / len(report["baseline"])
        low, high = (100 * effect[end] / mean for end in ("ci_low", "ci_high"))
        clocks.append(f"{clock} {effect['raw_percent']:+.1f} % [{low:+.1f}, {high:+.1f}] {effect['why_not']}".rstrip())
    return "; ".join([report["speedup"]["headline"], *clocks])


def burn() -> None:
    """Keep a core busy."""
    while True:
        pass


def main() -> None:
    """Print a line for each experiment and order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=4, help="busy processes beside")
    parser.add_argument("--loops", type=int, default=20_000_000, help="of a run of the control")
    parser.add_argument("--names", nargs="*", default=["same", "hair"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "counts.py").write_text(TRAINER.replace("LOOPS", str(given.loops)), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\nexprun_trainer = counts:main\nexprun_plots = off\n")
        for each in given.names:
            session(folder, each, ask=", speedup=True")  # the control's other budgets, before it gets crowded
            for order in ("interleaved", "sequential"):
                with crowd(given.busy):
                    session(folder, each, "--exprun-mode=refresh", f"--exprun-order={order}")
                    load = os.getloadavg()[0]
                session(folder, each)
                print(f"{each} {order} (load {load:.1f}): {told(folder, each)}", flush=True)


if __name__ == "__main__":
    main()
