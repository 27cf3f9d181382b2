"""Seconds from process start to the first training step, torch's import and the corpus included.

python tests/benchmarks/train_startup.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

TRAINER = Path(__file__).parents[2] / "train_llm.py"


def start() -> tuple[float, float]:
    """Return wall and CPU seconds until the line of the first step is there."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    argv = [sys.executable, str(TRAINER), "--train_tokens", "40960"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Step 1 "):
                break
        wall = time.perf_counter() - began
        process.kill()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    walls, seconds = zip(*(start() for _ in range(parser.parse_args().rounds)), strict=True)
    print(
        f"wall median {statistics.median(walls):.2f} s (best {min(walls):.2f}), CPU median {statistics.median(seconds):.2f} s"
    )


if __name__ == "__main__":
    main()
