"""The learning-rate sweep behind a recipe's default: three seeds a point, validation loss at the full budget.

python tests/benchmarks/train_lr_sweep.py [--recipe gpt2] [--scales 0.5 0.75 1 1.5] [--seeds 42 137 256]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import train_llm


def main() -> None:
    """Train and print one row a point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipe", default="gpt2")
    parser.add_argument("--scales", type=float, nargs="+", default=[0.5, 0.75, 1.0, 1.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 137, 256])
    parser.add_argument("--train_tokens", type=int, default=1_000_000)
    arguments = parser.parse_args()
    print("| lr_scale | mean | std | seeds |\n|---|---|---|---|")
    for scale in arguments.scales:
        values = []
        for seed in arguments.seeds:
            argv = ["--recipe", arguments.recipe, "--lr_scale", str(scale), "--seed", str(seed)]
            with contextlib.redirect_stdout(io.StringIO()):
                values.append(train_llm.main([*argv, "--train_tokens", str(arguments.train_tokens)])["val_loss"])
        shown = " ".join(f"{value:.4f}" for value in values)
        print(f"| {scale:g} | {statistics.mean(values):.4f} | {statistics.stdev(values):.4f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
